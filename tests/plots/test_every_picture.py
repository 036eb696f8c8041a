"""Every picture, of tiny analyzed runs: paper and screen show the same numbers, and no type is small."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fourier_truth import N_EXAMPLES
from ground_truth import (
    INDUCTION_HEAD,
    MODULAR,
    PREVIOUS_TOKEN_HEAD,
    distinct_copy_samples,
    induction_circuit,
    random_model,
    repeated_distinct_tokens,
)
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.text import Text

from grok_interp import (
    attention_maps,
    circle_pca,
    circularity,
    cosine_similarity,
    direct_logit_attribution,
    embedding_pca,
    formation_order,
    fourier_losses,
    fourier_spectrum,
    grid_comparisons,
    head_ablation,
    induction_scores,
    kaleidoscope,
    load_reference,
    mlp_activations,
    natural_copying,
    plots,
    slot_sequences,
    top_frequency_fraction,
    training_curves,
)
from grok_interp.analysis.aligned_curves import aligned_curves
from grok_interp.analysis.copying_diagram import copying_diagram
from grok_interp.analysis.edge_ablation import edge_ablation
from grok_interp.analysis.edge_paths import Edge
from grok_interp.analysis.emergence import Estimate
from grok_interp.analysis.fraction_of_change import fraction_of_change
from grok_interp.analysis.leading_indicators import LeadingIndicators
from grok_interp.analysis.phase_diagram import phase_diagram
from grok_interp.analysis.phases import phases
from grok_interp.analysis.single_ablation import single_ablation
from grok_interp.plots import Cells, Drawing, Line, draw, on_paper, on_screen
from grok_interp.plots.registry import every_picture
from grok_interp.presets import training_preset
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies import copying, modular

CIRCUITS = [(step, induction_circuit(sharpness=sharpness)) for step, sharpness in ((0, 0.0), (1000, 30.0))]
MODELS = [(step, random_model(MODULAR, seed=step)) for step in (0, 10)]
TOKENS = slot_sequences((2, 1), 5, slot=1, n_examples=N_EXAMPLES, seed=0)
THE_EDGE = Edge(PREVIOUS_TOKEN_HEAD, INDUCTION_HEAD)
WHERE: dict[str, Any] = {"p": 5, "slot": 1}


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Drawing]:
    """Name of a picture -> one of it."""
    run = run_training(tmp_path_factory.mktemp("modular") / "run", training_preset("modular-tiny"))
    return {**of_circuits(), **of_copying(), **of_arithmetic(run)}


def of_circuits() -> dict[str, Drawing]:
    """Of models whose circuit is built by hand."""
    samples, tokens = distinct_copy_samples(), repeated_distinct_tokens()
    scores = induction_scores(CIRCUITS, tokens)
    options: dict[str, Any] = {"heads": (INDUCTION_HEAD,), "n_draws": 2, "seed": 0}
    ablated = [head_ablation(CIRCUITS, samples, tokens, how="zero", **options)]
    alone = [single_ablation(CIRCUITS, samples, tokens, how="zero")]
    return {
        "ablation": plots.ablation(ablated),
        "single_heads": plots.single_heads(alone, scores),
        "formation": plots.formation([(scores, formation_order(scores, threshold=0.5))] * 2),
        "induction_map": draw(scores),
        "head_map": plots.head_map(scores["EP"], label="EP"),
        "natural_copying": draw(natural_copying(CIRCUITS, repeated_distinct_tokens(half=19), n=3)),
        "edge_ablation": draw(
            edge_ablation(CIRCUITS, samples, tokens, groups={"the edge": [THE_EDGE]}, reference=tokens)
        ),
        "circuit": plots.circuit([THE_EDGE], n_layers=2, n_heads=5),
        "logit_attribution": draw(direct_logit_attribution(CIRCUITS, samples)),
        "attention_patterns": draw(attention_maps(CIRCUITS[1][1], tokens[:1])),
    }


def of_copying() -> dict[str, Drawing]:
    """Of the results that the package holds."""
    run = load_reference("copier-mini")
    config, results = run.config, copying.analyze(run)
    curves = training_curves([results.with_config(config)])
    panels = [("loss", "updates"), ("exact_match", "tokens")]
    return {
        "copying_emergence": plots.copying_emergence(
            results.accuracy,
            results.induction,
            loss_fall=fraction_of_change(results.loss.mean()),
            onset=Estimate(700.0, 650.0, 750.0),
        ),
        "copying_and_loss": plots.copying_and_loss(curves, results.accuracy),
        "conditions": draw(curves, panels=panels),
        "aligned_seeds": draw(aligned_curves(curves, {config.init_seed: 620.0})),
        "strings": plots.strings([results.accuracy, results.hexadecimal], [results.accuracy, results.hexadecimal]),
        "strings_of_run": draw(results.accuracy, results.hexadecimal),
        "leads": draw(of_leads()),
        "copying_diagram": draw(copying_diagram([(config, results.accuracy)])),
    }


def of_leads() -> LeadingIndicators:
    """Of three seeds, of which one score has one onset only."""
    values = np.array([[[100.0, 140.0, np.nan], [20.0, 30.0, 70.0]], [[-50.0, np.nan, np.nan], [10.0, np.nan, 30.0]]])
    coords = {"score": ["previous_token", "weight_norm"], "followed": ["strongest", "median"], "seed": [0, 1, 2]}
    outcome, head = (np.where(np.isfinite(values), *words) for words in (("rises", "flat"), ("L1H0", "")))
    arrays = {"lead": values, "onset": values, "outcome": outcome, "head": head, "ability_onset": [1.0] * 3}
    return LeadingIndicators.of_arrays(arrays, coords)


def of_arithmetic(run: Run) -> dict[str, Drawing]:
    results = modular.analyze(run, modular.evaluation_inputs(run, n_contexts=5))
    config = run.config
    circle = circle_pca(MODELS, tokens=TOKENS, **WHERE, layer=0, head=0)
    similar = cosine_similarity(MODELS, tokens=TOKENS, **WHERE, position="z", layer=0)
    losses = [
        fourier_losses(MODELS, tokens=TOKENS, p=5, group=group, frequencies=(1,))
        for group in ("additive", "multiplicative")
    ]
    spectrum, tops = fourier_spectrum(MODELS, p=5), top_frequency_fraction(MODELS, p=5, n_key=1, seed=0)
    grids = grid_comparisons(MODELS[0][1], 5, (2, 1), TOKENS[0, :6].reshape(2, 3)[:, :2], shots=[1, 2])
    return {
        "modular_emergence": plots.modular_emergence(
            results.shots, phases(results.shots, threshold=0.5), threshold=0.5, onset=Estimate(5.0, 2.0, 8.0)
        ),
        "last_shot": plots.last_shot(results.shots, threshold=0.75),
        "shot_curves": draw(results.shots),
        "label_noise": plots.label_noise(
            [type(results.shots)(results.shots.dataset.assign_attrs(noise=noise)) for noise in (0.0, 0.5)],
            split="ood_train",
        ),
        "agreement": draw(results.agreement),
        "phase_diagram": draw(phase_diagram([(config, results.shots)]), threshold=0.5),
        "grids": draw(*grids),
        "circles": draw(circle),
        "embedding": draw(embedding_pca(MODELS, p=5)),
        "similarity": draw(similar),
        "neuron_maps": draw(mlp_activations(MODELS, tokens=TOKENS, **WHERE, position="y", layer=0)),
        "circularity": draw(circularity(circle, seed=0)),
        "kaleidoscopes": draw(kaleidoscope(similar, seed=0)),
        "fourier": plots.fourier(spectrum, losses, tops),
        "fourier_spectra": draw(spectrum),
        "fourier_losses": draw(*losses),
        "top_frequencies": draw(tops),
    }


def on_axes(axis: Axes) -> list[np.ndarray]:
    """The values of every mark in a panel on paper: y of lines and points, the cells of maps."""
    levels = [line for line in axis.lines if list(line.get_xdata()) == [0, 1]]
    lines = [np.asarray(line.get_ydata(), float) for line in axis.lines if line not in levels]
    points = [np.asarray(each.get_offsets())[:, 1] for each in axis.collections if isinstance(each, PathCollection)]
    meshes = [*axis.images, *(each for each in axis.collections if isinstance(each, QuadMesh))]
    maps = [np.ma.filled(each.get_array().astype(float), np.nan) for each in meshes]
    return [*lines, *points, *maps]


def in_traces(traces: list[dict[str, Any]]) -> list[np.ndarray]:
    """The same of the traces on a screen: lines, then points, then maps."""
    kinds = [lambda trace: "lines" in trace.get("mode", ""), lambda trace: "mode" in trace, lambda _: True]
    drawn = [trace for trace in traces if "fill" not in trace]
    drawn.sort(key=lambda trace: next(rank for rank, is_kind in enumerate(kinds) if is_kind(trace)))
    return [np.array(trace["z"] if trace["type"] == "heatmap" else trace["y"], float) for trace in drawn]


def test_every_picture_is_here(drawings: dict[str, Drawing]) -> None:
    assert set(drawings) == set(every_picture())


def test_paper_and_screen_show_the_same_numbers_at_every_step(drawings: dict[str, Drawing]) -> None:
    for name, drawing in drawings.items():
        graphs = on_screen(drawing).graphs
        for step in drawing.frame_steps or [None]:
            figure = on_paper(drawing, step=step)
            for axis, graph, panel in zip(figure.axes, graphs, drawing.panels, strict=False):
                paper, screen = on_axes(axis), in_traces(at_step(graph, step))
                assert len(paper) == len(screen) == len(panel.at(step)), (name, step)
                for shown, other in zip(paper, screen, strict=True):
                    np.testing.assert_allclose(shown, other, rtol=1e-4, atol=1e-7, err_msg=name)


def at_step(graph: Any, step: int | None) -> list[dict[str, Any]]:
    """The traces as the slider leaves them."""
    update = graph.frames.get(step, {})
    return [
        {**trace, **{key: values[index] for key, values in update.items()}} for index, trace in enumerate(graph.traces)
    ]


@pytest.mark.parametrize("width", ["column", "full"])
def test_type_is_large_enough_and_nothing_is_cut_at_the_sides(drawings: dict[str, Drawing], width: Any) -> None:
    points = {"column": 190, "full": 397}[width]
    for name, drawing in drawings.items():
        figure = on_paper(drawing, width=width)
        figure.draw_without_rendering()
        texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
        assert min(text.get_fontsize() for text in texts) >= 7, name
        assert figure.get_figwidth() * 72 == pytest.approx(points)
        box = figure.get_tightbbox()
        assert box.x0 * 72 > -6 and box.x1 * 72 < points + 6, name


def test_every_axis_has_a_label_and_every_line_an_entry_in_the_key(drawings: dict[str, Drawing]) -> None:
    for name, drawing in drawings.items():
        labels = {entry.label for entry in on_screen(drawing).key}
        for panel in drawing.panels:
            assert panel.x.label and panel.y.label, name
            lines = [mark for mark in panel.at() if isinstance(mark, Line)]
            assert not labels or {line.entry for line in lines} <= labels, name
            assert all(mark.scale.label for mark in panel.at() if isinstance(mark, Cells)), name


def test_a_result_without_a_picture_of_its_own_is_refused() -> None:
    separation = single_ablation(CIRCUITS[:1], distinct_copy_samples(), repeated_distinct_tokens(), how="zero")
    with pytest.raises(ValueError, match="needs results of one type that has a picture, got SingleAblation; they are"):
        draw(separation)
    with pytest.raises(ValueError, match="got nothing"):
        draw()


def test_pictures_are_public_names() -> None:
    found: dict[str, Callable[..., Drawing]] = every_picture()
    assert set(found) <= set(plots.__all__)
    assert all(getattr(plots, name) is picture for name, picture in found.items())
    assert all(
        picture.__doc__ and picture.__module__.startswith("grok_interp.plots.pictures.") for picture in found.values()
    )
