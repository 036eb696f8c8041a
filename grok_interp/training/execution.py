"""How a run is computed on this machine: what changes its rounding, but not what it trains on.

Resolved once, recorded in the run and used again on resume, so that a resumed run ends with the same bits. Across
different settings results agree statistically, not bitwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch

from grok_interp.configs import TrainConfig
from grok_interp.device import choose_threads, threads
from grok_interp.training.parallel import choose_parts
from grok_interp.training.precision import Precision, resolve_precision


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Precision of matrix products, CPU threads of an operation, parts of a micro-batch that are computed at once on
    threads of their own, and whether the step is compiled.
    """

    precision: Precision
    n_threads: int
    compiled: bool
    n_parts: int = 1

    @classmethod
    def resolve(cls, config: TrainConfig, *, device: str, compiled: bool) -> Execution:
        """What `config` amounts to on this machine.

        Args:
            config: of the run.
            device: where it trains, a torch device.
            compiled: is the step compiled?

        Raises:
            ValueError: if `compiled` is neither True nor False.
        """
        if not isinstance(compiled, bool):
            raise ValueError(f"compiled must be True or False, got {compiled!r}")
        on = torch.device(device)
        return cls(
            precision=resolve_precision(config.precision, on),
            n_threads=choose_threads(config.model.n_params),
            compiled=compiled,
            n_parts=choose_parts(config, on),
        )

    def threads(self) -> AbstractContextManager[None]:
        """torch computes with `n_threads` threads inside, and with as many as before afterwards."""
        return threads(self.n_threads)


@contextmanager
def dropout_of_step(config: TrainConfig, step: int) -> Iterator[None]:
    """Dropout masks depend on (data_seed, step) alone, and the caller's random state stays as it was.

    Args:
        config: of the run.
        step: of the update, from 0.
    """
    if config.model.attn_dropout == 0:
        yield
        return
    with torch.random.fork_rng():
        torch.manual_seed(config.data_seed * config.n_steps + step)
        yield
