"""The grid comparison of a run at one checkpoint, after several numbers of examples; stored with the run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from grok_interp.analysis.grid import GridComparison, grid_comparisons
from grok_interp.models.activations import HookedModel
from grok_interp.results.analyzer import Analyzer
from grok_interp.runs.run import Run
from grok_interp.studies.modular.modular_inputs import default_shots, grid_examples, tasks_of_run, unseen_task


def grids(
    run: Run,
    *,
    step: int,
    task: tuple[int, int] | None = None,
    shots: Sequence[int] = (),
    device: str = "cpu",
) -> list[GridComparison]:
    """Every query of one task after the first k of the same examples, for each k.

    Args:
        run: a run on modular arithmetic.
        step: of the checkpoint.
        task: (a, b); the first o.o.d. one without a shortcut if None.
        shots: numbers of examples k; few, half and all but one of the context if empty.
        device: where the model runs, a torch device.
    """
    tasks, n_examples = tasks_of_run(run), run.config.model.n_ctx // 3
    chosen, shots = task or unseen_task(tasks), list(shots or default_shots(n_examples))
    examples = grid_examples(tasks.p, n_examples - 1)

    @lru_cache(maxsize=1)
    def all_grids(model: HookedModel) -> list[GridComparison]:
        return grid_comparisons(model, tasks.p, chosen, examples, shots=shots)

    def after(k: int) -> Analyzer[GridComparison]:
        inputs = {"task": list(chosen), "p": tasks.p, "k": k, "examples": examples[:k].tolist()}
        return Analyzer("grid", GridComparison, inputs, lambda _, model: all_grids(model)[shots.index(k)])

    return run.evaluate([after(k) for k in shots], steps=[step], device=device)
