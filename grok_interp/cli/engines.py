"""`--engine` and what belongs to it: where many runs, or many checkpoints, are worked on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from pathlib import Path

    from grok_interp.engines.engine import Engine


@dataclass(frozen=True)
class EngineOptions:
    """Where many runs or checkpoints are worked on.

    Args:
        engine: local processes; or a Ray cluster or Slurm, which need the extra `cluster`.
        jobs: runs or groups of checkpoints at a time, each in its own process; by default 1, on a cluster as many as it
            has room for. Ctrl-C loses at most the last 20 seconds of each.
        cpus_per_job: CPU cores of each, on a cluster.
        gpus_per_job: GPUs of each, on a cluster: 0.5 lets two share one; 0 trains on CPUs.
        retries: on a cluster, how often a run is tried again when its process or node was lost.
        ray_address: of a running Ray cluster, or `auto` for the one on this machine; by default Ray is started here.
        slurm: KEY=VALUE (repeat --slurm), an option of Slurm as submitit names it: partition=gpu, time=600 (minutes,
            by default 240; then the job is requeued and resumes), account, mem, constraint and so on.
    """

    engine: Literal["local", "ray", "slurm"] = "local"
    jobs: int | None = None
    cpus_per_job: int = 1
    gpus_per_job: float = 0.0
    retries: int = 2
    ray_address: str | None = None
    slurm: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()

    def chosen(self, device: str, folder: Path) -> Engine:
        """The engine; raises ValueError for options that do not fit.

        Args:
            device: what --device says.
            folder: of what is made; Slurm's jobs keep their files in it.
        """
        if broken := next(self._broken(device), None):
            raise ValueError(broken)
        if self.engine == "ray":
            from grok_interp.engines.ray import RayEngine

            return RayEngine(self.jobs, self.cpus_per_job, self.gpus_per_job, self.retries, self.ray_address)
        if self.engine == "slurm":
            from grok_interp.engines.slurm import SlurmEngine

            n_gpus = int(self.gpus_per_job)
            return SlurmEngine(folder / "slurm", self.jobs, self.cpus_per_job, n_gpus, self.retries, self._slurm())
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
        if self.gpus_per_job % 1 and (self.gpus_per_job > 1 or self.engine == "slurm"):
            whole = "a whole number" if self.engine == "slurm" else "a fraction of one GPU or a whole number of them"
            yield f"--gpus-per-job is {whole} with --engine {self.engine}, got {self.gpus_per_job:g}"
        for name, engines in BELONGS_TO.items():
            if self.engine not in engines and getattr(self, name) != getattr(HERE, name):
                yield (
                    f"--{name.replace('_', '-')} is for --engine {' and '.join(engines)}, this is --engine "
                    f"{self.engine}: leave it out"
                )
        if wrong := [text for text in self.slurm if not all(text.partition("="))]:
            yield f"--slurm needs KEY=VALUE, got {wrong[0]!r}: as in partition=gpu"
        if self.engine != "local" and device.startswith("cuda") and not self.gpus_per_job:
            such_as = "1, or 0.5 for two on one GPU" if self.engine == "ray" else "1"
            yield f"--engine {self.engine} --device {device} needs --gpus-per-job, such as {such_as}"

    def _slurm(self) -> dict[str, str | int]:
        pairs = [text.partition("=")[::2] for text in self.slurm]
        return {name.replace("-", "_"): int(value) if value.isdigit() else value for name, value in pairs}


BELONGS_TO = {
    "cpus_per_job": ("ray", "slurm"),
    "gpus_per_job": ("ray", "slurm"),
    "retries": ("ray", "slurm"),
    "ray_address": ("ray",),
    "slurm": ("slurm",),
}
EngineFlags = Annotated[EngineOptions, tyro.conf.arg(name="")]
HERE = EngineOptions()
