"""Which device to use, how many CPU threads, and what to do with freed memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SMALL_MODEL = 1_000_000  # parameters
CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
MEMINFO = Path("/proc/meminfo")


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


def device_name(value: Any, name: str) -> str:
    """The name of a torch device.

    Args:
        value: what was given.
        name: of the argument, for the message.

    Raises:
        ValueError: for what torch does not know as a device, and for a GPU that it does not see.
    """
    import torch

    try:
        device = torch.device(value) if isinstance(value, str | torch.device) else None
    except RuntimeError:  # for a string that is none
        device = None
    if device is None:
        raise ValueError(f'{name} must be a torch device such as "cpu" or "cuda", got {value!r}')
    return choose_device(str(device)) if device.type == "cuda" else str(device)


def choose_threads(n_params: int) -> int:
    """How many CPU threads torch should use: 1 for a small model, unless $OMP_NUM_THREADS says otherwise.

    For copier-mini a second thread saves a fifth of the time on an idle machine and costs ten times on a busy one. The
    number of threads also decides how sums are rounded: with one, a run gives the same bits on 2 cores and on 20. A
    training step uses a second core otherwise (`training.parallel`).

    Args:
        n_params: of the model.
    """
    import torch

    return 1 if is_small(n_params) and "OMP_NUM_THREADS" not in os.environ else torch.get_num_threads()


def is_small(n_params: int) -> bool:
    """Is the model so small that its operations are too short to be shared by threads?"""
    return n_params < SMALL_MODEL


def models_at_once(n_params: int, device: str) -> int:
    """How many models to evaluate at a time: 2 small ones on a CPU with two cores, unless $OMP_NUM_THREADS is set."""
    import joblib

    free = device == "cpu" and is_small(n_params) and "OMP_NUM_THREADS" not in os.environ
    return min(2, joblib.cpu_count()) if free else 1


def use_threads(n_params: int) -> None:
    """Make torch use `choose_threads(n_params)` threads from now on.

    Args:
        n_params: of the model.
    """
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


def memory_of(device: str, *, n_threads: int) -> tuple[str, int, int]:
    """(what computes, its memory, how much of it is free), in bytes; a container's limit is the memory it has."""
    import torch

    if torch.device(device).type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return torch.cuda.get_device_name(device), total, free
    limits = [Path(file).read_text().strip() for file in CONTAINER_LIMITS if Path(file).is_file()]
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    total = min([physical, *(int(limit) for limit in limits if limit.isdigit())])
    known = dict(line.split(":") for line in MEMINFO.read_text().splitlines()) if MEMINFO.is_file() else {}
    free = 1024 * int(known["MemAvailable"].split()[0]) if "MemAvailable" in known else total
    return f"{n_threads} thread{'s' * (n_threads > 1)}", total, min(free, total)


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


def is_out_of_memory(error: BaseException) -> bool:
    """Has an allocation failed, on the CPU or on a GPU? torch tells it as a RuntimeError."""
    if not isinstance(error, MemoryError | RuntimeError):
        return False
    return isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error).lower()
