"""What intervals over in-context answers are over: contexts, and tasks where only some of a split's are evaluated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from grok_interp.analysis.evaluation_contexts import EvaluationContexts
from grok_interp.counted import counted
from grok_interp.data.modular import Split


def sampling_coordinates(contexts: Sequence[EvaluationContexts]) -> dict[str, tuple[str, list[int]]]:
    """Coordinates along `split` that say what was evaluated: contexts in all, tasks, and tasks that the split has.

    Args:
        contexts: one entry per split.
    """
    return {
        "n_contexts": ("split", [each.inputs.shape[:2].numel() for each in contexts]),
        "n_tasks": ("split", [len(each.tasks) for each in contexts]),
        "n_all_tasks": ("split", [each.n_all_tasks for each in contexts]),
    }


def sampled_over(dataset: xr.Dataset, split: Split) -> str:
    """What the intervals of a result are over: "2,601 contexts (289 for each of all 9 tasks)".

    Args:
        dataset: with the coordinates of `sampling_coordinates`.
        split: one that was evaluated.
    """
    n_contexts, n_tasks, n_all = (
        int(dataset[name].sel(split=split)) for name in ("n_contexts", "n_tasks", "n_all_tasks")
    )
    of = f"all {n_tasks} tasks" if n_tasks == n_all else f"{n_tasks} of {n_all} tasks"
    return f"{counted(n_contexts, 'context')} ({n_contexts // n_tasks:,} for each of {of})"


def each_sampled_over(dataset: xr.Dataset) -> str:
    """What the intervals of a result are over in each split: "1,500 contexts per split".

    Where only some tasks of a split were evaluated, intervals are over tasks too: "1,500-1,504 contexts and 9-16 tasks
    per split".

    Args:
        dataset: with the coordinates of `sampling_coordinates`.
    """
    contexts, tasks, all_tasks = (dataset[name].to_numpy() for name in ("n_contexts", "n_tasks", "n_all_tasks"))
    of_tasks = f" and {_extent(tasks)} tasks" if (tasks < all_tasks).any() else ""
    return f"{_extent(contexts)} contexts{of_tasks} per split"


def _extent(numbers: np.ndarray) -> str:
    low, high = int(numbers.min()), int(numbers.max())
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"
