"""With which changes of its configuration a run can resume: those that change no update that was made.

`n_steps` where the learning rates of the updates made stay what they were, as with a constant rate;
`checkpoint_steps` that are still to come; `micro_batch_size`, which changes rounding. What was changed, and at which
step, is noted in config.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from grok_interp.configs import TrainConfig
from grok_interp.runs.record import write_record
from grok_interp.runs.recorder import resume_points
from grok_interp.runs.run import Run
from grok_interp.training.optimizer import schedule_factor

CHANGEABLE = ("n_steps", "checkpoint_steps", "micro_batch_size")
REMEDY = "give another directory, or that config"


def continue_under(run: Run, config: TrainConfig) -> Run:
    """The run under another configuration, which is then noted in it. Raises ValueError with the reasons against it.

    Args:
        run: an unfinished one.
        config: differs from the run's only in what may change.
    """
    differences = config.differences(run.config)
    if not differences:
        return run
    points = resume_points(run.directory)
    reached = int(points[0].stem.removeprefix("step_")) if points else 0
    if reasons := list(_reasons(run, config, reached)):
        raise another_config(run.directory, differences, *reasons)
    change = {"step": reached, **{name: [there, asked] for name, (asked, there) in differences.items()}}
    record: dict[str, Any] = {**run.record, "train": config.to_dict()}
    write_record(run.directory, {**record, "changes": [*run.record.get("changes", []), change]})
    return Run.open(run.directory, trust_source=True)


def another_config(directory: Path, differences: Mapping[str, tuple[Any, Any]], *reasons: str) -> ValueError:
    """What is said of a run that cannot be trained under the requested config.

    Args:
        directory: of the run.
        differences: field -> (requested, there).
        reasons: why each cannot be changed.
    """
    listed = ", ".join(f"{name}: {there!r} there, {asked!r} asked" for name, (asked, there) in differences.items())
    return ValueError(f"{directory} holds a run of another config ({listed}): {'; '.join([*reasons, REMEDY])}")


def _reasons(run: Run, config: TrainConfig, reached: int) -> Iterator[str]:
    differences, has_dropout = config.differences(run.config), config.model.attn_dropout > 0
    if has_dropout and {"n_steps", "micro_batch_size"} & set(differences):
        yield "dropout masks depend on n_steps and micro_batch_size"
    if config.n_steps < reached:
        yield f"it has reached step {reached}"
    elif any(schedule_factor(run.config, step) != schedule_factor(config, step) for step in range(reached)):
        yield (
            f"the learning rates of the {reached} updates made would be others; n_steps can change where the rate is "
            "constant (final_factor 1)"
        )
    if lost := [step for step in config.kept_steps if step < reached and step not in run.steps]:
        yield f"no checkpoint was kept at steps {lost[:5]}, which are over"
