"""A finished run whose later checkpoints are out of sight, as if it were still training."""

from pathlib import Path

from grok_interp.configs import TrainConfig
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training


def run_up_to_step_5(config: TrainConfig, folder: Path) -> Run:
    """The last three of five checkpoints are hidden, beside the run."""
    run = run_training(folder / "run", config)
    for step in (10, 15, 20):
        hide(run, step)
    return run


def hide(run: Run, step: int) -> None:
    path = run.checkpoints.path(step)
    path.rename(run.directory.parent / path.name)


def uncover(run: Run, step: int) -> None:
    path = run.checkpoints.path(step)
    (run.directory.parent / path.name).rename(path)
