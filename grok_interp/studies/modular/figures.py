"""Each figure of "Learning to grok" as one function of a run, whatever its size: the preset decides it.

Those that look into one checkpoint take the early-stopped one if no `step` is named. Models run on `device`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grok_interp.analysis.attention import attention_maps
from grok_interp.analysis.embedding import embedding_pca
from grok_interp.analysis.grid import grid_comparisons
from grok_interp.analysis.mlp import mlp_activations
from grok_interp.analysis.phase_diagram import PhaseDiagram, phase_diagram
from grok_interp.analysis.phases import PAPER_THRESHOLD
from grok_interp.analysis.shots import shot_curve
from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.data.modular import ModularTasks
from grok_interp.data.slot import Position
from grok_interp.plots.drawing import Drawing
from grok_interp.plots.pictures import agreement as by_algorithm
from grok_interp.plots.pictures import circles as circle_picture
from grok_interp.plots.pictures import circularity as circularity_picture
from grok_interp.plots.pictures import embedding as embedding_picture
from grok_interp.plots.pictures import fourier as fourier_picture
from grok_interp.plots.pictures import kaleidoscopes as kaleidoscope_picture
from grok_interp.plots.pictures import label_noise as noise_picture
from grok_interp.plots.pictures import phase_diagram as phase_picture
from grok_interp.plots.pictures import similarity as similarity_picture
from grok_interp.plots.pictures.attention_patterns import attention_patterns
from grok_interp.plots.pictures.grids import grids
from grok_interp.plots.pictures.neuron_maps import neuron_maps
from grok_interp.plots.pictures.shots import last_shot, shot_curves
from grok_interp.studies.modular.fourier import fourier_analysis
from grok_interp.studies.modular.inputs import (
    N_CONTEXTS,
    block_similarity,
    default_shots,
    evaluation_seed,
    grid_examples,
    last_slot,
    most_circular,
    slot_tokens,
    token_names,
    unseen_task,
)
from grok_interp.studies.modular.representations import circularities, kaleidoscopes
from grok_interp.studies.modular.results import analyze, analyzed, probes_of_run

NOISES = (0.0, 0.1, 0.2, 0.4, 0.6)


def sweep_diagram(*directories: Path, queries: str = "all", device: str = "cpu") -> PhaseDiagram:
    """The phase diagram of a sweep: one run for each n_id, alpha and seed."""
    runs = ((CheckpointSeries(directory).config, analyzed(directory, device=device).shots) for directory in directories)
    return phase_diagram(runs, queries=queries)


def figure_1b(
    *directories: Path, threshold: float = PAPER_THRESHOLD, queries: str = "all", device: str = "cpu"
) -> Drawing:
    """Phase diagram over the tasks trained on and alpha, of the best seed with early stopping."""
    return phase_picture.phase_diagram(sweep_diagram(*directories, queries=queries, device=device), threshold=threshold)


def figure_1c(directory: Path, *, step: int | None = None, device: str = "cpu") -> Drawing:
    """Accuracy by number of shots, at the early-stopped checkpoint if no step is named."""
    results = analyzed(directory, device=device)
    return shot_curves(results.shots, step=results.best_step if step is None else step, split="ood_train")


def figure_3(directory: Path, *, threshold: float = PAPER_THRESHOLD, device: str = "cpu") -> Drawing:
    """Last-shot accuracy on the four splits over training: o.o.d. generalization may be transient."""
    return last_shot(analyzed(directory, device=device).shots, threshold=threshold)


def figure_5(
    directory: Path,
    *,
    step: int | None = None,
    task: tuple[int, int] | None = None,
    shots: Sequence[int] = (),
    device: str = "cpu",
) -> Drawing:
    """The grid comparison of one task (default: the first o.o.d. one) after some numbers of examples."""
    series, tasks, step = _at(directory, step, device)
    model, n_examples = series.load(step).to(device), series.config.model.n_ctx // 3
    chosen = task or unseen_task(tasks)
    inputs = grid_examples(tasks.p, n_examples - 1)
    shots = shots or default_shots(n_examples)
    return grids(grid_comparisons(model, tasks.p, chosen, inputs, shots=shots))


def algorithm_shift(directory: Path, *, step: int | None = None, device: str = "cpu") -> Drawing:
    """Beyond the paper: the likelihood of the answers under each algorithm, by number of shots."""
    results = analyzed(directory, device=device)
    return by_algorithm.agreement(results.agreement, step=results.best_step if step is None else step)


def figure_6(
    directory: Path,
    *,
    step: int | None = None,
    head: tuple[int, int] | None = None,
    slot: int | None = None,
    device: str = "cpu",
) -> Drawing:
    """The circle of circles of one head; default: the most circular one, in the last slot."""
    series, tasks, step = _at(directory, step, device)
    model = series.load(step).to(device)
    circles = most_circular(model, tasks, step=step, heads=[head] if head else None, slot=slot)
    return circle_picture.circles(circles)


def figure_7(
    directory: Path,
    *,
    layer: int | None = None,
    position: Position = "z",
    step: int | None = None,
    slot: int | None = None,
    device: str = "cpu",
) -> Drawing:
    """Cosine similarity of a block's output over all pairs of the slot (default: the last of both)."""
    series, tasks, step = _at(directory, step, device)
    model = series.load(step).to(device)
    layer = model.cfg.n_layers - 1 if layer is None else layer
    return similarity_picture.similarity(
        block_similarity(model, tasks, step=step, layer=layer, position=position, slot=slot)
    )


def label_noise(
    directory: Path, *, step: int | None = None, noises: Sequence[float] = NOISES, device: str = "cpu"
) -> Drawing:
    """Accuracy by number of shots when a fraction of the answers shown is wrong (B.4)."""
    series, tasks, step = _at(directory, step, device)
    pair, seed = (step, series.load(step).to(device)), evaluation_seed(series.config)
    curves = [
        shot_curve([pair], tasks, n_contexts=N_CONTEXTS, seed=seed, noise=noise, splits=["ood_train"])
        for noise in noises
    ]
    return noise_picture.label_noise(curves, split="ood_train")


def attention(directory: Path, *, step: int | None = None, n_tokens: int = 24, device: str = "cpu") -> Drawing:
    """The patterns of all heads on the first tokens of an unseen task."""
    series, tasks, step = _at(directory, step, device)
    model = series.load(step).to(device)
    n_ctx = model.cfg.n_ctx
    tokens = slot_tokens(n_ctx, tasks, last_slot(n_ctx))[-1, :n_tokens]
    return attention_patterns(attention_maps(model, tokens), token_names(tokens))


def embedding(directory: Path, *, step: int | None = None, device: str = "cpu") -> Drawing:
    """The embeddings of the numbers, even and odd logarithms apart (B.5)."""
    series, tasks, step = _at(directory, step, device)
    return embedding_picture.embedding(embedding_pca([(step, series.load(step).to(device))], p=tasks.p))


def mlp_maps(
    directory: Path,
    *,
    layer: int = 0,
    position: Position = "y",
    n_neurons: int = 12,
    step: int | None = None,
    device: str = "cpu",
) -> Drawing:
    """The most varied neurons of one MLP against (x, y) of the last slot (B.5)."""
    series, tasks, step = _at(directory, step, device)
    model = series.load(step).to(device)
    slot = last_slot(model.cfg.n_ctx)
    tokens = slot_tokens(model.cfg.n_ctx, tasks, slot)
    found = mlp_activations([(step, model)], tasks.p, tokens, slot=slot, position=position, layer=layer)
    return neuron_maps(found, found.most_varied(n_neurons))


def circles_over_training(directory: Path, *, device: str = "cpu") -> Drawing:
    """Beyond the paper: the circularity of every head at every checkpoint, in the last slot of an unseen task."""
    return circularity_picture.circularity(circularities(directory, device=device))


def kaleidoscopes_over_training(directory: Path, *, device: str = "cpu") -> Drawing:
    """Beyond the paper: both patterns in the output of every block, at y and z, at every checkpoint."""
    return kaleidoscope_picture.kaleidoscopes(kaleidoscopes(directory, device=device))


def fourier_over_training(directory: Path, *, n_key: int | None = None, device: str = "cpu") -> Drawing:
    """Beyond the paper: Fourier spectra of the number embeddings at every checkpoint, restricted and excluded loss on
    o.o.d. train contexts, and the fraction of the variance in the top frequencies.

    Each group has `n_key` key frequencies, chosen at the last checkpoint; half of all, at most 5, if None.
    """
    found = fourier_analysis(directory, n_key=n_key, device=device)
    return fourier_picture.fourier(found.spectrum, found.losses, found.tops)


def _at(directory: Path, step: int | None, device: str) -> tuple[CheckpointSeries, ModularTasks, int]:
    """(series, tasks, step): the early-stopped step if none is named."""
    probes = probes_of_run(directory)
    step = analyze(directory, probes, device=device).best_step if step is None else step
    return CheckpointSeries(directory), probes.tasks, step
