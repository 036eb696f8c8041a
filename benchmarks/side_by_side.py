"""Alternatives side by side in one process: how long each takes, their ratio with its spread, and peak memory.

After a warm-up, rounds take every alternative once, in turn, so that a busy machine slows all of them alike. Times are
the process' CPU time on one thread, which other processes disturb less than the clock on the wall. A ratio is the
median over rounds of ours / theirs within the round; its spread is the interquartile range.

Peak memory is what torch's allocator on the CPU handed out at most above the start of the call, exact to the byte, from
the allocations and releases that torch.profiler records: weights that are there already do not count, nor does numpy.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch.profiler import ProfilerActivity, profile

Call = Callable[[], object]


@dataclass(frozen=True)
class Comparison:
    """Seconds of each round, ours and the peer's, and both peaks in bytes."""

    ours: np.ndarray
    peer: np.ndarray
    our_bytes: int
    peer_bytes: int

    def cells(self) -> list[str]:
        """Times, ratio and memory of a table's row; see HEADER."""
        return [
            seconds(np.median(self.ours)),
            seconds(np.median(self.peer)),
            spread(self.ours / self.peer),
            mebibytes(self.our_bytes),
            mebibytes(self.peer_bytes),
            f"{self.peer_bytes / self.our_bytes:.1f}",
        ]


HEADER = ["ours", "peer", "ours / peer (quartiles)", "our peak", "peer's peak", "peer's / our peak"]


def compare(ours: Call, peer: Call, *, rounds: int) -> Comparison:
    """Both in turn, `rounds` times after one warm-up each, and one more time for the memory."""
    times = round_robin([ours, peer], rounds=rounds)
    return Comparison(times[:, 0], times[:, 1], peak_memory(ours), peak_memory(peer))


def round_robin(calls: Sequence[Call], *, rounds: int, device: str = "cpu") -> np.ndarray:
    """round x call: seconds of each, in turn, after one warm-up."""
    clock = cpu_seconds if device == "cpu" else gpu_seconds
    return np.array([[clock(call) for call in calls] for _ in range(rounds + 1)])[1:]


def cpu_seconds(call: Call) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def gpu_seconds(call: Call) -> float:
    """On the wall's clock, from an idle GPU to an idle GPU."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_memory(call: Call) -> int:
    """Bytes; see above."""
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        call()
    assert profiled.profiler is not None and profiled.profiler.kineto_results is not None
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return int(max(np.cumsum(changes), default=0))


def growth_exponent(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """The power of the size that the cost grows with: the slope of a line fitted to the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(costs), deg=1)[0])


def spread(ratios: np.ndarray, *, decimals: int = 2) -> str:
    """Median with first and third quartile."""
    median, low, high = np.quantile(ratios, [0.5, 0.25, 0.75])
    return f"{median:.{decimals}f} ({low:.{decimals}f} to {high:.{decimals}f})"


def seconds(value: float) -> str:
    return f"{1e3 * value:.1f} ms" if value < 1 else f"{value:.2f} s"


def mebibytes(value: float) -> str:
    return f"{value / 2**20:.2f} MiB"


def print_row(cells: list[str]) -> None:
    """One row of a Markdown table, at once."""
    print(f"| {' | '.join(cells)} |", flush=True)


def print_header(cells: list[str]) -> None:
    print()  # a table begins after an empty line
    print_row(cells)
    print_row(["---"] * len(cells))


def prepare(*, gradients: bool = False) -> None:
    """One thread, in torch and in what NumPy and SciPy call; nothing random but what the benchmark seeds."""
    torch.set_num_threads(1)
    threadpool_limits(limits=1)
    torch.set_grad_enabled(gradients)
