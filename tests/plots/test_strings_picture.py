"""Exact match by string drawn: every line, band and number stands in the result."""

import numpy as np
import pytest
from scipy import stats

from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.analysis.string_accuracy import exact_by_string
from grok_interp.plots import Axis, Drawing, Line, Panel, on_paper, on_screen
from grok_interp.plots.pictures.strings import strings

STEPS, STRINGS = [0, 10, 30], [0, 5]


def accuracy(alphabet: str, seed: int) -> CopyingAccuracy:
    values = np.random.default_rng(seed).integers(2, size=(3, 7, 2, 1)).astype(np.float32)
    coords = {"checkpoint": STEPS, "sequence": STRINGS}
    return CopyingAccuracy.of_arrays({"correct": values}, coords, {"alphabet": alphabet})


@pytest.fixture
def both() -> list[CopyingAccuracy]:
    return [accuracy("printable", 0), accuracy("hexadecimal", 1)]


def test_a_line_and_a_band_for_each_string(both: list[CopyingAccuracy]) -> None:
    figure = on_paper(strings(both))
    assert [axis.get_title() for axis in figure.axes] == [
        "printable strings (7 samples)",
        "hexadecimal strings (7 samples)",
    ]
    for axis, each in zip(figure.axes, both, strict=True):
        drawn = np.array([line.get_ydata() for line in axis.lines])
        np.testing.assert_allclose(drawn, 100 * each.per_sequence().transpose("sequence", "checkpoint"))
        low, high = (100 * each.per_sequence_interval()).sel(sequence=5)
        corners = axis.collections[1].get_paths()[0].vertices[:, 1]
        assert (corners.min(), corners.max()) == pytest.approx((float(low.min()), float(high.max())))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["string 0", "string 5"]


def test_the_screen_has_the_same_numbers_and_switches_bands_with_their_line(both: list[CopyingAccuracy]) -> None:
    screen = on_screen(strings(both))
    assert screen.steps == STEPS and [entry.label for entry in screen.key] == ["string 0", "string 5"]
    for graph, each in zip(screen.graphs, both, strict=True):
        bands, lines = graph.traces[::2], graph.traces[1::2]
        np.testing.assert_allclose(lines[1]["y"], 100 * each.per_sequence().sel(sequence=5), rtol=1e-4)
        assert [trace["legendgroup"] for trace in bands] == ["string 0", "string 5"]
        low, high = (100 * each.per_sequence_interval()).sel(sequence=0).to_numpy()
        np.testing.assert_allclose(bands[0]["y"], [*high, *low[::-1]], rtol=1e-4, atol=1e-9)


def on_a_screen(*lines: Line):
    return on_screen(Drawing([Panel(Axis("x"), Axis("y"), lines)])).graphs[0]


def test_a_band_leaves_out_what_has_no_interval() -> None:
    line = Line([0, 1, 2, 3, 4], [1, 2, 3, 4, 5], "a", "#ff0000", low=[0, 1, np.nan, 3, 4], high=[2, 3, np.nan, 5, 6])
    trace, _ = on_a_screen(line).traces
    assert (trace["x"], trace["y"]) == ([0, 1, 1, 0, None, 3, 4, 4, 3], [2, 3, 1, 0, None, 5, 6, 4, 3])
    assert trace["fill"] == "toself" and trace["fillcolor"] == "rgba(255,0,0,0.15)" and trace["hoverinfo"] == "skip"


def test_bands_do_not_crowd_the_hover() -> None:
    """Eight lines share one hover; a band is none of them."""
    lines = [Line([0, 1], [0, 1], str(index), "#000000", low=[0, 0], high=[1, 2]) for index in range(8)]
    assert on_a_screen(*lines).layout["hovermode"] == "x unified"


def test_several_seeds_are_drawn_as_their_mean_with_intervals_over_seeds() -> None:
    runs = [[accuracy("printable", seed), accuracy("hexadecimal", 10 + seed)] for seed in range(3)]
    figure = on_paper(strings(*runs))
    assert [axis.get_title() for axis in figure.axes] == [
        "printable strings (3 seeds)",
        "hexadecimal strings (3 seeds)",
    ]
    for at, axis in enumerate(figure.axes):
        of_seeds = 100 * np.stack([run[at].per_sequence().transpose("sequence", "checkpoint") for run in runs])
        np.testing.assert_allclose([line.get_ydata() for line in axis.lines], of_seeds.mean(axis=0))
        half = stats.t.ppf(0.975, 2) * of_seeds.std(axis=0, ddof=1) / np.sqrt(3)
        low, high = np.clip(of_seeds.mean(axis=0) + [-half, half], 0, 100)
        corners = axis.collections[1].get_paths()[0].vertices[:, 1]
        assert (corners.min(), corners.max()) == pytest.approx((low[1].min(), high[1].max()))
    bands = on_screen(strings(*runs)).graphs[1].traces[::2]
    np.testing.assert_allclose(bands[1]["y"], [*high[1], *low[1][::-1]], rtol=1e-4, atol=1e-9)


def test_tests_on_two_alphabets_are_not_averaged() -> None:
    with pytest.raises(ValueError, match=r"one alphabet, got \['hexadecimal', 'printable'\]"):
        exact_by_string([accuracy("printable", 0), accuracy("hexadecimal", 0)])
    with pytest.raises(ValueError, match="got no run"):
        exact_by_string([])


def test_seeds_that_agree_have_the_interval_over_samples() -> None:
    one = accuracy("hexadecimal", 0)
    same, other = exact_by_string([one, one]), exact_by_string([one, accuracy("hexadecimal", 1)])
    assert same.attrs["over"] == "2 seeds"
    low, high = one.per_sequence_interval().transpose("bound", "checkpoint", "sequence").to_numpy()
    np.testing.assert_allclose(same.sel(estimate=["low", "high"]), [low, high])
    assert bool((other.sel(estimate="high") > other.sel(estimate="low")).all())
