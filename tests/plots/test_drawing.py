"""Drawings as data, and what both renderers make of ones that can be read by eye."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import Tab, needs_a_browser
from matplotlib.figure import Figure
from matplotlib.text import Text

from grok_interp.plots import (
    TRAINING_STEP,
    Axis,
    Cells,
    ColorScale,
    Drawing,
    Level,
    Line,
    Panel,
    Points,
    on_paper,
    on_screen,
    save_figure,
)
from grok_interp.plots.drawing import on_one_scale
from grok_interp.plots.marks import Shade
from grok_interp.plots.page import Page, Section
from grok_interp.plots.theme import BLUE, GREEN, ORANGE

STEPS = [0, 5_000, 20_000]
LOSS = Line(STEPS, [5.0, 3.0, 2.0], "validation loss", BLUE, low=[4.5, 2.5, 1.5], high=[5.5, 3.5, 2.5])
SEED = Line(STEPS, [5.1, 2.9, 2.2], "validation loss", BLUE, faint=True)
OVER_TRAINING = Panel(
    TRAINING_STEP, Axis("loss", "nats", format=".2f"), [SEED, LOSS], "a title", [Level(1.5, "chance", ":")]
)
SCALE = ColorScale("score", (-1, 1), "RdBu_r", "points")


def cells(value: float) -> Cells:
    return Cells([[value, 0.5], [-0.5, np.nan], [0.1, 0.2]], ["a", "b"], [3, 5, 7], SCALE)


def shots(step: int) -> list[Line]:
    return [Line([0, 1, 2], [0.1, 0.2, step / 10_000], "i.d.", GREEN)]


FRAMES = Panel(Axis("shots", whole=True), Axis("accuracy"), frames={step: shots(step) for step in STEPS})
MAPS = Panel(Axis("column"), Axis("row"), frames={step: [cells(step / 40_000)] for step in STEPS})
EVERYTHING = Drawing([OVER_TRAINING, FRAMES, MAPS], columns=3, title="of everything")


def sizes_of_type(figure: Figure) -> list[float]:
    figure.draw_without_rendering()
    return [text.get_fontsize() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def test_paper_has_the_data_the_units_and_the_key() -> None:
    figure = on_paper(EVERYTHING)
    loss, accuracy, scores = figure.axes[:3]
    assert [line.get_ydata().tolist() for line in loss.lines[1:]] == [[5.1, 2.9, 2.2], [5.0, 3.0, 2.0]]
    corners = loss.collections[0].get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (1.5, 5.5)
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("training step (updates)", "loss (nats)")
    assert accuracy.lines[0].get_ydata().tolist() == [0.1, 0.2, 2.0], "the last frame"
    np.testing.assert_array_equal(scores.images[0].get_array().filled(np.nan), cells(0.5).values)
    assert scores.images[0].get_clim() == (-1, 1)
    assert figure.axes[3].get_xlabel() == "score (points)", "the color bar has its unit"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["validation loss", "i.d.", "chance"]
    assert figure.get_suptitle() == "of everything, step 20,000"


@pytest.mark.parametrize(("width", "points"), [("column", 190), ("full", 397)])
def test_paper_has_its_width_and_no_small_type(width, points: float) -> None:
    figure = on_paper(EVERYTHING, width=width)
    assert figure.get_figwidth() * 72 == pytest.approx(points)
    assert min(sizes_of_type(figure)) >= 7
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    assert box.x0 > -0.03 and box.x1 * 72 < points + 2, "nothing is cut at the sides"


def test_training_steps_have_thousands_separators_on_paper_and_screen() -> None:
    figure = on_paper(Drawing([OVER_TRAINING]))
    figure.draw_without_rendering()
    assert "20,000" in [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    (graph,) = on_screen(Drawing([OVER_TRAINING])).graphs
    assert graph.layout["xaxis"]["tickformat"] == "," and graph.markers == [(1, "#000000")]


def test_screen_has_the_data_the_units_and_the_key() -> None:
    screen = on_screen(EVERYTHING)
    loss, accuracy, scores = screen.graphs
    seed, band, mean = loss.traces
    assert seed["y"] == [5.1, 2.9, 2.2] and seed["hoverinfo"] == "skip"
    assert mean["y"] == [5.0, 3.0, 2.0] and mean["customdata"] == [(4.5, 5.5), (2.5, 3.5), (1.5, 2.5)]
    assert mean["hovertemplate"] == "%{y:.2f} nats [%{customdata[0]:.2f}, %{customdata[1]:.2f}]"
    assert band["y"] == [5.5, 3.5, 2.5, 1.5, 2.5, 4.5] and band["legendgroup"] == mean["legendgroup"]
    assert loss.layout["yaxis"]["title"]["text"] == "loss (nats)"
    assert [shape["y0"] for shape in loss.layout["shapes"]] == [1.5]
    assert scores.traces[0]["z"] == [[0.5, 0.5], [-0.5, None], [0.1, 0.2]]
    assert "score: %{z:.2f} points" in scores.traces[0]["hovertemplate"]
    assert [(entry.label, entry.switches) for entry in screen.key] == [
        ("validation loss", True),
        ("i.d.", True),
        ("chance", False),
    ]
    assert screen.steps == STEPS and screen.scales == [SCALE] and screen.not_following == ""


def test_frames_follow_the_step() -> None:
    for step in STEPS:
        figure = on_paper(EVERYTHING, step=step)
        assert figure.axes[1].lines[0].get_ydata()[2] == step / 10_000
        assert figure.axes[2].images[0].get_array()[0, 0] == step / 40_000
        assert figure.get_suptitle() == f"of everything, step {step:,}"
    _, accuracy, scores = on_screen(EVERYTHING).graphs
    assert {step: update["y"][0][2] for step, update in accuracy.frames.items()} == {0: 0.0, 5_000: 0.5, 20_000: 2.0}
    assert {step: update["z"][0][0][0] for step, update in scores.frames.items()} == {0: 0, 5_000: 0.125, 20_000: 0.5}
    assert all(set(update) == {"y"} for update in accuracy.frames.values()), "what stays is not sent again"
    assert on_paper(replace(EVERYTHING, step=5_000)).axes[1].lines[0].get_ydata()[2] == 0.5
    with pytest.raises(ValueError, match=r"no step 7 in this drawing, its steps: \[0, 5000, 20000\]"):
        on_paper(EVERYTHING, step=7)


def test_a_drawing_of_one_step_says_that_it_does_not_follow_the_slider() -> None:
    alone = Drawing([replace(FRAMES, frames={500: shots(500)})])
    assert on_screen(alone).not_following == "Step 500. This figure does not follow the slider."
    of_runs = Drawing([replace(FRAMES, marks=shots(500), frames={})])
    assert on_screen(of_runs).not_following == "This figure does not follow the slider."


def test_panels_that_have_no_room_go_below() -> None:
    four = Drawing([OVER_TRAINING] * 4, columns=4)
    for width, columns in (("full", 4), ("column", 1)):
        axes = on_paper(four, width=width).axes
        assert len({round(axis.get_subplotspec().colspan.start) for axis in axes}) == columns
    maps = Drawing([replace(MAPS, frames={}, marks=[cells(0)])] * 4, columns=4)
    assert len({axis.get_subplotspec().colspan.start for axis in on_paper(maps, width="column").axes[:4]}) == 2


def test_equal_axes_of_neighbors_are_written_once() -> None:
    left, right = on_paper(Drawing(on_one_scale([OVER_TRAINING, OVER_TRAINING]), columns=2)).axes
    assert left.get_ylabel() == "loss (nats)" and right.get_ylabel() == ""
    assert not any(tick.get_visible() for tick in right.get_yticklabels())
    other = replace(OVER_TRAINING, y=Axis("another"))
    assert on_paper(Drawing([OVER_TRAINING, other], columns=2)).axes[1].get_ylabel() == "another"


def test_panels_on_one_scale_hold_all_marks_of_all_steps() -> None:
    panels = on_one_scale([FRAMES, OVER_TRAINING])
    assert panels[0].y.limits == panels[1].y.limits == pytest.approx((-0.275, 5.775))
    assert on_one_scale([replace(FRAMES, y=Axis("accuracy", limits=(0, None)))])[0].y.limits[0] == 0


def test_a_dot_with_its_interval_stands_for_a_line_of_one_value() -> None:
    alone = Line([500], [2.0], "loss", BLUE, low=[1.0], high=[2.5])
    (axis,) = on_paper(Drawing([Panel(TRAINING_STEP, Axis("loss"), [alone])])).axes
    assert axis.lines[0].get_marker() == "o"
    assert axis.collections[0].get_segments()[0][:, 1].tolist() == [1.0, 2.5]
    (trace,) = on_screen(Drawing([Panel(TRAINING_STEP, Axis("loss"), [alone])])).graphs[0].traces
    assert trace["mode"] == "markers" and trace["error_y"]["array"] == [0.5] and trace["error_y"]["arrayminus"] == [1.0]


def test_what_makes_no_drawing_is_refused() -> None:
    with pytest.raises(ValueError, match="a drawing needs one panel or more"):
        Drawing([])
    with pytest.raises(ValueError, match="frames need the same marks at every step, step 5 has"):
        Panel(Axis("x"), Axis("y"), frames={0: [LOSS], 5: [LOSS, LOSS]})
    with pytest.raises(ValueError, match="width is column or full, got 'wide'"):
        on_paper(EVERYTHING, width="wide")  # pyright: ignore[reportArgumentType]


def test_the_same_drawing_gives_the_same_files(tmp_path: Path) -> None:
    first, second = (save_figure(EVERYTHING, tmp_path / name) for name in ("a", "b"))
    assert [path.suffix for path in first] == [".svg", ".pdf"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_notebook_shows_the_paper_and_prints_one_line() -> None:
    assert EVERYTHING._repr_png_().startswith(b"\x89PNG")
    assert repr(Drawing([OVER_TRAINING])) == "Drawing of 1 panel: loss (nats) against training step (updates)"


@needs_a_browser
def test_a_screen_in_a_notebook_moves_with_its_own_slider(tmp_path: Path, tab: Tab) -> None:
    (tmp_path / "cell.html").write_text(f"<!doctype html>{on_screen(EVERYTHING)._repr_html_()}")
    frame = "document.querySelector('iframe')?.contentDocument"
    drawn = f"{frame}?.documentElement?.dataset.drawn === 'yes'"
    tab.open((tmp_path / "cell.html").as_uri(), until=drawn)
    slider = f"{frame}.getElementById('step')"
    tab.ask(f"(() => {{ const s = {slider}; s.value = 0; s.dispatchEvent(new Event('input')); }})()")
    tab.wait_for(f"{frame}.querySelectorAll('.graph')[2].data[0].z[0][0] === 0")
    assert tab.errors == []


@needs_a_browser
def test_the_color_key_and_the_scale_are_on_the_page(tmp_path: Path, tab: Tab) -> None:
    shaded = replace(OVER_TRAINING, shades=[Shade(0, 1, "below chance")])
    dots = Panel(Axis("x"), Axis("y"), [Points([1], [2], "layer 1", ORANGE, ["L1H0"], texts=["7"], written="instead")])
    drawing = replace(EVERYTHING, panels=[shaded, MAPS, dots])
    page = Page("", "", [], [Section("Drawn", "", drawing)], {}).write(tmp_path / "page.html")
    tab.open(page.as_uri())
    key = tab.ask("[...document.querySelectorAll('.legend button')].map(b => [b.textContent.trim(), b.disabled])")
    assert key == [["validation loss", False], ["layer 1", False], ["chance", True], ["below chance", True]]
    assert tab.ask("document.querySelector('.scale').textContent.replace(/\\s+/g, ' ')") == "score (points) -11"
    color = tab.ask("getComputedStyle(document.querySelector('.textpoint text')).fill")
    assert color == "rgb(230, 159, 0)", "text that is a mark keeps its color"
    assert tab.errors == []


def test_a_graph_is_valid_json_for_plotly() -> None:
    for graph in on_screen(EVERYTHING).graphs:
        found = json.loads(graph.script())
        assert len(found["figure"]["data"]) == len(graph.traces)
