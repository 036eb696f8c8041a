"""Do the heads that I(L, H) finds do the copying, and from which step on? Ablate them, beside controls.

The paper measures heads and copying side by side and ablates none. Results are stored with the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

from grok_interp.analysis.ablation import HeadAblation, head_ablation
from grok_interp.analysis.ablation_arguments import WAYS, Head
from grok_interp.analysis.checkpoints_of import Checkpoints
from grok_interp.analysis.single_ablation import SingleAblation, single_ablation
from grok_interp.configs.schedules import spread_steps
from grok_interp.models.activations import HookedModel
from grok_interp.results.analyzer import Analyzer
from grok_interp.runs.run import Run
from grok_interp.studies.copying.ablation_inputs import VERSION, AblationInputs, ablation_inputs
from grok_interp.studies.copying.copying_results import analyze

N_CHECKPOINTS = 12  # four ways at so many take copier-mini about a minute on one slow core
CLAIMED_WAYS = ("mean",)  # of ablation, where a head is said to carry copying
SEED = 0
Progress = Callable[[int, int], None]  # (done, to do)


def ablations(
    run: Run,
    *,
    heads: Sequence[Head] | None = None,
    ways: Sequence[str] = WAYS,
    n_checkpoints: int = N_CHECKPOINTS,
    device: str = "cpu",
    on_checkpoint: Progress | None = None,
) -> list[HeadAblation]:
    """One result for each way, at `n_checkpoints` spread over the run, on `ablation_inputs`.

    The k heads of largest score: `heads=analyze(run).induction.strongest(k)`. Each checkpoint is loaded once for all
    ways. `on_checkpoint` is called with (checkpoints done, checkpoints to do).
    """
    results = analyze(run, device=device)
    inputs = ablation_inputs(run, results, heads=heads, device=device)
    steps = spread_steps(results.steps, n_checkpoints)
    analyzers = [_ablation(inputs, how) for how in ways]
    return run.evaluate(analyzers, steps=steps, device=device, on_checkpoint=on_checkpoint)


def _ablation(inputs: AblationInputs, how: str) -> Analyzer[HeadAblation]:
    described = {**inputs.description(), "seed": SEED}
    return Analyzer(
        f"ablation_{how}",
        HeadAblation,
        described,
        lambda step, model: ablation_of([(step, model)], inputs, how),
        VERSION,
    )


def ablation_of(checkpoints: Checkpoints, inputs: AblationInputs, how: str) -> HeadAblation:
    """`head_ablation` on these inputs."""
    return head_ablation(
        checkpoints,
        inputs.samples,
        inputs.windows,
        heads=inputs.heads,
        spared=inputs.spared,
        how=how,
        n_draws=inputs.n_draws,
        seed=SEED,
        **inputs.options(how),
    )


def single_ablations(
    run: Run, *, ways: Sequence[str] = WAYS, device: str = "cpu", on_model: Progress | None = None
) -> list[SingleAblation]:
    """Every head of the last checkpoint ablated alone, one result for each way.

    `on_model` is called with (models done, models to do), each once for every way that is not stored yet: the intact
    model, and one without each head.
    """
    results = analyze(run, device=device)
    inputs, last = ablation_inputs(run, results, device=device), results.steps[-1:]
    done, n_missing = count(1), 0

    def advance(_: int, n_models: int) -> None:
        if on_model:
            on_model(next(done), n_models * n_missing)

    analyzers = [_single_ablation(inputs, how, advance) for how in ways]
    n_missing = sum(bool(run.results.missing(each, run.checkpoints, last)) for each in analyzers)
    return run.evaluate(analyzers, steps=last, device=device)


def _single_ablation(inputs: AblationInputs, how: str, on_model: Progress | None = None) -> Analyzer[SingleAblation]:
    def evaluate(step: int, model: HookedModel) -> SingleAblation:
        options = {"how": how, "seed": SEED, "on_model": on_model, **inputs.options(how)}
        return single_ablation([(step, model)], inputs.samples, inputs.windows, **options)

    described = {**inputs.text(), "seed": SEED}
    return Analyzer(f"single_ablation_{how}", SingleAblation, described, evaluate, VERSION)


def are_stored(run: Run, name: str, ways: Sequence[str] = WAYS) -> bool:
    """Are the results of `ablation`, or `single_ablation`, stored in these ways, for the checkpoints there are now?"""
    if not all(run.results.has(f"{name}_{how}") for how in ways):
        return False
    results = analyze(run)
    inputs = ablation_inputs(run, results)
    analyzer = _ablation if name == "ablation" else _single_ablation
    steps = spread_steps(results.steps, N_CHECKPOINTS) if name == "ablation" else results.steps[-1:]
    return not any(run.results.missing(analyzer(inputs, how), run.checkpoints, steps) for how in ways)


def stored_ablation(run: Run) -> HeadAblation | None:
    """The mean ablation of the induction heads over training, where it was evaluated: an ablation takes longer than a
    report."""
    return ablations(run, ways=CLAIMED_WAYS)[0] if are_stored(run, "ablation", CLAIMED_WAYS) else None
