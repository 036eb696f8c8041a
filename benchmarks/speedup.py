"""How many times faster: rows of a Markdown table, for comparisons of 10 times and more (see side_by_side.py).

A row has the medians of the CPU times, the median over rounds of peer / ours with its quartiles, and what it should be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from side_by_side import print_header, print_row, round_robin, seconds, spread

Answer = TypeVar("Answer")


def print_speedup_header() -> None:
    print_header(["topic", "ours", "peer", "times faster (quartiles)", "target"])


def print_speedup(
    topic: str,
    *,
    ours: Callable[[], Answer],
    peer: Callable[[], Answer],
    agree: Callable[[Answer, Answer], bool],
    target: int,
    rounds: int,
) -> None:
    """Both in turn, `rounds` times after a warm-up whose answers must agree. Raises AssertionError if they do not."""
    assert agree(ours(), peer()), f"{topic}: the two give different answers"
    times = round_robin([ours, peer], rounds=rounds)
    our_time, peer_time = (seconds(value) for value in np.median(times, axis=0))
    print_row([topic, our_time, peer_time, spread(times[:, 1] / times[:, 0], decimals=1), str(target)])
