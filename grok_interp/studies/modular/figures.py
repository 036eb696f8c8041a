"""Each figure of "Learning to grok", and beyond it, as one function of a run, whatever its size: the preset decides it.

Those that look into one checkpoint take the early-stopped one if no `step` is named. Models run on `device`. What a
figure is drawn with is imported when it is drawn (see studies/picture.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from grok_interp.runs.run import Run
from grok_interp.studies.modular.experiments import BASELINE, PHASES
from grok_interp.studies.picture import Pictures

if TYPE_CHECKING:
    from grok_interp.data.slot import Position
    from grok_interp.plots.drawing import Drawing

FIGURES = Pictures("modular")
NOISES = (0.0, 0.1, 0.2, 0.4, 0.6)


@FIGURES.of_runs("fig1b", "phase diagram over the tasks trained on and alpha", experiment=PHASES)
def figure_1b(*runs: Run, threshold: float | None = None, queries: str = "all", device: str = "cpu") -> Drawing:
    """Phase diagram over the tasks trained on and alpha, of the best seed with early stopping.

    Args:
        runs: on modular arithmetic, one for each n_id, alpha and seed.
        threshold: accuracy above which a split counts as learned; 0.75 if None.
        queries: "all" or "new", as in `phase_diagram`.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.analysis.phases import PAPER_THRESHOLD
    from grok_interp.studies.modular.results import sweep_diagram

    threshold = PAPER_THRESHOLD if threshold is None else threshold
    return plots.phase_diagram(sweep_diagram(*runs, queries=queries, device=device), threshold=threshold)


@FIGURES.of_run("fig1c", "accuracy by number of shots", experiment=BASELINE)
def figure_1c(run: Run, *, step: int | None = None, device: str = "cpu") -> Drawing:
    """Accuracy by number of shots, at the early-stopped checkpoint if no step is named."""
    from grok_interp import plots
    from grok_interp.studies.modular.results import analyze

    results = analyze(run, device=device)
    return plots.shot_curves(results.shots, step=results.best_step if step is None else step, split="ood_train")


@FIGURES.of_run("fig3", "last-shot accuracy on the four splits over training", experiment=BASELINE)
def figure_3(run: Run, *, threshold: float | None = None, device: str = "cpu") -> Drawing:
    """Last-shot accuracy on the four splits over training: o.o.d. generalization may be transient.

    Args:
        run: a run on modular arithmetic.
        threshold: accuracy above which a split counts as learned; 0.75 if None.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.analysis.phases import PAPER_THRESHOLD
    from grok_interp.studies.modular.results import analyze

    threshold = PAPER_THRESHOLD if threshold is None else threshold
    return plots.last_shot(analyze(run, device=device).shots, threshold=threshold)


@FIGURES.of_run("fig5", "one unseen task: answers query by query, beside both algorithms", experiment=BASELINE)
def figure_5(
    run: Run,
    *,
    step: int | None = None,
    task: tuple[int, int] | None = None,
    shots: Sequence[int] = (),
    device: str = "cpu",
) -> Drawing:
    """The grid comparison of one task (default: the first o.o.d. one) after some numbers of examples."""
    from grok_interp import plots
    from grok_interp.studies.modular.grids import grids

    return plots.grids(grids(run, step=_step(run, step, device), task=task, shots=shots, device=device))


@FIGURES.of_run("fig6", "circle of circles: principal components of one head", experiment=BASELINE)
def figure_6(
    run: Run,
    *,
    step: int | None = None,
    head: tuple[int, int] | None = None,
    slot: int | None = None,
    device: str = "cpu",
) -> Drawing:
    """The circle of circles of one head; default: the most circular one, in the last slot."""
    from grok_interp import plots
    from grok_interp.studies.modular.representations import circles

    return plots.circles(circles(run, step=_step(run, step, device), head=head, slot=slot, device=device))


@FIGURES.of_run("fig7", "cosine similarity of a block's output over all pairs (x, y)", experiment=BASELINE)
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
    from grok_interp import plots
    from grok_interp.studies.modular.representations import block_similarity

    step, layer = _step(run, step, device), run.config.model.n_layers - 1 if layer is None else layer
    return plots.similarity(block_similarity(run, step=step, layer=layer, position=position, slot=slot, device=device))


@FIGURES.of_run("shift", "likelihood of each algorithm by number of shots", experiment=BASELINE)
def algorithm_shift(run: Run, *, step: int | None = None, device: str = "cpu") -> Drawing:
    """Beyond the paper: the likelihood of the answers under each algorithm, by number of shots."""
    from grok_interp import plots
    from grok_interp.studies.modular.results import analyze

    results = analyze(run, device=device)
    return plots.agreement(results.agreement, step=results.best_step if step is None else step)


@FIGURES.of_run("noise", "accuracy by number of shots with wrong examples", experiment=BASELINE)
def label_noise(run: Run, *, step: int | None = None, noises: Sequence[float] = NOISES, device: str = "cpu") -> Drawing:
    """Accuracy by number of shots when a fraction of the answers shown is wrong (B.4)."""
    from grok_interp import plots
    from grok_interp.studies.modular.noisy_shots import noisy_shots

    curves = noisy_shots(run, noises, step=_step(run, step, device), device=device)
    return plots.label_noise(curves, split="ood_train")


@FIGURES.of_run("attention", "attention patterns of all heads on an unseen task", experiment=BASELINE)
def attention(run: Run, *, step: int | None = None, n_tokens: int = 24, device: str = "cpu") -> Drawing:
    """The patterns of all heads on the first tokens of an unseen task."""
    from grok_interp import plots
    from grok_interp.analysis.attention import attention_maps
    from grok_interp.studies.modular.modular_inputs import last_slot, slot_tokens, tasks_of_run, token_names

    tasks, step = tasks_of_run(run), _step(run, step, device)
    model = run.load(step).to(device)
    n_ctx = model.cfg.n_ctx
    tokens = slot_tokens(n_ctx, tasks, last_slot(n_ctx))[-1, :n_tokens]
    return plots.attention_patterns(attention_maps(model, tokens), token_names(tokens))


@FIGURES.of_run("embedding", "principal components of the number embeddings", experiment=BASELINE)
def embedding(run: Run, *, step: int | None = None, device: str = "cpu") -> Drawing:
    """The embeddings of the numbers, even and odd logarithms apart (B.5)."""
    from grok_interp import plots
    from grok_interp.analysis.embedding import embedding_pca
    from grok_interp.studies.modular.modular_inputs import tasks_of_run

    step = _step(run, step, device)
    return plots.embedding(embedding_pca([(step, run.load(step).to(device))], p=tasks_of_run(run).p))


@FIGURES.of_run("mlp", "activations of MLP neurons over all pairs (x, y)", experiment=BASELINE)
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
    from grok_interp import plots
    from grok_interp.analysis.mlp import mlp_activations
    from grok_interp.studies.modular.modular_inputs import last_slot, slot_tokens, tasks_of_run

    tasks, step = tasks_of_run(run), _step(run, step, device)
    model = run.load(step).to(device)
    slot = last_slot(model.cfg.n_ctx)
    tokens = slot_tokens(model.cfg.n_ctx, tasks, slot)
    found = mlp_activations([(step, model)], tasks.p, tokens, slot=slot, position=position, layer=layer)
    return plots.neuron_maps(found, found.most_varied(n_neurons))


@FIGURES.of_run("circles", "circularity of every head over training", experiment=BASELINE)
def circles_over_training(run: Run, *, device: str = "cpu") -> Drawing:
    """Beyond the paper: the circularity of every head at every checkpoint, in the last slot of an unseen task."""
    from grok_interp import plots
    from grok_interp.studies.modular.representations import circularities

    return plots.circularity(circularities(run, device=device))


@FIGURES.of_run("kaleidoscopes", "patterns in block outputs over training", experiment=BASELINE)
def kaleidoscopes_over_training(run: Run, *, device: str = "cpu") -> Drawing:
    """Beyond the paper: both patterns in the output of every block, at y and z, at every checkpoint."""
    from grok_interp import plots
    from grok_interp.studies.modular.representations import kaleidoscopes

    return plots.kaleidoscopes(kaleidoscopes(run, device=device))


@FIGURES.of_run("fourier", "Fourier spectra, restricted and excluded loss over training", experiment=BASELINE)
def fourier_over_training(run: Run, *, n_key: int | None = None, device: str = "cpu") -> Drawing:
    """Beyond the paper: Fourier spectra of the number embeddings at every checkpoint, restricted and excluded loss on
    o.o.d. train contexts, and the fraction of the variance in the top frequencies.

    Each group has `n_key` key frequencies, chosen at the last checkpoint; half of all, at most 5, if None.
    """
    from grok_interp import plots
    from grok_interp.studies.modular.fourier import fourier_analysis

    found = fourier_analysis(run, n_key=n_key, device=device)
    return plots.fourier(found.spectrum, found.losses, found.tops)


def _step(run: Run, step: int | None, device: str) -> int:
    """The early-stopped step if none is named."""
    from grok_interp.studies.modular.results import analyze

    return analyze(run, device=device).best_step if step is None else step
