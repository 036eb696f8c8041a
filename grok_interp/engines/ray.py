"""Cells on a Ray cluster, or on a Ray that is started on this machine for them. The extra `cluster` installs Ray.

A Ray of our own listens to this machine only and reports nothing to anybody. On a cluster all nodes share the file
system of the command, and have the same packages.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from grok_interp.engines.engine import Cell, Outcome, attempted, require_installed

OWN_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # as the processes of --jobs; by default 15, and a busy machine starves them
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # of one node, which then listens to 127.0.0.1 alone, on any system
    "RAY_memory_monitor_refresh_ms": "0",  # as the processes of --jobs; it kills cells when others fill the memory
    "RAY_health_check_timeout_ms": "300000",  # trainings leave Ray itself little time: who answers late is there
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "300",
}
QUIET = {"RAY_DEDUP_LOGS_SKIP_REGEX": "."}  # what Ray says of lost workers it would print on stdout
OBJECT_STORE = 100 * 2**20  # bytes; Ray's least is 75 MiB, and cells are small
GRACE_SECONDS = 10.0  # for resume points, when cells are canceled; for a cluster, to answer


@dataclass(frozen=True)
class RayEngine:
    """Each cell is a task of Ray.

    Args:
        n_jobs: cells at a time; None for as many as there is room for.
        n_cpus: CPU cores of each cell.
        n_gpus: GPUs of each cell; cells with fractions share a GPU, and 0 hides the GPUs.
        n_retries: how often a cell is tried again whose process or node was lost, or killed for want of memory.
        address: of a running cluster, `auto` for the one that runs on this machine; None starts Ray here, and ends it.

    Raises:
        ValueError: without Ray.
    """

    n_jobs: int | None = None
    n_cpus: int = 1
    n_gpus: float = 0
    n_retries: int = 2
    address: str | None = None

    def __post_init__(self) -> None:
        require_installed("ray", engine="ray")

    def map(self, work: Callable[[Cell], Any], cells: Mapping[str, Cell]) -> Generator[Outcome]:
        """See `Engine.map`.

        Args:
            work: is called once for each cell, again when its process was lost.
            cells: name -> what it is called with.

        Raises:
            ValueError: when no cluster answers, or a Ray of our own has too few GPUs.
        """
        if not cells:
            return
        with self._connected() as ray:
            task = ray.remote(num_cpus=self.n_cpus, num_gpus=self.n_gpus, max_retries=self.n_retries)(_in_worker)
            left, running = iter(cells.items()), {}
            try:
                while True:
                    for name, cell in islice(left, (self.n_jobs or len(cells)) - len(running)):
                        running[task.remote(os.getcwd(), work, name, cell)] = name
                    if not running:
                        return
                    for done in ray.wait(list(running))[0]:
                        yield self._outcome(ray, running.pop(done), done)
            finally:
                _cancel(ray, list(running))

    def _outcome(self, ray: Any, name: str, task: Any) -> Outcome:
        try:
            return ray.get(task)
        except ray.exceptions.RayTaskError as error:  # not in the work itself: a module that a node does not have
            return Outcome(name, failure=f"not begun: {_lines(error)[-1]}", details=str(error))
        except ray.exceptions.RayError as error:
            lost = f"its process was lost, --retries {self.n_retries}: {type(error).__name__}: {_lines(error)[0]}"
            return Outcome(name, failure=lost, details=str(error))

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        own = {} if self.address else OWN_RAY  # on a cluster, nodes must reach this process
        retries = {"RAY_task_oom_retries": str(self.n_retries)}  # by default without end
        with _environment(own | QUIET | retries):  # some is read when Ray is imported
            import ray

            if ray.is_initialized():
                yield ray
                return
            handler = signal.getsignal(signal.SIGTERM)
            try:
                self._connect(ray)
                _set_handler(handler)  # Ray puts its own in place
                yield ray
            finally:
                ray.shutdown()
                _set_handler(handler)

    def _connect(self, ray: Any) -> None:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address:
            try:
                _require_listener(self.address)
                ray.init(self.address, **quiet)
            except (OSError, ValueError) as error:
                raise ValueError(
                    f"no Ray cluster answers at --ray-address {self.address}: start one with `ray start --head`, or "
                    f"leave --ray-address out, then Ray is started here ({error})"
                ) from error
            return
        n_cpus = self.n_jobs and self.n_jobs * self.n_cpus
        ray.init("local", num_cpus=n_cpus, include_dashboard=False, object_store_memory=OBJECT_STORE, **quiet)
        there = ray.cluster_resources()
        for kind, needed in (("CPU", self.n_cpus), ("GPU", self.n_gpus)):
            if needed > there.get(kind, 0):
                raise ValueError(
                    f"--{kind.lower()}s-per-job {needed:g}, and Ray sees {there.get(kind, 0):g} on this machine: give "
                    "fewer, or --ray-address of a cluster that has them"
                )


def _require_listener(address: str) -> None:
    """Raises OSError where nothing listens: Ray would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=GRACE_SECONDS).close()


def _in_worker(directory: str, work: Callable[[Cell], Any], name: str, cell: Cell) -> Outcome:
    """In the directory of the command, so that relative paths are the same."""
    if not os.path.isdir(directory):
        return Outcome(name, failure=f"a node has no folder {directory}: all nodes must share one file system")
    with chdir(directory):
        return attempted(work, name, cell)


def _lines(error: Exception) -> list[str]:
    return [line.strip() for line in str(error).splitlines() if line.strip()] or ["no details"]


def _cancel(ray: Any, running: list[Any]) -> None:
    """As Ctrl-C does, so that a run writes a resume point; what goes on is killed, and only that.

    To kill what has just ended would end this process: Ray aborts the caller of a task that it has struck off before.
    No error of Ray may take the place of the interrupt. One that is gone has canceled its tasks; a cancellation that it
    refuses is a TypeError or a ValueError.
    """
    if not running:
        return
    refused = (ray.exceptions.RayError, TypeError, ValueError)
    for task in running:
        with suppress(*refused):
            ray.cancel(task)
    with suppress(*refused):
        _, going_on = ray.wait(running, num_returns=len(running), timeout=GRACE_SECONDS)
        for task in going_on:
            with suppress(*refused):
                ray.cancel(task, force=True)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Inside, these are set for this process and those that it starts, where they are not set already.

    Afterwards nothing is set that was not: Ray leaves a debugger's name, for one.
    """
    before = dict(os.environ)
    os.environ.update({**values, **before})
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]


def _set_handler(handler: Any) -> None:
    with suppress(ValueError):  # only the main thread may
        signal.signal(signal.SIGTERM, handler)
