"""Figures of the appendix of "Learning to grok" (B.4, B.5), and beyond it: see figures.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from grok_interp.runs.run import Run
from grok_interp.studies.modular.experiments import BASELINE
from grok_interp.studies.modular.figures import FIGURES, step_or_best

if TYPE_CHECKING:
    from grok_interp.data.slot import Position
    from grok_interp.plots.drawing import Drawing

NOISES = (0.0, 0.1, 0.2, 0.4, 0.6)


@FIGURES.of_run("shift", "likelihood of each algorithm by number of shots", experiment=BASELINE)
def algorithm_shift(run: Run, *, step: int | None = None, device: str = "cpu") -> Drawing:
    """Beyond the paper: the likelihood of the answers under each algorithm, by number of shots.

    Args:
        run: a run on modular arithmetic.
        step: of the checkpoint; the early-stopped one if None.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.studies.modular.modular_results import analyze

    results = analyze(run, device=device)
    return plots.agreement(results.agreement, step=results.best_step if step is None else step)


@FIGURES.of_run("noise", "accuracy by number of shots with wrong examples", experiment=BASELINE)
def label_noise(run: Run, *, step: int | None = None, noises: Sequence[float] = NOISES, device: str = "cpu") -> Drawing:
    """Accuracy by number of shots when a fraction of the answers shown is wrong (B.4).

    Args:
        run: a run on modular arithmetic.
        step: of the checkpoint; the early-stopped one if None.
        noises: fractions of wrong answers, each between 0 and 1.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.studies.modular.noisy_shots import noisy_shots

    curves = noisy_shots(run, noises, step=step_or_best(run, step, device), device=device)
    return plots.label_noise(curves, split="ood_train")


@FIGURES.of_run("attention", "attention patterns of all heads on an unseen task", experiment=BASELINE)
def attention(run: Run, *, step: int | None = None, n_tokens: int = 24, device: str = "cpu") -> Drawing:
    """The patterns of all heads on the first tokens of an unseen task.

    Args:
        run: a run on modular arithmetic.
        step: of the checkpoint; the early-stopped one if None.
        n_tokens: of the context that are shown, from its start.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.analysis.attention import attention_maps
    from grok_interp.studies.modular.modular_inputs import last_slot, slot_tokens, tasks_of_run, token_names

    tasks, step = tasks_of_run(run), step_or_best(run, step, device)
    model = run.load(step).to(device)
    n_ctx = model.cfg.n_ctx
    tokens = slot_tokens(n_ctx, tasks, last_slot(n_ctx))[-1, :n_tokens]
    return plots.attention_patterns(attention_maps(model, tokens), token_names(tokens))


@FIGURES.of_run("embedding", "principal components of the number embeddings", experiment=BASELINE)
def embedding(run: Run, *, step: int | None = None, device: str = "cpu") -> Drawing:
    """The embeddings of the numbers, even and odd logarithms apart (B.5).

    Args:
        run: a run on modular arithmetic.
        step: of the checkpoint; the early-stopped one if None.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.analysis.embedding import embedding_pca
    from grok_interp.studies.modular.modular_inputs import tasks_of_run

    step = step_or_best(run, step, device)
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
    """The most varied neurons of one MLP against (x, y) of the last slot (B.5).

    Args:
        run: a run on modular arithmetic.
        layer: of the MLP.
        position: of the token in the slot, "x", "y" or "z".
        n_neurons: that are shown.
        step: of the checkpoint; the early-stopped one if None.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.analysis.mlp import mlp_activations
    from grok_interp.studies.modular.modular_inputs import last_slot, slot_tokens, tasks_of_run

    tasks, step = tasks_of_run(run), step_or_best(run, step, device)
    model = run.load(step).to(device)
    slot = last_slot(model.cfg.n_ctx)
    tokens = slot_tokens(model.cfg.n_ctx, tasks, slot)
    found = mlp_activations([(step, model)], tasks.p, tokens, slot=slot, position=position, layer=layer)
    return plots.neuron_maps(found, found.most_varied(n_neurons))


@FIGURES.of_run("circles", "circularity of every head over training", experiment=BASELINE)
def circles_over_training(run: Run, *, device: str = "cpu") -> Drawing:
    """Beyond the paper: the circularity of every head at every checkpoint, in the last slot of an unseen task.

    Args:
        run: a run on modular arithmetic.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.studies.modular.representations import circularities

    return plots.circularity(circularities(run, device=device))


@FIGURES.of_run("kaleidoscopes", "patterns in block outputs over training", experiment=BASELINE)
def kaleidoscopes_over_training(run: Run, *, device: str = "cpu") -> Drawing:
    """Beyond the paper: both patterns in the output of every block, at y and z, at every checkpoint.

    Args:
        run: a run on modular arithmetic.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.studies.modular.representations import kaleidoscopes

    return plots.kaleidoscopes(kaleidoscopes(run, device=device))


@FIGURES.of_run("fourier", "Fourier spectra, restricted and excluded loss over training", experiment=BASELINE)
def fourier_over_training(run: Run, *, n_key: int | None = None, device: str = "cpu") -> Drawing:
    """Beyond the paper: Fourier spectra of the number embeddings at every checkpoint, restricted and excluded loss on
    o.o.d. train contexts, and the fraction of the variance in the top frequencies.

    Args:
        run: a run on modular arithmetic.
        n_key: key frequencies of each group, chosen at the last checkpoint; half of all, at most 5, if None.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.studies.modular.fourier import fourier_analysis

    found = fourier_analysis(run, n_key=n_key, device=device)
    return plots.fourier(found.spectrum, found.losses, found.tops)
