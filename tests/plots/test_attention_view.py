"""Attention views before any browser: what is kept of the weights, how tokens read, what is refused."""

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any
from unicodedata import category

import numpy as np
import pytest
import torch
import xarray as xr
from ground_truth import LLAMA, random_model
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import grok_interp.plots.attention.patterns_by_step as sources
from grok_interp.analysis.attention import AttentionMaps, attention_maps
from grok_interp.configs import TrainConfig
from grok_interp.models.transformer import Transformer
from grok_interp.plots.attention import AttentionView, attention_assets, attention_view
from grok_interp.plots.attention.quantized import Fault, quantized
from grok_interp.plots.attention.visible_tokens import HIDDEN, LONGEST, visible_token
from grok_interp.runs.run import Run

any_text = st.text(st.characters(exclude_categories=()))  # lone surrogates too
TOKENS = torch.tensor([3, 1, 4, 1, 5])
LETTERS = list("abcde")


def maps_of(patterns: np.ndarray) -> AttentionMaps:
    return AttentionMaps.of_arrays({"pattern": patterns}, {})


def uniform(n_layers: int, n_heads: int, n_tokens: int) -> AttentionMaps:
    pattern = np.tril(np.ones((n_tokens, n_tokens))) / np.arange(1, n_tokens + 1)[:, None]
    return maps_of(np.broadcast_to(pattern, (n_layers, n_heads, n_tokens, n_tokens)))


def data_of(view: AttentionView) -> dict[str, Any]:
    """What the browser reads."""
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', view.html(), re.DOTALL)
    data = json.loads(text)
    for name in ("cells", "faults"):
        packed = base64.b64decode(data[name])
        data[name] = np.frombuffer(zlib.decompress(packed) if packed else b"", dtype=np.uint8)
    return data


# What is kept of the weights


@given(arrays(float, (2, 7, 7), elements=st.floats(0, 1)))
def test_levels_are_within_the_error_that_the_view_states(weights: np.ndarray) -> None:
    np.testing.assert_array_less(np.abs(quantized(weights).levels / 255 - weights), 1 / 510 + 1e-12)


def test_cells_of_causal_patterns_are_the_rows_up_to_the_query() -> None:
    causal = quantized(np.array([[1, 0, 0], [0.2, 0.8, 0], [0.4, 0, 0.6]]))
    assert causal.causal
    assert causal.cells().tolist() == [255, 51, 204, 102, 0, 153]
    full = quantized(np.array([[0.2, 0.8], [1, 0]]))
    assert not full.causal
    assert full.cells().tolist() == [51, 204, 255, 0]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ([0.25, 0.75], Fault.NONE),
        ([0.25, 0.751], Fault.NONE),  # bfloat16
        ([0.0, 0.0], Fault.NOT_ONE),
        ([0.5, 0.7], Fault.NOT_ONE),
        ([-0.5, 1.5], Fault.NOT_ONE),
        ([np.nan, 1.0], Fault.NOT_A_NUMBER),
        ([np.inf, 0.0], Fault.NOT_A_NUMBER),
    ],
)
def test_a_row_that_is_no_distribution_is_marked(row: list[float], fault: Fault) -> None:
    assert quantized(np.array([[1.0, 0.0], row])).faults.tolist() == [Fault.NONE, fault]


def test_faults_are_told_by_head() -> None:
    patterns = uniform(2, 4, 5)["pattern"].to_numpy().copy()
    patterns[1, 2, 3:] = np.nan
    patterns[0, 1, 2] *= 2
    view = attention_view({7: maps_of(patterns), 9: uniform(2, 4, 5)}, LETTERS)
    assert view.faults() == [
        "L0H1: of 10 queries 1 hold no weights that sum to 1",
        "L1H2: of 10 queries 2 hold values that are no numbers",
    ]
    assert attention_view(maps_of(patterns * np.nan), LETTERS).faults()[-1] == "and 2 more heads"
    assert "L1H2: of 10 queries 2 hold values that are no numbers" in view.html()


# How tokens read


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (" the", "␣the"),
        ("\n", r"\n"),
        ("\x7f", "‹U+007F›"),
        ("\u200f", "‹U+200F›"),
        ("\ud800", "‹U+D800›"),
        ("", "‹empty›"),
    ]
    + [("a\xa0b", "a‹U+00A0›b"), ("\u0301", "◌\u0301"), ("é中", "é中"), ("x" * 25, "x" * 23 + "…")],
)
def test_a_token_as_it_is_shown(token: str, shown: str) -> None:
    assert visible_token(token) == shown


@given(any_text)
def test_every_token_can_be_seen(token: str) -> None:
    shown = visible_token(token)
    assert 1 <= len(shown) <= LONGEST
    assert not {category(character) for character in shown} & HIDDEN


@settings(deadline=None)
@given(st.lists(any_text, min_size=1, max_size=4))
def test_no_token_ends_a_script(tokens: list[str]) -> None:
    view = attention_view(uniform(1, 1, len(tokens)), tokens)
    assert view.html().count("<script") == view.html().count("</script") == 2
    assert data_of(view)["tokens"] == [visible_token(token) for token in tokens]
    view.page().encode()  # nothing in it that no file can hold


@settings(max_examples=20)  # a figure each
@given(st.lists(any_text, min_size=2, max_size=2))
@example(
    ["", "00000\u04f8\u074d\u074d\u09e6\u14be\u26b9\u26b9\u26b9\u26b9\u26b9\u26b9\u26b9\u05eb"]
)  # wider than the cells
@example(["\U0001f525" * 24, "W" * 24])
def test_any_token_stands_in_the_picture(tokens: list[str]) -> None:
    assert attention_view(uniform(1, 1, 2), tokens).png().startswith(b"\x89PNG")


# What a view is made of


def test_the_browser_gets_the_heads_in_the_order_of_their_scores() -> None:
    model = random_model(LLAMA)
    scores = np.array([[0.1, np.nan, 0.3], [0.25, -0.001, 0.5]])
    view = attention_view(model, TOKENS, scores=xr.DataArray(scores.T, dims=("head", "layer")), score_name="I(L, H)")
    data = data_of(view)
    assert data["heads"] == ["L1H2", "L0H2", "L1H0", "L0H0", "L1H1", "L0H1"]
    assert data["scores"] == ["0.50", "0.30", "0.25", "0.10", "0.00", "-"]
    assert data["tokens"] == ["3", "1", "4", "1", "5"] and data["steps"] == [None]
    assert "Heads by I(L, H)" in view.html()
    maps = attention_maps(model, TOKENS)
    rows, columns = np.tril_indices(5)
    expected = [maps.of(layer, head).to_numpy()[rows, columns] for layer, head in view.heads]
    np.testing.assert_allclose(data["cells"].reshape(6, 15) / 255, expected, atol=1 / 510 + 1e-6)


def test_a_series_gives_a_slider_over_the_steps_asked_for(tiny: TrainConfig, tmp_path: Path) -> None:
    models = [(step, Transformer(tiny.model, seed=step)) for step in (0, 5, 10, 20)]
    series = Run.write(tmp_path, tiny, models)
    options: dict[str, Any] = dict(names=lambda numbers: [f"t{number}" for number in numbers], heads=[(1, 0)])
    view = attention_view(series, TOKENS, steps=[20, 5], **options)
    assert data_of(view)["steps"] == [5, 20] and data_of(view)["tokens"] == ["t3", "t1", "t4", "t1", "t5"]
    maps = {step: attention_maps(model, TOKENS) for step, model in models}
    for same in (maps, maps.items(), iter(models)):
        np.testing.assert_array_equal(
            data_of(attention_view(same, TOKENS, steps=[5, 20], **options))["cells"], data_of(view)["cells"]
        )
    view = attention_view(series, TOKENS)
    assert str(view) == repr(view) == "attention of 4 heads over 5 tokens at 4 checkpoints"


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        (dict(tokens=list("abc")), "the maps are over 5 tokens, got 3 tokens"),
        (dict(heads=[(2, 0)]), "no head L2H0: the model has 2 layers of 3 heads"),
        (dict(heads=[]), r"heads= needs one \(layer, head\) or more, each once, got \[\]"),
        (dict(heads=[(0, 1), (0, 1)]), "each once"),
        (dict(heads=np.array([[0, 1], [0, 1]])), "each once"),
        (dict(heads=np.zeros((0, 2))), "needs one .* or more"),
        (dict(heads=np.array([[0.5, 1]])), r'heads= takes names such as "L0H1" or \(layer, head\), got \[0.5, 1.0\]'),
        (dict(heads=np.array("L0H1")), "heads= is a list of heads, got the string 'L0H1'"),
        (dict(heads=np.int64(1)), "needs one .* or more, each once, got 1"),
        (dict(steps=[0]), "steps= chooses among checkpoints, got the attention of one model"),
        (dict(scores=np.zeros((2, 2))), r"scores are layer x head and need every head drawn, got the shape \(2, 2\)"),
        (dict(scores=np.zeros(6)), r"layer x head .* got the shape \(6,\)"),
        (dict(attention={0: uniform(2, 3, 5)}, steps=[0, 7]), r"each step once of \[0, 7\], got \[0\]"),
        (dict(attention=[(7, uniform(2, 3, 5))] * 2), r"each step once, got \[7, 7\]"),
        (dict(attention={}), r"each step once, got \[\]"),
        (
            dict(attention={0: uniform(2, 3, 5), 1: uniform(2, 2, 5)}),
            "one model's checkpoints: some have 6 heads, step 1 others",
        ),
        (dict(attention=random_model(LLAMA)), r"a model needs token numbers \(a tensor\), got list"),
        (dict(tokens=TOKENS.repeat(2, 1)), r"one sequence of tokens, got a tensor of shape \(2, 5\): tokens\[0\]"),
        (dict(tokens=TOKENS, names=lambda _: ["a"]), "one string for each of 5 tokens, got 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options: dict[str, Any], refusal: str) -> None:
    options = {"attention": uniform(2, 3, 5), "tokens": LETTERS, **options}
    with pytest.raises(ValueError, match=refusal):
        attention_view(**options)


# How much a page holds


@pytest.mark.parametrize(
    ("n_steps", "n_layers", "n_heads", "n_tokens", "refusal"),
    [
        (1, 2, 4, 2000, r"1 steps x 8 heads x 2,000 tokens would hold 21.3 MB .* choose fewer tokens, heads="),
        (1, 1, 1, 5000, r"1 steps x 1 heads x 5,000 tokens would hold 16.7 MB .* choose tokens\[:4096\], fewer"),
        (1, 32, 32, 8, r"1 steps x 1,024 heads x 8 tokens would hold 0.0 MB .* choose heads=\[\(layer, head\), ...\]$"),
        (60, 12, 12, 64, r"60 steps x 144 heads x 64 tokens would hold 24.0 MB .*: choose .* steps=\[...\]$"),
    ],
)
def test_more_than_fits_is_refused_before_a_model_runs(
    n_steps: int, n_layers: int, n_heads: int, n_tokens: int, refusal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model(LLAMA)
    monkeypatch.setattr(sources, "attention_maps", lambda *_: pytest.fail("it ran"))
    monkeypatch.setattr(sources, "every_head", lambda _: list(np.ndindex(n_layers, n_heads)))
    with pytest.raises(ValueError, match=refusal):
        attention_view(dict.fromkeys(range(n_steps), model), torch.zeros(n_tokens, dtype=torch.int64))


def test_a_page_of_12_layers_of_12_heads_over_128_tokens_is_small(tmp_path: Path) -> None:
    view = attention_view(uniform(12, 12, 128), ["token"] * 128, scores=np.zeros((12, 12)))
    page = view.write(tmp_path / "view.html")
    assert page.stat().st_size < 5e6
    scripts = r'<script(?: type="text/plain" \S+)?>.*?</script>'
    text = re.sub(scripts, "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "://" not in text, "nothing is asked of a network"


def test_scripts_stand_in_a_page_once() -> None:
    assert attention_assets().count("var CircuitsVis=") == 1
    assert "sourceMappingURL" not in attention_assets()
    assert "CircuitsVis=" not in attention_view(uniform(1, 1, 2), ["a", "b"]).html()
