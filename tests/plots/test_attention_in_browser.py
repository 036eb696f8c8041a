"""Attention views where they are looked at: clicks, the slider, files, hostile tokens, and where no script may run."""

import html
from pathlib import Path

import numpy as np
import pytest
from browser import needs_a_browser, outcome_of

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
const buttons = [...view.querySelectorAll(".av-heads button")];
const slider = view.querySelector("input[type=range]");
const look = async () => {
  await wait(500);
  return {
    chart: view.querySelector(".av-chart canvas").toDataURL(),
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
  view.querySelector(`button[data-format=${format}]`).click();
  await wait(500);
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


def test_a_click_and_the_slider_change_the_picture(view: AttentionView, tmp_path: Path) -> None:
    moved = """
    const seen = [await look()];
    buttons[1].click();
    seen.push(await look());
    slider.value = 0;
    slider.dispatchEvent(new Event("input"));
    seen.push(await look());
    return {seen, names: buttons.map((button) => button.textContent), step: view.querySelector("output").textContent};
    """
    found = outcome_of(view.write(tmp_path / "view.html"), PICTURE + moved, tmp_path / "profile")
    first, clicked, moved = found["seen"]
    assert found["names"] == ["L1H0 0.60", "L1H1 0.50", "L0H2 0.30", "L0H1 0.20", "L0H0 0.10", "L1H2 -"]
    assert [each["title"] for each in found["seen"]] == ["L1H0, step 500", "L1H1, step 500", "L1H1, step 0"]
    assert len({each["chart"] for each in found["seen"]}) == 3, "each head and step has its own picture"
    assert first["thumbnail"] == clicked["thumbnail"] != moved["thumbnail"]
    assert [each["pressed"].index("true") for each in found["seen"]] == [0, 1, 1]
    assert found["step"] == "0" and moved["label"] == "Attention of L1H1, step 0, over 7 tokens"


def test_the_chart_shows_the_weights(tmp_path: Path) -> None:
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
    pixels = np.array(outcome_of(view.write(tmp_path / "view.html"), PICTURE + dark, tmp_path / "profile"))
    rows, columns = np.nonzero((pixels == [0x00, 0x72, 0xB2, 255]).all(axis=1).reshape(5, 5))
    assert rows.tolist() == [0, 1, 2, 3, 4] and columns.tolist() == [0] * 5


def test_no_token_breaks_out_and_all_can_be_read(tmp_path: Path) -> None:
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
    found = outcome_of(page, PICTURE + FILES + read, tmp_path / "profile")
    assert found["title"] == "attention of 6 heads over 8 tokens"
    assert found["labels"][1:] == [shown for shown in HOSTILE.values() for _ in ("query", "key")]
    assert found["images"] == 0 and found["scripts"] == 4, "circuitsvis, ours, the data, the start"


def test_files_hold_the_chosen_head(view: AttentionView, tmp_path: Path) -> None:
    files = """
    buttons[3].click();
    const svg = await (await exported("svg")).text();
    const root = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
    const png = await exported("png");
    const image = await createImageBitmap(png);
    return {texts: [...root.querySelectorAll("text")].map((text) => text.textContent), type: png.type,
            width: root.getAttribute("width"), pixels: image.width};
    """
    found = outcome_of(view.write(tmp_path / "view.html"), PICTURE + FILES + files, tmp_path / "profile")
    assert found["texts"] == [
        "L0H1, step 500: queries are rows, keys columns",
        *(letter for letter in "abcdefg" for _ in ("query", "key")),
    ]
    assert found["type"] == "image/png" and found["pixels"] == 2 * int(found["width"])


def test_rows_that_are_no_distribution_are_marked(tmp_path: Path) -> None:
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
    found = outcome_of(view.write(tmp_path / "view.html"), PICTURE + colors, tmp_path / "profile")
    assert "1 of 7 queries hold values that are no numbers; 1 of 7 queries hold no weights that" in found["note"]
    assert "L0H1: of 7 queries 1 hold values that are no numbers and 1 hold no weights that sum to 1" in found["told"]
    assert found["faulty"] == [False, True, False, False, False, False]
    assert found["pixels"] == [[0xD5, 0x5E, 0x00, 255], [249, 231, 217, 255]], "vermilion, and a light vermilion"


def test_views_of_one_page_share_the_scripts(view: AttentionView, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><title>two</title>{attention_assets()}<body>{view.html()}{view.html()}</body>")
    count = "await wait(1000); return document.querySelectorAll('.av-ready .av-chart canvas').length"
    assert outcome_of(page, count, tmp_path / "profile") == 2


FRAMES = """
await wait(3000);
return [...document.querySelectorAll("iframe.output")].map((output) => {
  const picture = output.contentDocument.querySelector("img"), frame = output.contentDocument.querySelector("iframe");
  return {shown: picture.getClientRects().length > 0, ready: !!frame.contentDocument.querySelector(".av-ready canvas"),
          height: frame.clientHeight, content: frame.contentDocument.body.offsetHeight, said: picture.alt};
});
"""


def test_a_notebook_shows_the_view_or_without_scripts_a_picture(view: AttentionView, tmp_path: Path) -> None:
    output = html.escape(view._repr_html_(), quote=True)
    page = tmp_path / "notebook.html"
    frames = f'<iframe class="output" srcdoc="{output}"></iframe>' * 2
    untrusted = f'<iframe class="output" sandbox="allow-same-origin" srcdoc="{output}"></iframe>'
    page.write_text(f"<!doctype html><meta charset='utf-8'><title>x</title><body>{frames}{untrusted}</body>")
    *trusted, untrusted = outcome_of(page, FRAMES, tmp_path / "profile", expected="Blocked script execution")
    for each in trusted:
        assert each["ready"] and not each["shown"] and each["height"] >= each["content"]
    assert untrusted["shown"] and untrusted["said"] == "Attention of L1H0, step 500" and not untrusted["ready"]
