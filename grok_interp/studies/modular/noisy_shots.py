"""Accuracy by number of shots when a fraction of the answers shown is wrong (B.4); stored with the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grok_interp.analysis.shots import ShotCurves, shot_curve
from grok_interp.results.analyzer import Analyzer
from grok_interp.runs.run import Run
from grok_interp.studies.modular.modular_inputs import N_CONTEXTS, ModularInputs, evaluation_inputs, evaluation_seed


def noisy_shots(run: Run, noises: Sequence[float], *, step: int, device: str = "cpu") -> list[ShotCurves]:
    """One result for each fraction of wrong answers, on the same contexts.

    Args:
        run: a run on modular arithmetic.
        noises: fractions of the answers shown that are wrong, 0 to 1.
        step: of the checkpoint.
        device: where the model runs, a torch device.
    """
    inputs = evaluation_inputs(run)
    return run.evaluate([_noisy_shots(run, inputs, noise) for noise in noises], steps=[step], device=device)


def _noisy_shots(run: Run, inputs: ModularInputs, noise: float) -> Analyzer[ShotCurves]:
    options: dict[str, Any] = {"n_contexts": N_CONTEXTS, "seed": evaluation_seed(run.config), "noise": noise}
    options |= {"splits": ["ood_train"]}
    return Analyzer(
        "noisy_shots",
        ShotCurves,
        {"tasks": inputs.tasks_hash, **options},
        lambda step, model: shot_curve([(step, model)], inputs.tasks, **options),
    )
