"""The report in a real browser, without a network."""

import io
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from browser import CHART, Tab, move_slider, needs_a_browser, require_attention

from grok_interp.analysis.formation import formation_order
from grok_interp.analysis.induction import InductionScores
from grok_interp.plots import Axis, Drawing, Line, Panel, on_screen
from grok_interp.plots.page import Headline, Page, Section
from grok_interp.plots.paper import inline_svg
from grok_interp.plots.pictures.head_map import head_map
from grok_interp.presets import training_preset
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.copying import analyze, evaluation_inputs
from grok_interp.studies.copying.copying_report import report_page
from grok_interp.studies.study import write_report


@pytest.fixture(scope="module")
def report(text_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One for all tests here, which look at it and leave it as it is."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROK_INTERP_CACHE", str(folder / "cache"))
        run = run_training(folder / "run", training_preset("copier-tiny").with_data(source=str(text_file)))
        inputs = evaluation_inputs(run, n_samples=3, n_windows=4)
        yield write_report(run, report_page(run, analyze(run, inputs), inputs, threshold=0.1))


def stored_induction(report: Path) -> InductionScores:
    run = Run.open(report.parent)
    return analyze(run, evaluation_inputs(run, n_samples=3, n_windows=4)).induction


def markers(tab: Tab) -> list[float]:
    """Where each graph over training has its marker."""
    return tab.ask(
        "[...document.querySelectorAll('.graph')].map(g => (g.layout.shapes ?? []).find(s => s.name === 'step')?.x0)"
        ".filter(x => x !== undefined)"
    )


@needs_a_browser
def test_every_view_is_drawn_offline(report: Path, tab: Tab) -> None:
    tab.open(report.as_uri())
    assert tab.errors == []
    assert tab.ask("[...document.querySelectorAll('.graph')].every(g => g.querySelector('.main-svg'))")
    require_attention(tab)


@needs_a_browser
def test_the_slider_moves_every_marker_the_head_map_and_the_attention(report: Path, tab: Tab) -> None:
    tab.open(report.as_uri())
    assert markers(tab) == [20] * 7
    move_slider(tab, 1)
    assert markers(tab) == [5] * 7
    shown = tab.ask("document.querySelector('#induction-score-of-every-head .graph').data[0].z")
    scores = stored_induction(report)["I"]
    np.testing.assert_allclose(shown, scores.sel(checkpoint=5).values, atol=1e-4)
    assert tab.ask("document.getElementById('shown-step').textContent") == "5"
    require_attention(tab)
    assert tab.ask("document.querySelector('.attention-view .av-title').textContent").endswith("step 5")
    assert tab.ask("document.querySelectorAll('input[type=range]').length") == 2
    assert tab.ask("document.querySelector('.attention-view input').getClientRects().length") == 0, "one for the page"


@needs_a_browser
def test_the_attention_shrinks_and_grows_with_the_window(report: Path, tab: Tab) -> None:
    width = f"{CHART}.getBoundingClientRect().width"
    tab.open(report.as_uri(), width=1400)
    require_attention(tab)
    tab.ask("document.querySelector('.attention-view').scrollIntoView()")
    tab.wait_for(f"{width} > 600")
    for size, condition in ((390, "< 390"), (1400, "> 600")):
        tab.call("Emulation.setDeviceMetricsOverride", width=size, height=900, deviceScaleFactor=1, mobile=False)
        tab.wait_for(f"{width} {condition}")


@needs_a_browser
@pytest.mark.parametrize(("width", "n_columns"), [(390, 1), (1400, 1), (2200, 2)])
def test_figures_are_side_by_side_where_there_is_room(report: Path, tab: Tab, width: int, n_columns: int) -> None:
    tab.open(report.as_uri(), width=width)
    places = tab.ask("[...document.querySelectorAll('main section figure')].map(f => f.getBoundingClientRect().left)")
    assert len(set(places)) == n_columns
    used = tab.ask("document.querySelector('main').getBoundingClientRect().width")
    assert used > min(0.85 * width, 900)
    assert tab.ask("document.documentElement.scrollWidth") <= width


@needs_a_browser
def test_in_two_columns_a_short_figure_leaves_no_hole_beside_a_tall_one(report: Path, tab: Tab) -> None:
    tab.open(report.as_uri(), width=2200)
    places = "[...document.querySelectorAll('main > section')].map(s => s.getBoundingClientRect().toJSON())"
    tab.wait_for("document.querySelector('main > section').style.gridRowEnd !== ''")
    *sections, _ = tab.ask(places)  # the configuration is as wide as both columns
    for left in {each["left"] for each in sections}:
        column = sorted((each["top"], each["bottom"]) for each in sections if each["left"] == left)
        between = [top - bottom for (_, bottom), (top, _) in itertools.pairwise(column)]
        assert len(column) > 2 and min(between) >= 0 and max(between) < 16
    first, second, *_ = sections
    assert first["top"] == second["top"] and first["left"] < second["left"], "they are read from left to right"


@needs_a_browser
def test_blue_is_lighter_on_a_dark_page(report: Path, tab: Tab) -> None:
    for scheme, seen in (("light", "rgb(0, 114, 178)"), ("dark", "rgb(80, 144, 240)")):
        tab.open(report.as_uri(), scheme=scheme)
        key = "getComputedStyle(document.querySelector('.legend line[stroke=\"#0072B2\"]')).stroke"
        line = "[...document.querySelectorAll('.graph .js-line')].filter(e => e.style.stroke === 'rgb(0, 114, 178)')"
        assert tab.ask(key) == seen
        assert set(tab.ask(f"{line}.map(e => getComputedStyle(e).stroke)")) == {seen}


@needs_a_browser
def test_the_step_axis_can_be_logarithmic(report: Path, tab: Tab) -> None:
    tab.open(report.as_uri())
    tab.ask("document.getElementById('log').click()")
    tab.wait_for("document.querySelector('#copying-and-loss .graph')._fullLayout.xaxis.type === 'log'")
    drawn = "document.querySelector('#copying-and-loss .graph').querySelector('.shapelayer path').getBBox()"
    last = tab.ask("document.querySelector('#copying-and-loss .graph')._fullLayout.xaxis.d2p(20)")
    assert tab.ask(f"{drawn}.x") - tab.ask(
        "document.querySelector('#copying-and-loss .graph')._fullLayout._size.l"
    ) == pytest.approx(last, abs=1)
    move_slider(tab, 0)
    assert markers(tab) == [], "step 0 has no place on a logarithmic axis"


@needs_a_browser
def test_the_legend_switches_lines_off(report: Path, tab: Tab) -> None:
    tab.open(report.as_uri())
    tab.ask("document.querySelector('#order-in-which-heads-form .legend button').click()")
    visible = tab.ask("document.querySelector('#order-in-which-heads-form .graph').data.map(t => t.visible !== false)")
    assert visible[:4] == [False, False, True, True], "both heads of layer 0"


@needs_a_browser
def test_the_table_of_a_figure_can_be_downloaded(report: Path, tab: Tab) -> None:
    tab.open(report.as_uri())
    text = tab.ask("fetch(document.querySelector('#order-in-which-heads-form .csv').href).then(a => a.text())")
    order = formation_order(stored_induction(report), threshold=0.1)
    table = pd.read_csv(io.StringIO(text))
    assert list(table) == ["layer", "head", "onset"]
    np.testing.assert_allclose(table["onset"], order.to_frame()["onset"])
    names = tab.ask("[...document.querySelectorAll('.csv')].map(a => a.download)")
    assert len(set(names)) == len(names) == 5


@needs_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_picture_is_shown_once_on_screen_and_on_paper(report: Path, tab: Tab, scheme: str) -> None:
    def shown(selector: str) -> list[bool]:
        return tab.ask(
            f"[...document.querySelectorAll('.has-drawing {selector}')].map(e => e.getBoundingClientRect().height > 0)"
        )

    tab.open(report.as_uri(), width=390, scheme=scheme)
    assert shown(".drawing") == [True] * 5 and shown(".printed") == [False] * 5
    assert tab.ask("document.documentElement.scrollWidth") <= 390
    paper = tab.ask("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    tick = "getComputedStyle(document.querySelector('.graph .xtick text')).fill"
    assert tab.ask(tick) == tab.ask("getComputedStyle(document.body).color")
    tab.show_as(media="print", scheme=scheme)
    assert shown(".drawing") == [False] * 5 and shown(".printed > svg") == [True] * 5
    assert tab.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_a_page_is_small_and_names_what_is_missing(report: Path) -> None:
    page = report.read_text()
    assert len(page.encode()) < 15_000_000
    assert f"grok-interp reproduce copying/heads --run {report.parent}" in page
    assert f"grok-interp reproduce copying/ablation --run {report.parent}" in page
    assert page.count("plotly.js v") == 1


def test_a_table_that_is_too_large_is_left_out_and_said_to_be() -> None:
    table = pd.DataFrame({"value": np.arange(200_000)})
    section = Section("Much", "", table=table)
    page = Page("", "", [], [section], {}).html()
    assert section.csv == "" and "Its table of 200,000 rows is too large for this page" in page


def test_no_text_ends_the_script_that_holds_a_graph() -> None:
    line = Line([0, 1], [0, np.nan], "</script><b>", "#000000")
    (graph,) = on_screen(Drawing([Panel(Axis("</script>"), Axis(""), [line])])).graphs
    assert "</script" not in graph.script()
    (trace,) = json.loads(graph.script())["figure"]["data"]
    assert trace["name"] == "</script><b>" and trace["y"] == [0, None]


def test_figures_in_one_page_share_no_ids() -> None:
    drawings = [head_map(xr.DataArray(np.eye(2) * scale, dims=("layer", "head")), label="I") for scale in (0.1, 1)]
    first, second = (set(re.findall(r'\bid="(.*?)"', inline_svg(drawing))) for drawing in drawings)
    assert first and not first & second


def test_nothing_is_asked_of_a_network(report: Path) -> None:
    page = re.sub(r"<script>.*?</script>", "", report.read_text(), flags=re.DOTALL)
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
    assert report.read_text().count("CircuitsVis=") <= 1


def test_text_from_a_run_cannot_become_markup() -> None:
    hostile = '</script><img src=x onerror="alert(1)">'
    page = Page(hostile, hostile, [Headline(hostile, hostile)], [], {hostile: hostile}, [hostile]).html()
    assert hostile not in page
    assert page.count("&lt;/script&gt;") >= 6


@needs_a_browser
def test_cells_are_dark_on_a_dark_page_where_nothing_is(report: Path, tab: Tab) -> None:
    section = "document.querySelector('#induction-score-of-every-head"
    shown = {}
    for scheme in ("light", "dark"):
        tab.open(report.as_uri(), scheme=scheme)
        parts = (".heatmaplayer", ".scale i")
        shown[scheme] = [tab.ask(f"getComputedStyle({section} {part}')).filter") for part in parts]
    assert shown == {"light": ["none"] * 2, "dark": ["invert(1) hue-rotate(180deg)"] * 2}
    others = tab.ask(
        "[...document.querySelectorAll('.drawing')].filter(e => !e.classList.contains('has-white')).length"
    )
    assert others == 4, "lines keep their colors"


def test_the_configuration_is_said_in_words() -> None:
    settings = {
        "steps": (0, 5),
        "micro_batch_size": None,
        "intervene": (),
        "evaluation": {"names": ["a: 1", "b: 2"], "n": 0},
    }
    page = Page("", "", [], [], settings).html()
    rows = re.findall(r"<tr><th>([^<]*)</th><td>([^<]*)</td></tr>", page)
    assert rows[:-1] == [
        ("steps", "0, 5"),
        ("micro_batch_size", "none"),
        ("intervene", "none"),
        ("evaluation.names", "a: 1, b: 2"),
        ("evaluation.n", "0"),
    ]
    assert rows[-1][0] == "versions"
