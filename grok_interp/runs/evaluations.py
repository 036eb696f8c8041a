"""What a callback finds at checkpoints while a run trains: a line of evaluations.jsonl for each, and early stopping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from grok_interp.arguments import checked
from grok_interp.arguments.objects import shown
from grok_interp.runs.metrics import append_metrics, cut_metrics, metric_line, metric_rows

if TYPE_CHECKING:
    import pandas as pd

    from grok_interp.models.transformer import Transformer
    from grok_interp.runs.trackers import Tracker

Evaluate = Callable[[int, "Transformer"], Mapping[str, float] | None]
COLUMNS = ("step",)


class StopTraining(Exception):  # noqa: N818 (it is no error)
    """Raised by a callback of `run_training` to end the training; metrics and a resume point are kept.

    The same command resumes there.

    Example:
        >>> def stop_below(loss):
        ...     def evaluate(step, model):
        ...         if loss < 1.0:
        ...             raise StopTraining(f"loss {loss} at step {step}")
        ...     return evaluate
    """


class Evaluations:
    """Of one run, from the step on that it resumes from.

    Args:
        directory: of the run.
        evaluate: (step, model in eval mode) -> name -> number, NaN included, or None.
        resumed: the step from which it trains; its checkpoint is evaluated again.
        trackers: that show what is found.
    """

    def __init__(self, directory: Path, evaluate: Evaluate, resumed: int, trackers: Sequence[Tracker] = ()) -> None:
        self.file, self.evaluate, self.trackers = _file(directory), evaluate, trackers
        cut_metrics(self.file, resumed - 1, columns=COLUMNS)

    def __call__(self, step: int, model: Transformer) -> dict[str, float]:
        """Evaluate, and note what is found. Raises ValueError for what is no mapping from names to numbers."""
        with torch.no_grad():
            found = self.evaluate(step, model.eval())
        if found is None:
            found = {}
        if not isinstance(found, Mapping):
            raise ValueError(
                f'evaluate must return names with numbers, {{"accuracy": 0.5}}, or None, got {shown(found)} at step '
                f"{step}: put the number under a name"
            )
        numbers = {name: _number(value) for name, value in found.items()}
        values = {str(name): value for name, value in numbers.items() if value is not None}
        if wrong := [name for name in numbers if not isinstance(name, str) or name == "step" or name not in values]:
            raise ValueError(
                f"evaluate must return names other than 'step' with numbers, got {wrong} among {shown(found)} at step "
                f"{step}: names are strings, and a tensor or array is one number"
            )
        if values:
            append_metrics(self.file, metric_line({"step": step, **values}))
        for tracker in self.trackers:
            tracker.log(step, {f"evaluation/{name}": value for name, value in values.items()})
        return values


@checked
def evaluations(directory: Path | str) -> pd.DataFrame:
    """The results of `evaluate` from the training of the run in a folder.

    Args:
        directory: of the run.

    Returns:
        One row per evaluated checkpoint: step, and a column for each name. Empty if nothing was evaluated.

    Example:
        >>> evaluations("no/run").empty
        True
    """
    import pandas as pd

    rows = [{k: v for k, v in row.items() if k != "crc32"} for row in metric_rows(_file(Path(directory)), COLUMNS)]
    return pd.DataFrame(rows)


def _number(value: Any) -> float | None:
    """Of Python, NumPy or torch, also NaN and infinity; None for what is no single number."""
    if getattr(value, "ndim", 0) or not hasattr(value, "__float__"):
        return None
    try:
        return float(value.detach() if isinstance(value, torch.Tensor) else value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # complex ones, those of no memory, 10 ** 400
        return None


def _file(directory: Path) -> Path:
    return directory / "evaluations.jsonl"
