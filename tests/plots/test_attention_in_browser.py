"""Attention views where they are looked at: clicks, the slider, files, hostile tokens, and where no script may run."""

import html
from pathlib import Path

import numpy as np
import pytest
from browser import Tab, needs_a_browser, outcome_of
from matplotlib.image import imread

from grok_interp.analysis.attention import AttentionMaps
from grok_interp.plots.attention import AttentionView, attention_assets, attention_view

pytestmark = needs_a_browser
HOSTILE = {
    "</script><script>document.title='broken'</script>": "</script><script>docume…",
    "<img src=x onerror=alert(1)>": "<img␣src=x␣onerror=aler…",
    """'"`${alert(1)}&lt;""": """'"`${alert(1)}&lt;""",
    "\0\n\x1b": r"‹U+0000›\n‹U+001B›",
    "a\u202eb\u200f": "a‹U+202E›b‹U+200F›",
    "\ud800": "‹U+D800›",
    "\u2028": "‹U+2028›",
    "": "‹empty›",
}
PICTURE = """
const view = document.querySelector(".attention-view");
while (!view.classList.contains("av-ready")) await wait(50);
const buttons = [...view.querySelectorAll(".av-heads button")];
const slider = view.querySelector("input[type=range]");
const chart = () => view.querySelector(".av-chart iframe:only-child")?.contentDocument.querySelector("canvas");
const look = async () => {
  await wait(500); // a slider has come to rest
  while (!chart()) await wait(100);
  await wait(500);
  return {
    chart: chart().toDataURL(),
    thumbnail: buttons[0].querySelector("canvas").toDataURL(),
    title: view.querySelector(".av-title").textContent,
    label: view.querySelector(".av-chart").getAttribute("aria-label"),
    pressed: buttons.map((button) => button.getAttribute("aria-pressed")),
    note: view.querySelector(".av-note").textContent,
  };
};
"""
FILES = """
let blob;
URL.createObjectURL = (given) => { blob = given; return "#"; };
const exported = async (format) => {
  blob = undefined;
  view.querySelector(`button[data-format=${format}]`).click();
  while (!blob) await wait(50);
  return blob;
};
"""


def maps(seed: int, *, n_layers: int = 2, n_heads: int = 3, n_tokens: int = 7) -> AttentionMaps:
    weights = np.random.default_rng(seed).random((n_layers, n_heads, n_tokens, n_tokens)) ** 4
    weights = np.tril(weights + np.eye(n_tokens))
    return AttentionMaps.of_arrays({"pattern": weights / weights.sum(axis=-1, keepdims=True)}, {})


@pytest.fixture
def view() -> AttentionView:
    scores = np.array([[0.1, 0.2, 0.3], [0.6, 0.5, np.nan]])
    return attention_view({0: maps(0), 500: maps(1)}, list("abcdefg"), scores=scores)


def test_a_click_and_the_slider_change_the_picture(view: AttentionView, tmp_path: Path, tab: Tab) -> None:
    moved = """
    const seen = [await look()];
    buttons[1].click();
    seen.push(await look());
    slider.value = 0;
    slider.dispatchEvent(new Event("input"));
    seen.push(await look());
    return {seen, names: buttons.map((button) => button.textContent), step: view.querySelector("output").textContent};
    """
    found = outcome_of(view.write(tmp_path / "view.html"), PICTURE + moved, tab)
    first, clicked, moved = found["seen"]
    assert found["names"] == ["L1H0 0.60", "L1H1 0.50", "L0H2 0.30", "L0H1 0.20", "L0H0 0.10", "L1H2 -"]
    assert [each["title"] for each in found["seen"]] == ["L1H0, step 500", "L1H1, step 500", "L1H1, step 0"]
    assert len({each["chart"] for each in found["seen"]}) == 3, "each head and step has its own picture"
    assert first["thumbnail"] == clicked["thumbnail"] != moved["thumbnail"]
    assert [each["pressed"].index("true") for each in found["seen"]] == [0, 1, 1]
    assert found["step"] == "0" and moved["label"] == "Attention of L1H1, step 0, over 7 tokens"


def test_the_chart_shows_the_weights(tmp_path: Path, tab: Tab) -> None:
    """One head looks at its own place, the other at the first: dark cells are where the weights are 1."""
    patterns = np.zeros((1, 2, 5, 5))
    patterns[0, 0] = np.eye(5)
    patterns[0, 1, :, 0] = 1
    view = attention_view(AttentionMaps.of_arrays({"pattern": patterns}, {}), list("abcde"))
    dark = """
    const canvas = buttons[1].querySelector("canvas");
    const pixels = canvas.getContext("2d").getImageData(0, 0, 5, 5).data;
    return Array.from({length: 25}, (_, place) => [...pixels.slice(4 * place, 4 * place + 4)]);
    """
    pixels = np.array(outcome_of(view.write(tmp_path / "view.html"), PICTURE + dark, tab))
    rows, columns = np.nonzero((pixels == [0x00, 0x72, 0xB2, 255]).all(axis=1).reshape(5, 5))
    assert rows.tolist() == [0, 1, 2, 3, 4] and columns.tolist() == [0] * 5


def test_no_token_breaks_out_and_all_can_be_read(tmp_path: Path, tab: Tab) -> None:
    tokens = list(HOSTILE)
    view = attention_view(maps(0, n_tokens=len(tokens)), tokens)
    read = """
    await look();
    const svg = await (await exported("svg")).text();
    const drawn = [...new DOMParser().parseFromString(svg, "image/svg+xml").querySelectorAll("text")];
    const scripts = document.querySelectorAll("script").length;
    return {title: document.title, labels: drawn.map((text) => text.textContent), scripts,
            images: document.images.length};
    """
    page = view.write(tmp_path / "view.html")
    found = outcome_of(page, PICTURE + FILES + read, tab)
    assert found["title"] == "attention of 6 heads over 8 tokens"
    assert found["labels"][1:17] == [shown for shown in HOSTILE.values() for _ in ("query", "key")]
    assert found["images"] == 0 and found["scripts"] == 4, "circuitsvis, ours, the data, the start"


def test_files_hold_the_chosen_head(view: AttentionView, tmp_path: Path, tab: Tab) -> None:
    files = """
    buttons[3].click();
    const svg = await (await exported("svg")).text();
    const root = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
    const png = await exported("png");
    const image = await createImageBitmap(png);
    return {texts: [...root.querySelectorAll("text")].map((text) => text.textContent), type: png.type,
            width: root.getAttribute("width"), pixels: image.width};
    """
    found = outcome_of(view.write(tmp_path / "view.html"), PICTURE + FILES + files, tab)
    assert found["texts"] == [
        "L0H1, step 500: queries are rows, keys columns",
        *(letter for letter in "abcdefg" for _ in ("query", "key")),
        *("0", "0.5", "1", "attention weight"),
    ]
    assert found["type"] == "image/png" and found["pixels"] == 2 * int(found["width"])


def test_rows_that_are_no_distribution_are_marked(tmp_path: Path, tab: Tab) -> None:
    broken = maps(0)
    broken["pattern"][0, 1, 3, :4] = np.nan
    broken["pattern"][0, 1, 4] = 0.0
    view = attention_view(broken, list("abcdefg"))
    colors = """
    buttons[1].click();
    const seen = await look();
    const drawn = buttons[1].querySelector("canvas").getContext("2d").getImageData(0, 3, 1, 2).data;
    const pixels = [[...drawn.slice(0, 4)], [...drawn.slice(4)]];
    return {...seen, pixels, faulty: buttons.map((button) => button.classList.contains("av-faulty")),
            told: view.querySelector(".av-faults").textContent};
    """
    found = outcome_of(view.write(tmp_path / "view.html"), PICTURE + colors, tab)
    assert "1 of 7 queries hold values that are no numbers; 1 of 7 queries hold no weights that" in found["note"]
    assert "L0H1: of 7 queries 1 hold values that are no numbers and 1 hold no weights that sum to 1" in found["told"]
    assert found["faulty"] == [False, True, False, False, False, False]
    assert found["pixels"] == [[0xD5, 0x5E, 0x00, 255], [249, 231, 217, 255]], "vermilion, and a light vermilion"


def test_views_of_one_page_share_the_scripts(view: AttentionView, tmp_path: Path, tab: Tab) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><title>two</title>{attention_assets()}<body>{view.html()}{view.html()}</body>")
    count = """
    const charts = () => [...document.querySelectorAll(".av-ready .av-chart iframe")].filter(
        (frame) => frame.contentDocument.querySelector("canvas")).length;
    for (let n = 0; n < 1000 && charts() < 2; n++) await wait(100);
    return charts()"""
    assert outcome_of(page, count, tab) == 2


FRAMES = """
const outputs = () => [...document.querySelectorAll("iframe.output")].map((output) => {
  const picture = output.contentDocument.querySelector("img"), frame = output.contentDocument.querySelector("iframe");
  return {shown: picture.getClientRects().length > 0, ready: !!frame.contentDocument.querySelector(".av-ready canvas"),
          chart: !!frame.contentDocument.querySelector(".av-chart iframe")?.contentDocument.querySelector("canvas"),
          height: frame.clientHeight, content: frame.contentDocument.body.offsetHeight, said: picture.alt,
          trusted: !output.sandbox.length};
});
const drawn = (each) => each.ready && each.chart && !each.shown && each.height >= each.content;
for (let n = 0; n < 1000 && !outputs().every((each) => !each.trusted || drawn(each)); n++) await wait(100);
return outputs();
"""


def page_of_outputs(view: AttentionView, file: Path, frames: list[str]) -> Path:
    """A notebook's output in frames with these attributes."""
    output = html.escape(view._repr_html_(), quote=True)
    body = "".join(f'<iframe class="output" width=800 height=900 {each} srcdoc="{output}"></iframe>' for each in frames)
    file.write_text(f"<!doctype html><meta charset='utf-8'><title>x</title><body>{body}</body>")
    return file


def test_a_notebook_shows_the_view_or_without_scripts_a_picture(view: AttentionView, tmp_path: Path, tab: Tab) -> None:
    page = page_of_outputs(view, tmp_path / "notebook.html", ["", "", 'sandbox="allow-same-origin"'])
    *trusted, untrusted = outcome_of(page, FRAMES, tab, expected="Blocked script execution")
    for each in trusted:
        assert each["ready"] and each["chart"] and not each["shown"] and each["height"] >= each["content"]
    assert untrusted["shown"] and untrusted["said"] == "Attention of L1H0, step 500" and not untrusted["ready"]
    assert untrusted["height"] == 1, "nothing empty below the picture"


@pytest.mark.parametrize("scripts", [True, False])
def test_a_sandbox_without_an_origin_shows_the_view_or_the_picture(scripts: bool, tmp_path: Path, tab: Tab) -> None:
    """No script outside may look into it: what is drawn tells. Only the view has a frame around the chosen head."""
    patterns = np.broadcast_to(np.eye(5), (1, 1, 5, 5))
    view = attention_view(AttentionMaps.of_arrays({"pattern": patterns}, {}), list("abcde"))
    sandbox = 'sandbox="allow-scripts"' if scripts else "sandbox"
    page = page_of_outputs(view, tmp_path / "notebook.html", [sandbox])
    tab.open(page.as_uri(), until="document.readyState === 'complete'")
    for _ in range(1000):
        tab.screenshot(tmp_path / "seen.png", whole=False)
        pixels = (imread(tmp_path / "seen.png")[:, :, :3] * 255).round().astype(int)
        blue = (pixels == [0x00, 0x72, 0xB2]).all(axis=2)
        first = blue.any(axis=1).argmax()
        thin = blue[first + 3].sum() < 10  # two sides of a thin frame, or a cell of the picture
        if blue.sum() > 5 * 20 * 20 and thin == scripts:  # the diagonal
            break
        tab.ask("new Promise((resolve) => setTimeout(resolve, 100))")
    else:
        pytest.fail("the view, or the picture, is not there")
    assert [error for error in tab.errors if scripts or "Blocked script" not in error] == []


def test_dark_mode_draws_on_black(tmp_path: Path, tab: Tab) -> None:
    """Thumbnails, circuitsvis' chart and the color bar: weights of 0 are black, of 1 a light blue; files stay white."""
    patterns = np.broadcast_to(np.eye(5), (1, 1, 5, 5))
    view = attention_view(AttentionMaps.of_arrays({"pattern": patterns}, {}), list("abcde"))
    page, seen = view.write(tmp_path / "view.html"), {}
    for scheme in ("light", "dark"):
        tab.open(page.as_uri(), scheme=scheme, until="document.querySelector('.av-ready')")
        tab.wait_for("document.querySelector('.av-chart iframe')?.contentDocument.querySelector('canvas')")
        tab.ask("new Promise((resolve) => setTimeout(resolve, 2000))")
        tab.screenshot(tmp_path / f"{scheme}.png", whole=False)
        seen[scheme] = (imread(tmp_path / f"{scheme}.png")[:, :, :3] * 255).round().astype(int)
    assert tab.errors == []
    light, dark = seen["light"], seen["dark"]
    assert light[:, 5].min() > 240 and dark[:, 5].max() < 30, "the page itself"
    ones = (light == [0x00, 0x72, 0xB2]).all(axis=2)
    assert ones.sum() > 5 * 80 * 80
    drawn = dark[ones]
    assert np.median(drawn[:, 2]) > 200 and np.median(drawn[:, 0]) < 120, "light blue where it was blue"
    assert dark.sum(axis=2).mean() < 120, "and nothing white is left"


def test_the_reports_step_is_followed_even_before_the_patterns_are_unpacked(
    view: AttentionView, tmp_path: Path, tab: Tab
) -> None:
    early = "<script>document.dispatchEvent(new CustomEvent('training-step', {detail: 100}))</script>"
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><title>early</title>{attention_assets()}<body>{view.html()}{early}</body>")
    assert outcome_of(page, PICTURE + "return (await look()).title;", tab) == "L1H0, step 0"


def test_on_paper_there_are_pictures_and_no_controls(view: AttentionView, tmp_path: Path, tab: Tab) -> None:
    tab.open(view.write(tmp_path / "view.html").as_uri(), until="document.querySelector('.av-ready .av-chart iframe')")

    def shown(selector: str) -> set[bool]:
        found = f"[...document.querySelectorAll('{selector}')].map((each) => each.getClientRects().length > 0)"
        return set(tab.ask(found))

    controls = [".av-controls button", ".av-controls input", ".av-hint"]
    assert [shown(each) for each in controls] == [{True}] * 3
    tab.show_as(media="print")
    assert [shown(each) for each in controls] == [{False}] * 3
    assert shown(".av-heads canvas") == shown(".av-chart iframe") == shown(".av-title") == {True}
    frame = "document.querySelector('.av-chart iframe')"
    tab.wait_for(f"{frame}.contentDocument.querySelector('canvas')")
    widths = tab.ask(
        f"[{frame}.contentDocument.querySelector('canvas'), {frame}].map(e => e.getBoundingClientRect().width)"
    )
    assert widths[0] <= widths[1] <= 480, "whole on the page"
    assert tab.ask("getComputedStyle(document.querySelector('.av-bar')).printColorAdjust") == "exact"


MANY = """
for (let asked = 0; asked < 600 && document.querySelectorAll(".av-chart canvas").length < 2; asked++) await wait(50);
const [overview, detail] = document.querySelectorAll(".av-chart canvas");
await wait(1000);
const pixel = (canvas, x, y) => [...canvas.getContext("2d").getImageData(x, y, 1, 1).data];
const value = document.querySelector(".av-value");
const scales = [...document.querySelectorAll(".av-quiet")].map((text) => text.textContent);
const seen = [value.textContent];
const {left, top, width} = overview.getBoundingClientRect();
const at = (target, type, x, y) => target.dispatchEvent(new PointerEvent(type, {clientX: x, clientY: y, buttons: 1}));
at(overview, "pointerdown", left + width / 1000 * 400, top + width / 1000 * 500);
seen.push(value.textContent);
const box = detail.getBoundingClientRect(), margin = 10 + 6.5 * 4, zoom = box.width / (detail.width / 2);
const cell = (index) => (margin + 11 * index + 5) * zoom;
at(detail, "pointermove", box.left + cell(20), box.top + cell(20));
seen.push(value.textContent);
const center = 2 * (margin + 11 * 20 + 5);
const colors = [pixel(detail, center, center), pixel(detail, center + 22, center)];
detail.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowDown"}));
seen.push(value.textContent);
const frames = document.querySelectorAll("iframe").length;
return {seen, colors, scales, size: overview.width, beside: pixel(overview, 100, 125), frames};
"""


def test_of_many_tokens_the_whole_is_scaled_down_beside_a_window(tmp_path: Path, tab: Tab) -> None:
    """1,000 queries look 100 tokens back: a click in the overview moves the window to where it says."""
    pattern = np.zeros((1000, 1000))
    pattern[np.arange(1000), np.maximum(np.arange(1000) - 100, 0)] = 1
    page = attention_view(pattern, [f"t{place}" for place in range(1000)], heads=["L0H1"]).write(tmp_path / "many.html")
    found = outcome_of(page, MANY, tab)
    assert found["seen"] == [
        "Window: queries 960 to 999, keys 960 to 999; a cell is one weight.",
        "Window: queries 480 to 519, keys 380 to 419; a cell is one weight.",
        "query 500 t500 → key 400 t400: 1.000",
        "Window: queries 500 to 539, keys 380 to 419; a cell is one weight.",
    ]
    assert found["colors"] == [[0x00, 0x72, 0xB2, 255], [255, 255, 255, 255]]
    assert found["size"] == 500 and found["beside"] == [255, 255, 255, 255]
    assert any("All 1,000 tokens: a pixel is the largest of 2 x 2 weights." in scale for scale in found["scales"])
    assert any("Thumbnails: a pixel is the largest of 16 x 16 weights." in scale for scale in found["scales"])
    assert found["frames"] == 0, "circuitsvis is not asked"


def test_all_heads_are_a_grid_with_one_row_per_layer(tmp_path: Path, tab: Tab) -> None:
    page = attention_view(maps(0), list("abcdefg")).write(tmp_path / "grid.html")
    rows = "return buttons.map((button) => [button.textContent, button.getBoundingClientRect().top])"
    found = dict(outcome_of(page, PICTURE + rows, tab))
    assert len({found[f"L0H{head}"] for head in range(3)}) == len({found[f"L1H{head}"] for head in range(3)}) == 1
    assert found["L0H0"] < found["L1H0"]


def test_charts_do_not_pile_up(view: AttentionView, tmp_path: Path, tab: Tab) -> None:
    """Each chart is in a frame that goes with the next."""
    chosen = """
    for (const button of buttons) { button.click(); await look(); }
    return [view.querySelectorAll("iframe").length, document.querySelectorAll(".av-chart canvas").length];
    """
    assert outcome_of(view.write(tmp_path / "view.html"), PICTURE + chosen, tab) == [1, 0]


def test_the_chart_of_circuitsvis_has_the_weights(tmp_path: Path, tab: Tab) -> None:
    """The data that its frame got, and the colors that it drew: the first column of the second head."""
    patterns = np.zeros((1, 2, 4, 4))
    patterns[0, 0] = np.eye(4)
    patterns[0, 1] = [[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.2, 0, 0.8, 0], [0.1, 0.2, 0.3, 0.4]]
    view = attention_view(AttentionMaps.of_arrays({"pattern": patterns}, {}), list("abcd"))
    read = """
    buttons[1].click();
    await look();
    const data = view.querySelector(".av-chart iframe").contentDocument.querySelector("[type='application/json']");
    return JSON.parse(data.textContent);
    """
    found = outcome_of(view.write(tmp_path / "view.html"), PICTURE + read, tab)
    np.testing.assert_allclose(found["attention"], patterns[0, 1], atol=1 / 510 + 5e-4)
    assert found["tokens"] == list("abcd") and found["maskUpperTri"]
