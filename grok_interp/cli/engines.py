"""`--engine` and what belongs to it: where many runs, or many checkpoints, are worked on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from grok_interp.engines.engine import Engine


@dataclass(frozen=True)
class EngineOptions:
    """Where many runs or checkpoints are worked on.

    Args:
        engine: local processes, or a Ray cluster, which the extra `cluster` needs.
        jobs: runs or groups of checkpoints at a time, each in a process of its own; by default 1, on a cluster as many
            as it has room for. Ctrl-C costs each its last 20 seconds at most.
        cpus_per_job: CPU cores of each, on a cluster.
        gpus_per_job: GPUs of each, on a cluster: 0.5 lets two share one; 0 trains on CPUs.
        retries: how often one is tried again whose process or node was lost, on a cluster.
        ray_address: of a running Ray cluster, or `auto` for the one on this machine; by default Ray is started here.
    """

    engine: Literal["local", "ray"] = "local"
    jobs: int | None = None
    cpus_per_job: int = 1
    gpus_per_job: float = 0.0
    retries: int = 2
    ray_address: str | None = None

    def chosen(self, device: str) -> Engine:
        """The engine; raises ValueError for options that do not fit.

        Args:
            device: what --device says.
        """
        if broken := next(self._broken(device), None):
            raise ValueError(broken)
        if self.engine == "ray":
            from grok_interp.engines.ray import RayEngine

            return RayEngine(self.jobs, self.cpus_per_job, self.gpus_per_job, self.retries, self.ray_address)
        from grok_interp.engines.local import LocalEngine

        return LocalEngine(self.jobs or 1)

    def _broken(self, device: str) -> Iterator[str]:
        if self.jobs is not None and self.jobs < 1:
            yield f"--jobs needs 1 process or more, got {self.jobs}"
        if self.cpus_per_job < 1 or self.retries < 0 or self.gpus_per_job < 0:
            yield (
                f"--cpus-per-job needs 1 or more, --gpus-per-job and --retries 0 or more, got {self.cpus_per_job}, "
                f"{self.gpus_per_job:g} and {self.retries}"
            )
        if self.gpus_per_job > 1 and self.gpus_per_job % 1:
            yield f"--gpus-per-job is a fraction of one GPU or a whole number of them, got {self.gpus_per_job:g}"
        if self.engine == "local" and (given := self._given("cpus_per_job", "gpus_per_job", "retries", "ray_address")):
            yield f"{given} is for --engine ray, this is --engine local: leave it out"
        if self.engine != "local" and device.startswith("cuda") and not self.gpus_per_job:
            yield f"--engine {self.engine} --device {device} needs --gpus-per-job, such as 1, or 0.5 for two on one GPU"

    def _given(self, *names: str) -> str:
        """The first of these options that is not at its default, as a flag; empty if all are."""
        changed = (name for name in names if getattr(self, name) != getattr(HERE, name))
        return next((f"--{name.replace('_', '-')}" for name in changed), "")


EngineFlags = Annotated[EngineOptions, tyro.conf.arg(name="")]
HERE = EngineOptions()
