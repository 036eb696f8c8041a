"""Pictures of ablations: what is drawn is what the results hold."""

import io
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from ground_truth import INDUCTION_HEAD, distinct_copy_samples, induction_circuit, repeated_distinct_tokens
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from grok_interp.analysis.ablation import MEASURES, HeadAblation, head_ablation
from grok_interp.analysis.induction import InductionScores, induction_scores
from grok_interp.analysis.single_ablation import SingleAblation, single_ablation
from grok_interp.plots import on_paper, on_screen
from grok_interp.plots.pictures.ablation import MEASURES as AXES
from grok_interp.plots.pictures.ablation import STYLES, ablation
from grok_interp.plots.pictures.single_heads import single_heads
from grok_interp.plots.theme import VERMILION

MODELS = [(step, induction_circuit(sharpness=sharpness)) for step, sharpness in ((0, 0.0), (1000, 30.0), (2000, 30.0))]
OPTIONS: dict[str, dict[str, Any]] = {"zero": {}, "edges": {"n_match": 1}}


def of_heads(how: str, *, n_draws: int = 3, heads: Any = (INDUCTION_HEAD,)) -> HeadAblation:
    samples, windows = distinct_copy_samples(), repeated_distinct_tokens()
    return head_ablation(MODELS, samples, windows, heads=heads, how=how, n_draws=n_draws, seed=0, **OPTIONS[how])


def of_each(how: str, models: Any = MODELS) -> SingleAblation:
    return single_ablation(models, distinct_copy_samples(), repeated_distinct_tokens(), how=how, **OPTIONS[how])


def written(figure: Figure) -> str:
    """As SVG, where text stays text."""
    page = io.StringIO()
    figure.savefig(page, format="svg")
    return page.getvalue()


def test_every_panel_draws_its_measure_of_its_way() -> None:
    results = [of_heads("zero"), of_heads("edges")]
    figure = on_paper(ablation(results))
    axes = np.array(figure.axes).reshape(3, 2)
    assert [axis.get_title() for axis in axes[0]] == ["zero", "edges"]
    for result, column in zip(results, axes.T, strict=True):
        drawn = [result["exact_match"], result["per_token"]]
        for axis, values in zip(column, [100 * drawn[0], 100 * drawn[1], result.effect("loss")], strict=True):
            thick = {to_hex(line.get_color()).upper(): line for line in axis.lines if line.get_linewidth() > 0.6}
            for name, style in STYLES.items():
                line = thick[style["color"]]
                assert line.get_xdata().tolist() == [0, 1000, 2000]
                np.testing.assert_allclose(line.get_ydata(), values.sel(condition=name).mean("draw"))
            thin = [line for line in axis.lines if line.get_linewidth() == 0.6]
            np.testing.assert_allclose([line.get_ydata() for line in thin], values.sel(condition="random").T)


def test_every_line_has_its_band() -> None:
    result = of_heads("zero")
    figure = on_paper(ablation([result]))
    for axis, measure in zip(figure.axes, MEASURES, strict=True):
        low, high = (result.effect_interval if measure == "loss" else result.interval)(measure)
        for band, name in zip(axis.collections, STYLES, strict=True):
            corners, scale = band.get_paths()[0].vertices[:, 1], AXES[measure][1]
            ends = (scale * each.sel(condition=name) for each in (low, high))
            np.testing.assert_allclose(
                (corners.min(), corners.max()), [f(end) for f, end in zip((np.min, np.max), ends, strict=True)]
            )


def test_the_ablated_heads_stand_out_and_are_named() -> None:
    figure = on_paper(ablation([of_heads("zero")]))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[0] == "without random heads of the same layers: mean of 3 draws"
    assert names[2:] == ["intact", "without L1H0"]
    thickest = max(figure.axes[0].lines, key=lambda line: line.get_linewidth() * (line.get_alpha() is None))
    assert thickest.get_color() == VERMILION
    whole = next(line for line in figure.axes[0].lines if line.get_color() == VERMILION)
    assert whole.get_ydata().tolist() == [0, 0, 0]


def test_a_control_without_a_choice_is_named() -> None:
    result = of_heads("zero", n_draws=1)
    (random,) = set(result.dataset["heads"].sel(condition="random").to_numpy().ravel().tolist())
    names = [text.get_text() for text in on_paper(ablation([result])).legends[0].get_texts()]
    assert names[0] == f"without random heads of the same layers: {random}"
    assert not [line for line in on_paper(ablation([result])).axes[0].lines if line.get_linewidth() == 0.6]


def test_a_single_checkpoint_is_drawn_as_dots() -> None:
    result = of_heads("zero")
    (line,) = [
        line
        for line in on_paper(ablation([HeadAblation(result.dataset.isel(checkpoint=[-1]))])).axes[0].lines
        if line.get_color() == VERMILION and len(line.get_xdata())
    ]
    assert line.get_xdata().tolist() == [2000] and line.get_marker() == "o"


def test_every_head_is_a_dot_at_its_score() -> None:
    results, tokens = [of_each("zero"), of_each("edges")], repeated_distinct_tokens()
    scores = induction_scores(MODELS, tokens)
    figure = on_paper(single_heads(results, scores))
    axes, step = np.array(figure.axes).reshape(2, 2), 2000
    for result, column in zip(results, axes.T, strict=True):
        for axis, measure, scale in zip(column, ("per_token", "loss"), (100, 1), strict=True):
            dots = np.concatenate([each.get_offsets() for each in axis.collections if isinstance(each, PathCollection)])
            expected = scale * result.effect(measure).sel(checkpoint=step)
            np.testing.assert_allclose(dots[:, 1], expected.to_numpy().ravel())
            np.testing.assert_allclose(dots[:, 0], scores["I"].sel(checkpoint=step).to_numpy().ravel())
            low, high = (scale * end.sel(checkpoint=step) for end in result.effect_interval(measure))
            bars = [each for each in axis.collections if isinstance(each, LineCollection)]
            drawn = np.array([path.vertices[:, 1] for each in bars for path in each.get_paths()])
            np.testing.assert_allclose(drawn, np.stack([low.to_numpy().ravel(), high.to_numpy().ravel()], axis=1))
    assert "each head ablated alone, step 2,000" in written(figure)


def test_the_screen_holds_every_mean_and_every_draw() -> None:
    results = [of_heads("zero"), of_heads("edges")]
    screen = on_screen(ablation(results))
    assert len(screen.graphs) == 6 and list(screen.steps) == [0, 1000, 2000]
    for number, graph in enumerate(screen.graphs):
        result, measure = results[number % 2], list(AXES)[number // 2]
        values = AXES[measure][1] * (result.effect(measure) if measure == "loss" else result[measure])
        assert graph.layout["title"]["text"] == ["zero", "edges"][number % 2]
        assert [each for each, _ in graph.markers] == [1], "the step's marker stands at the step"
        low, high = graph.layout["yaxis"]["range"]
        assert low < min(0, float(values.min())) and high > float(values.max())
        traces = [trace for trace in graph.traces if "fill" not in trace]
        bands = [trace for trace in graph.traces if "fill" in trace]
        draws, means = traces[:3], dict(zip(STYLES, traces[3:], strict=True))
        ends = (result.effect_interval if measure == "loss" else result.interval)(measure)
        for name, band in zip(STYLES, bands, strict=True):
            lower, upper = (AXES[measure][1] * end.sel(condition=name).to_numpy() for end in ends)
            np.testing.assert_allclose(band["y"], [*upper, *lower[::-1]], rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose([line["y"] for line in draws], values.sel(condition="random").T, rtol=1e-4)
        for name, line in means.items():
            assert line["x"] == [0, 1000, 2000] and line["line"]["color"].upper() == STYLES[name]["color"]
            np.testing.assert_allclose(line["y"], values.sel(condition=name).mean("draw"), rtol=1e-4, atol=1e-9)
    assert [entry.label for entry in screen.key][2:] == ["intact", "without L1H0"]
    assert {trace["legendgroup"] for trace in screen.graphs[0].traces} == {entry.label for entry in screen.key}


def test_the_screen_of_single_heads_names_each_dot() -> None:
    results, scores = [of_each("zero"), of_each("edges")], induction_scores(MODELS, repeated_distinct_tokens())
    screen = on_screen(single_heads(results, scores))
    changes = ("per_token", "loss")
    assert len(screen.graphs) == 4 and [entry.label for entry in screen.key] == ["layer 0", "layer 1"]
    for number, graph in enumerate(screen.graphs):
        measure = changes[number // 2]
        effect = AXES[measure][1] * results[number % 2].effect(measure).sel(checkpoint=2000)
        assert not graph.markers and len(graph.traces) == 2
        for layer, dots in enumerate(graph.traces):
            np.testing.assert_allclose(dots["x"], scores["I"].sel(checkpoint=2000, layer=layer), rtol=1e-4)
            np.testing.assert_allclose(dots["y"], effect.sel(layer=layer), rtol=1e-4, atol=1e-9)
            assert dots["mode"] == "markers" and dots["hovertemplate"].startswith("%{hovertext}")
    dots = screen.graphs[0].traces[1]
    assert (dots["hovertext"][0], dots["x"][0], dots["y"][0]) == ("L1H0", 1.0, -100.0)
    low, high = (
        100 * float(end.sel(checkpoint=2000, layer=1, head=0)) for end in results[0].effect_interval("per_token")
    )
    assert low == -100 and -100 < high < -50, "all samples agree, and there are few"
    assert dots["customdata"][0] == pytest.approx((low, high), abs=1e-3)
    assert "I(L, H): %{x:.2f}" in dots["hovertemplate"] and "%{y:+.1f} percentage points" in dots["hovertemplate"]
    assert "[%{customdata[0]:+.1f}, %{customdata[1]:+.1f}]" in dots["hovertemplate"]


def test_names_that_would_overlap_are_joined_and_none_is_lost() -> None:
    figure = on_paper(single_heads([of_each("zero")], induction_scores(MODELS, repeated_distinct_tokens())))
    names = [text.get_text() for text in figure.axes[0].texts]
    assert sorted(names) == ["8 heads", "L0H0", "L1H0"]


def test_each_of_a_few_near_heads_is_named_at_its_own_height() -> None:
    """Two dots on one another and one close by: three names, none over another, each tied to its own dot."""
    effects = {(0, 0): -0.40, (0, 1): -0.40, (1, 0): -0.41, (1, 1): 0.0}
    left = np.array([[0.5 + effects[layer, head] for head in range(2)] for layer in range(2)])
    sizes = dict(checkpoint=[7], layer=range(2), head=range(2))
    ablated = {"exact_match": (left, 0.5), "per_token": (left, 0.5), "loss": (3 - left, 2.5)}
    arrays = {name: np.full((1, 2, 2), np.nan) for name in SingleAblation.measures}
    for name, (values, intact) in ablated.items():
        arrays |= {name: values[None], f"{name}_intact": [intact]}
        arrays |= {f"{name}_effect_{end}": values[None] - intact for end in ("low", "high")}
        arrays |= {f"{name}_intact_{end}": [intact] for end in ("low", "high")}
    result = SingleAblation.of_arrays(arrays, sizes, {"how": "zero"})
    scores = InductionScores.of_arrays(dict.fromkeys(InductionScores.measures, np.full((1, 2, 2), 0.3)), sizes)
    figure = on_paper(single_heads([result], scores))
    figure.draw_without_rendering()
    for axis, scale in zip(figure.axes, (100, -1), strict=True):
        names = {text.get_text(): text for text in axis.texts}
        assert sorted(names) == ["L0H0", "L0H1", "L1H0", "L1H1"]
        for (layer, head), effect in effects.items():
            np.testing.assert_allclose(names[f"L{layer}H{head}"].xy, (0.3, scale * effect), atol=1e-9)
        boxes = [Text.get_window_extent(text) for text in names.values()]  # without the lines to the dots
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(ValueError, match="needs results of the same heads and step, got none"):
        ablation([])
    with pytest.raises(ValueError, match=r"of the same heads and step, got \['L1H0', 'L1H1'\]"):
        ablation([of_heads("zero"), of_heads("zero", heads=[(1, 1)])])
    scores = induction_scores(MODELS, repeated_distinct_tokens())
    with pytest.raises(ValueError, match="of the same heads and step"):
        single_heads([of_each("zero"), of_each("zero", MODELS[:2])], scores)
    with pytest.raises(ValueError, match=r"no step 7 in this result, analyzed steps: \[0, 1000, 2000\]"):
        single_heads([of_each("zero", [(7, MODELS[0][1])])], scores)
