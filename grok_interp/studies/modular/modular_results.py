"""The results at every checkpoint of a modular run: how it answers in context, and by which algorithm.

shots       accuracy and loss on the four splits by number of shots, by what it takes to answer
agreement   likelihood of its answers under Ratio Matching, Modular Regression, memorization and chance
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from grok_interp.analysis.agreement import AlgorithmAgreement, agreement_of
from grok_interp.analysis.emergence import Emergence
from grok_interp.analysis.evaluation_contexts import AnsweredContexts, answers_of
from grok_interp.analysis.phase_diagram import PhaseDiagram, phase_diagram
from grok_interp.analysis.shots import ShotCurves, shot_curve_of
from grok_interp.arguments import checked
from grok_interp.data.modular import Split
from grok_interp.models.activations import HookedModel
from grok_interp.results.analyzer import Analyzer
from grok_interp.runs.run import Run
from grok_interp.studies.change_points import rise
from grok_interp.studies.modular.modular_inputs import ModularInputs, evaluation_inputs
from grok_interp.studies.run_results import RunResults

EARLY_STOPPING: tuple[Split, ...] = ("ood_train", "ood_test")  # the splits whose best checkpoint is kept
VERSION = 2  # of both results


@dataclass(frozen=True)
class ModularResults(RunResults):
    """Both results of the same checkpoints."""

    shots: ShotCurves
    agreement: AlgorithmAgreement

    @classmethod
    def analyzers(cls, inputs: ModularInputs) -> list[Analyzer]:
        """Both are computed from the same predictions, which each model makes once.

        Args:
            inputs: what checkpoints are evaluated on.
        """

        @lru_cache(maxsize=2)  # models are evaluated two at a time
        def predictions(model: HookedModel) -> list[AnsweredContexts]:
            return answers_of(model, inputs.contexts)

        def shots(step: int, model: HookedModel) -> ShotCurves:
            return shot_curve_of([step], [predictions(model)])

        def agreement(step: int, model: HookedModel) -> AlgorithmAgreement:
            return agreement_of([step], [predictions(model)], inputs.tasks)

        described = inputs.description()
        return [
            Analyzer("shots", ShotCurves, described, shots, VERSION),
            Analyzer("agreement", AlgorithmAgreement, described, agreement, VERSION),
        ]

    @property
    def best_step(self) -> int:
        """Where early stopping would have stopped: the largest last-shot accuracy on o.o.d. tasks, over new queries.

        The choice uses the contexts that are reported, so accuracies at this step are too high by a part of their
        standard error where several checkpoints are close.
        """
        return self.shots.best_checkpoint(*EARLY_STOPPING, queries="new")

    @cached_property
    def rise(self) -> Emergence | None:
        """Of the last-shot accuracy on unseen tasks; None with too few checkpoints."""
        of_split = {"split": "ood_train"}
        queries = self.shots.effective_queries().isel(shot=-1).sel(of_split).median("checkpoint")
        curve = self.shots.last_shot().sel(of_split, drop=True).dropna("checkpoint")
        return rise(curve, chance=1 / self.shots.dataset.attrs["p"], trials=float(queries))


@checked
def analyze(
    run: Run,
    inputs: ModularInputs | None = None,
    *,
    device: str = "cpu",
    on_checkpoint: Callable[[int, int], None] | None = None,
) -> ModularResults:
    """Evaluate every checkpoint of a run whose results are not stored yet.

    Args:
        run: a run on modular arithmetic; it may still be training.
        inputs: what to evaluate on; `evaluation_inputs(run)` if None.
        device: where models run, a torch device.
        on_checkpoint: called with (checkpoints done, checkpoints to do).

    Raises:
        ValueError: for a run on text, without checkpoints, or with a damaged one.
    """
    return ModularResults.of_run(
        run, ModularResults.analyzers(inputs or evaluation_inputs(run)), device=device, on_checkpoint=on_checkpoint
    )


@checked
def sweep_diagram(*runs: Run, queries: str = "all", device: str = "cpu") -> PhaseDiagram:
    """The phase diagram of a sweep: one run for each n_id, alpha and seed.

    Args:
        runs: on modular arithmetic.
        queries: "all" or "new", as in `phase_diagram`.
        device: where models run, a torch device.
    """
    return phase_diagram(((run.config, analyze(run, device=device).shots) for run in runs), queries=queries)
