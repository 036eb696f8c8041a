"""Which device to use, how many CPU threads, and what to do with freed memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

SMALL_MODEL = 1_000_000  # parameters


def choose_device(name: str) -> str:
    """`auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, `mps`.

    Raises ValueError for a device that this torch does not see.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    present = ["cpu"] + [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    present += ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
    if name not in present:
        raise ValueError(
            f"device {name!r} was asked for, torch {torch.__version__} sees {', '.join(present)}: take one of these, "
            "or install a torch build and driver for it (`grok-interp doctor` shows what is there)"
        )
    return name


def choose_threads(n_params: int) -> int:
    """How many CPU threads torch should use: 1 for a small model, unless $OMP_NUM_THREADS says otherwise.

    For copier-mini a second thread saves a fifth of the time on an idle machine and costs ten times on a busy one. The
    number of threads also decides how sums are rounded: with one, a run gives the same bits on 2 cores and on 20.
    """
    import torch

    return 1 if n_params < SMALL_MODEL and "OMP_NUM_THREADS" not in os.environ else torch.get_num_threads()


def use_threads(n_params: int) -> None:
    """Make torch use `choose_threads(n_params)` threads from now on."""
    import torch

    torch.set_num_threads(choose_threads(n_params))


@contextmanager
def threads(number: int) -> Iterator[None]:
    """torch computes with so many threads inside, and with as many as before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # options of glibc's mallopt
LARGEST_KEPT = 32 * 2**20  # bytes: the largest block that mallopt lets the heap serve


def keep_freed_memory() -> None:
    """Keep the memory of freed tensors in this process instead of returning it to the system after every operation.

    A training step frees and allocates the same activations again and again. By default glibc returns blocks above 128
    KiB at once, and each new one costs page faults: a fifth of the CPU time of a step of modular-p11. Where there is no
    mallopt this does nothing.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def is_first_process() -> bool:
    """Is this the process that speaks: the only one, or the first of those that torchrun started?"""
    return os.environ.get("RANK", "0") == "0"
