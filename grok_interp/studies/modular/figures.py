"""Each figure of "Learning to grok" as one function of a run, whatever its size: the preset decides it.

Those that look into one checkpoint take the early-stopped one if no `step` is named. Models run on `device`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grok_interp import plots
from grok_interp.analysis.attention import attention_maps
from grok_interp.analysis.embedding import embedding_pca
from grok_interp.analysis.mlp import mlp_activations
from grok_interp.analysis.phase_diagram import PhaseDiagram, phase_diagram
from grok_interp.analysis.phases import PAPER_THRESHOLD
from grok_interp.analysis.shots import ShotCurves, shot_curve
from grok_interp.data.slot import Position
from grok_interp.plots.drawing import Drawing
from grok_interp.results.store import Analyzer
from grok_interp.runs.run import Run
from grok_interp.studies.modular.fourier import fourier_analysis
from grok_interp.studies.modular.grids import grids
from grok_interp.studies.modular.modular_inputs import (
    N_CONTEXTS,
    ModularInputs,
    evaluation_inputs,
    evaluation_seed,
    last_slot,
    slot_tokens,
    tasks_of_run,
    token_names,
)
from grok_interp.studies.modular.representations import block_similarity, circles, circularities, kaleidoscopes
from grok_interp.studies.modular.results import analyze

NOISES = (0.0, 0.1, 0.2, 0.4, 0.6)


def sweep_diagram(*runs: Run, queries: str = "all", device: str = "cpu") -> PhaseDiagram:
    """The phase diagram of a sweep: one run for each n_id, alpha and seed."""
    return phase_diagram(((run.config, analyze(run, device=device).shots) for run in runs), queries=queries)


def figure_1b(*runs: Run, threshold: float = PAPER_THRESHOLD, queries: str = "all", device: str = "cpu") -> Drawing:
    """Phase diagram over the tasks trained on and alpha, of the best seed with early stopping."""
    return plots.phase_diagram(sweep_diagram(*runs, queries=queries, device=device), threshold=threshold)


def figure_1c(run: Run, *, step: int | None = None, device: str = "cpu") -> Drawing:
    """Accuracy by number of shots, at the early-stopped checkpoint if no step is named."""
    results = analyze(run, device=device)
    return plots.shot_curves(results.shots, step=results.best_step if step is None else step, split="ood_train")


def figure_3(run: Run, *, threshold: float = PAPER_THRESHOLD, device: str = "cpu") -> Drawing:
    """Last-shot accuracy on the four splits over training: o.o.d. generalization may be transient."""
    return plots.last_shot(analyze(run, device=device).shots, threshold=threshold)


def figure_5(
    run: Run,
    *,
    step: int | None = None,
    task: tuple[int, int] | None = None,
    shots: Sequence[int] = (),
    device: str = "cpu",
) -> Drawing:
    """The grid comparison of one task (default: the first o.o.d. one) after some numbers of examples."""
    return plots.grids(grids(run, step=_step(run, step, device), task=task, shots=shots, device=device))


def algorithm_shift(run: Run, *, step: int | None = None, device: str = "cpu") -> Drawing:
    """Beyond the paper: the likelihood of the answers under each algorithm, by number of shots."""
    results = analyze(run, device=device)
    return plots.agreement(results.agreement, step=results.best_step if step is None else step)


def figure_6(
    run: Run,
    *,
    step: int | None = None,
    head: tuple[int, int] | None = None,
    slot: int | None = None,
    device: str = "cpu",
) -> Drawing:
    """The circle of circles of one head; default: the most circular one, in the last slot."""
    return plots.circles(circles(run, step=_step(run, step, device), head=head, slot=slot, device=device))


def figure_7(
    run: Run,
    *,
    layer: int | None = None,
    position: Position = "z",
    step: int | None = None,
    slot: int | None = None,
    device: str = "cpu",
) -> Drawing:
    """Cosine similarity of a block's output over all pairs of the slot (default: the last of both)."""
    step, layer = _step(run, step, device), run.config.model.n_layers - 1 if layer is None else layer
    return plots.similarity(block_similarity(run, step=step, layer=layer, position=position, slot=slot, device=device))


def label_noise(run: Run, *, step: int | None = None, noises: Sequence[float] = NOISES, device: str = "cpu") -> Drawing:
    """Accuracy by number of shots when a fraction of the answers shown is wrong (B.4)."""
    step, inputs = _step(run, step, device), evaluation_inputs(run)
    noisy = [_noisy_shots(run, inputs, noise) for noise in noises]
    curves = run.evaluate(noisy, steps=[step], device=device)
    return plots.label_noise(curves, split="ood_train")


def attention(run: Run, *, step: int | None = None, n_tokens: int = 24, device: str = "cpu") -> Drawing:
    """The patterns of all heads on the first tokens of an unseen task."""
    tasks, step = tasks_of_run(run), _step(run, step, device)
    model = run.load(step).to(device)
    n_ctx = model.cfg.n_ctx
    tokens = slot_tokens(n_ctx, tasks, last_slot(n_ctx))[-1, :n_tokens]
    return plots.attention_patterns(attention_maps(model, tokens), token_names(tokens))


def embedding(run: Run, *, step: int | None = None, device: str = "cpu") -> Drawing:
    """The embeddings of the numbers, even and odd logarithms apart (B.5)."""
    step = _step(run, step, device)
    return plots.embedding(embedding_pca([(step, run.load(step).to(device))], p=tasks_of_run(run).p))


def mlp_maps(
    run: Run,
    *,
    layer: int = 0,
    position: Position = "y",
    n_neurons: int = 12,
    step: int | None = None,
    device: str = "cpu",
) -> Drawing:
    """The most varied neurons of one MLP against (x, y) of the last slot (B.5)."""
    tasks, step = tasks_of_run(run), _step(run, step, device)
    model = run.load(step).to(device)
    slot = last_slot(model.cfg.n_ctx)
    tokens = slot_tokens(model.cfg.n_ctx, tasks, slot)
    found = mlp_activations([(step, model)], tasks.p, tokens, slot=slot, position=position, layer=layer)
    return plots.neuron_maps(found, found.most_varied(n_neurons))


def circles_over_training(run: Run, *, device: str = "cpu") -> Drawing:
    """Beyond the paper: the circularity of every head at every checkpoint, in the last slot of an unseen task."""
    return plots.circularity(circularities(run, device=device))


def kaleidoscopes_over_training(run: Run, *, device: str = "cpu") -> Drawing:
    """Beyond the paper: both patterns in the output of every block, at y and z, at every checkpoint."""
    return plots.kaleidoscopes(kaleidoscopes(run, device=device))


def fourier_over_training(run: Run, *, n_key: int | None = None, device: str = "cpu") -> Drawing:
    """Beyond the paper: Fourier spectra of the number embeddings at every checkpoint, restricted and excluded loss on
    o.o.d. train contexts, and the fraction of the variance in the top frequencies.

    Each group has `n_key` key frequencies, chosen at the last checkpoint; half of all, at most 5, if None.
    """
    found = fourier_analysis(run, n_key=n_key, device=device)
    return plots.fourier(found.spectrum, found.losses, found.tops)


def _noisy_shots(run: Run, inputs: ModularInputs, noise: float) -> Analyzer[ShotCurves]:
    options: dict[str, Any] = {"n_contexts": N_CONTEXTS, "seed": evaluation_seed(run.config), "noise": noise}
    options |= {"splits": ["ood_train"]}
    return Analyzer(
        "noisy_shots",
        ShotCurves,
        {"tasks": inputs.tasks_hash, **options},
        lambda step, model: shot_curve([(step, model)], inputs.tasks, **options),
    )


def _step(run: Run, step: int | None, device: str) -> int:
    """The early-stopped step if none is named."""
    return analyze(run, device=device).best_step if step is None else step
