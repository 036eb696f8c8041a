"""`analyze --engine`: the checkpoints of a series in groups, each evaluated wherever an engine calls it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial

from grok_interp.cli.output import Output
from grok_interp.device import choose_device, choose_threads, threads
from grok_interp.engines.engine import Engine, FailedCellsError
from grok_interp.runs.run import Run
from grok_interp.studies.catalog import study_of

GROUPS_PER_JOB = 4  # so that all end at about the same time
JOBS_OF_A_CLUSTER = 8  # where it is not said how many groups are evaluated at a time


def evaluate_in_groups(
    open_run: Callable[[], Run], engine: Engine, *, n_jobs: int | None, device: str, output: Output
) -> None:
    """Store what the study's analyzers lack of a run's checkpoints. Raises FailedCellsError for groups that failed.

    Args:
        open_run: is called here, and once for each group where it is evaluated; can be pickled.
        engine: where groups are evaluated.
        n_jobs: groups at a time, which decides how large they are; None for as many as a cluster has room for.
        device: what --device says.
        output: shows the progress.
    """
    run, failures, done = open_run(), {}, 0
    missing = _missing(run)
    size = math.ceil(len(missing) / (GROUPS_PER_JOB * (n_jobs or JOBS_OF_A_CLUSTER))) or 1
    cut = [missing[first : first + size] for first in range(0, len(missing), size)]
    groups = {f"steps {steps[0]} to {steps[-1]}": steps for steps in cut}
    with (
        output.progress("analyzing checkpoints") as advance,
        closing(engine.map(partial(_evaluate, open_run, device), groups)) as outcomes,
    ):
        for outcome in outcomes:
            done += len(groups[outcome.name])
            failures |= {outcome.name: outcome.failure} if outcome.failure else {}
            advance(done, len(missing), f"{len(failures)} of {len(groups)} groups failed" if failures else "")
    if failures:
        raise FailedCellsError(failures, len(groups))


def _missing(run: Run) -> list[int]:
    analyzers = study_of(run).analyzers(run)
    lacking = [run.results.missing(analyzer, run.checkpoints, run.steps) for analyzer in analyzers]
    return sorted(set().union(*lacking))


def _evaluate(open_run: Callable[[], Run], device: str, steps: Sequence[int]) -> None:
    run = open_run()
    with threads(choose_threads(run.model.n_params)):
        run.evaluate(study_of(run).analyzers(run), steps=steps, device=choose_device(device))
