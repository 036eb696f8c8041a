"""Cells as jobs of Slurm, through submitit, which the extra `cluster` installs.

FOLDER/jobs.json    cell -> job: what still waits or runs is not submitted again, also when the command was killed
FOLDER/7_0_*        what submitit keeps of a job: its input, its output, its log
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grok_interp.engines.engine import Cell, Outcome, attempted, require_installed
from grok_interp.files import write_text

MINUTES = 240  # of a job, unless `options` say otherwise; then it is requeued, and its run resumes
MOST_REQUEUES = 100
LOOK_SECONDS = 1.0  # between two looks at the jobs; submitit asks Slurm more rarely
JOBS = "jobs.json"


@dataclass(frozen=True)
class SlurmEngine:
    """Each cell is a job, in one array. The folder and the runs are on a file system that all nodes share.

    Args:
        folder: for jobs.json and the files of submitit.
        n_jobs: cells at a time; None for as many as Slurm starts.
        n_cpus: CPU cores of each cell.
        n_gpus: GPUs of each cell.
        n_retries: how often a cell is tried again whose job was lost.
        options: of Slurm, as submitit names them: partition, time (minutes), account, mem, constraint and so on.
        executor: of submitit: slurm, or local for processes on this machine.

    Raises:
        ValueError: without submitit.
    """

    folder: Path
    n_jobs: int | None = None
    n_cpus: int = 1
    n_gpus: int = 0
    n_retries: int = 2
    options: Mapping[str, str | int] = field(default_factory=dict)
    executor: str = "slurm"

    def __post_init__(self) -> None:
        require_installed("submitit", engine="slurm")

    def map(self, work: Callable[[Cell], Any], cells: Mapping[str, Cell]) -> Generator[Outcome]:
        """See `Engine.map`.

        Args:
            work: is called once for each cell, again when its job was lost.
            cells: name -> what it is called with.

        Raises:
            ValueError: where there is no Slurm, or for options that it has not.
        """
        executor, attempt, tries = self._executor(), _Attempt(work), dict.fromkeys(cells, 1)
        running = self._still_running(executor, cells)
        try:
            running |= _submitted(executor, attempt, {name: cells[name] for name in cells if name not in running})
            self._note(running)
            while running:
                for name in [name for name, job in running.items() if job.done()]:
                    found = _result(running.pop(name))
                    if isinstance(found, Outcome):
                        yield found
                    elif tries[name] <= self.n_retries:
                        tries[name] += 1
                        running |= _submitted(executor, attempt, {name: cells[name]})
                    else:
                        lost = f"its job was lost, --retries {self.n_retries}: {_last_line(found)}"
                        yield Outcome(name, failure=lost, details=str(found))
                    self._note(running)
                time.sleep(LOOK_SECONDS)
        finally:
            for job in running.values():
                job.cancel(check=False)
            self._note({})

    def _executor(self) -> Any:
        import submitit

        timeouts = {f"{self.executor}_max_num_timeout": MOST_REQUEUES}
        limits = {"slurm_array_parallelism": self.n_jobs} if self.n_jobs else {}
        given = {f"slurm_{name}": value for name, value in self.options.items()}
        try:
            executor = submitit.AutoExecutor(self.folder, cluster=self.executor, **timeouts)
            executor.update_parameters(
                name="grok-interp",
                timeout_min=MINUTES,
                cpus_per_task=self.n_cpus,
                gpus_per_node=self.n_gpus or None,
                **limits,
                **given,
            )
        except RuntimeError as error:
            raise ValueError("--engine slurm: no srun on this machine, give the command on a login node") from error
        except NameError as error:
            raise ValueError(f"--slurm: {' '.join(str(error).split())}") from error
        return executor

    def _still_running(self, executor: Any, cells: Mapping[str, Any]) -> dict[str, Any]:
        """Jobs that were submitted before the command was killed."""
        try:
            noted = json.loads((self.folder / JOBS).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        kind = type(executor._executor).job_class  # `AutoExecutor` does not give it
        jobs = {name: kind(self.folder, job_id) for name, job_id in noted.items() if name in cells}
        return {name: job for name, job in jobs.items() if not job.done(force_check=True)}

    def _note(self, running: Mapping[str, Any]) -> None:
        write_text(self.folder / JOBS, json.dumps({name: job.job_id for name, job in running.items()}, indent=1) + "\n")


class _Attempt:
    """What a job calls; before its time limit submitit asks what is to be called when it is requeued."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self.work = work

    def __call__(self, name: str, cell: Any) -> Outcome:
        return attempted(self.work, name, cell)

    def checkpoint(self, name: str, cell: Any) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, name, cell)


def _submitted(executor: Any, attempt: _Attempt, cells: Mapping[str, Any]) -> dict[str, Any]:
    """Name -> job, all in one array. Raises ValueError when Slurm refuses them."""
    from submitit.core.utils import FailedJobError

    if not cells:
        return {}
    try:
        with executor.batch():
            return {name: executor.submit(attempt, name, cell) for name, cell in cells.items()}
    except FailedJobError as error:
        raise ValueError(f"Slurm refused the jobs: {_last_line(error)}; --slurm KEY=VALUE gives its options") from error


def _result(job: Any) -> Outcome | Exception:
    """What the job returned, or why there is nothing."""
    from submitit.core.utils import UncompletedJobError

    try:
        return job.result()
    except UncompletedJobError as error:
        return error


def _last_line(error: Exception) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip(" -")), "no details")
