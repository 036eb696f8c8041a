"""Attention views of what people have: arrays, caches, Hugging Face outputs, tokenizers. The page holds the weights."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from ground_truth import LLAMA, random_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from grok_interp.analysis.attention import AttentionMaps, attention_maps, head_patterns
from grok_interp.models.transformer import Transformer
from grok_interp.plots.attention import AttentionView, attention_view
from grok_interp.plots.attention.quantized import pooled
from grok_interp.plots.attention.view_heads import head_name

TOKENS = torch.tensor([[3, 1, 4, 1, 5]])


def causal(*shape: int) -> torch.Tensor:
    """Random patterns, no two alike; the last two axes are query and key."""
    weights = torch.rand(*shape, generator=torch.Generator().manual_seed(0)).tril()
    return weights / weights.sum(-1, keepdim=True)


LAYERS = causal(2, 1, 3, 5, 5)  # layer batch head query key


def shown(view: AttentionView) -> dict[str, np.ndarray]:
    """What the page draws for each head."""
    return {head_name(head): view.patterns.levels[-1, place] / 255 for place, head in enumerate(view.heads)}


def assert_shows(view: AttentionView, expected: dict[str, Any]) -> None:
    found = shown(view)
    assert list(found) == list(expected)
    for name, pattern in expected.items():
        np.testing.assert_allclose(found[name], torch.as_tensor(pattern).float().numpy(), atol=1 / 510 + 1e-6)


def of_layer(layer: int, names: str) -> dict[str, torch.Tensor]:
    return {names.format(head): LAYERS[layer, 0, head] for head in range(3)}


# Arrays


@pytest.mark.parametrize(
    "pattern",
    [
        LAYERS[1],
        LAYERS[1, 0],
        LAYERS[1, 0].numpy(),
        LAYERS[1].double().requires_grad_(),
        LAYERS[1].numpy().astype("f2"),
    ],
    ids=["with a batch axis", "without", "NumPy", "with a gradient", "float16"],
)
def test_an_array_of_one_layer(pattern: Any) -> None:
    assert_shows(attention_view(pattern, list("abcde")), of_layer(1, "H{}"))
    assert_shows(attention_view(pattern, list("abcde"), layer=1), of_layer(1, "L1H{}"))
    chosen = {"L1H2": LAYERS[1, 0, 2], "L1H0": LAYERS[1, 0, 0]}
    assert_shows(attention_view(pattern, list("abcde"), heads=["L1H2", "L1H0"]), chosen)
    assert_shows(attention_view(pattern, list("abcde"), layer=1, heads=[(1, 2), (1, 0)]), chosen)
    assert_shows(attention_view(pattern, heads=["H2"]), {"H2": LAYERS[1, 0, 2]})
    of_other_libraries: list[Any] = [
        np.array(["L1H2", "L1H0"]),
        np.array([[1, 2], [1, 0]]),
        torch.tensor([[1, 2], [1, 0]]),
        [np.array([1, 2]), torch.tensor([1, 0])],
    ]
    for heads in of_other_libraries:
        assert_shows(attention_view(pattern, list("abcde"), layer=1, heads=heads), chosen)


def test_bfloat16_is_within_its_own_rounding() -> None:
    view = attention_view(LAYERS[1].bfloat16(), list("abcde"))
    np.testing.assert_allclose(shown(view)["H0"], LAYERS[1, 0, 0].numpy(), atol=1 / 510 + 2**-8)
    assert view.faults() == []


def test_the_pattern_of_one_head() -> None:
    pattern = LAYERS[1, 0, 2]
    assert_shows(attention_view(pattern), {"one head": pattern})
    assert attention_view(pattern).tokens == ["0", "1", "2", "3", "4"]
    assert_shows(attention_view(pattern, heads=["L1H2"]), {"L1H2": pattern})


@pytest.mark.parametrize(
    "layers",
    [tuple(LAYERS), list(LAYERS[:, 0].numpy()), LAYERS, SimpleNamespace(attentions=tuple(LAYERS))],
    ids=["a tuple", "a list without batch axis", "one array", "the output of a model"],
)
def test_one_array_per_layer(layers: Any) -> None:
    assert_shows(attention_view(layers, list("abcde")), of_layer(0, "L0H{}") | of_layer(1, "L1H{}"))
    assert_shows(attention_view(layers, list("abcde"), heads=["L1H2"]), {"L1H2": LAYERS[1, 0, 2]})


def test_a_cache_names_its_layers() -> None:
    model = Transformer(LLAMA, seed=0)
    _, cache = model.run_with_cache(TOKENS)
    maps = attention_maps(model, TOKENS)
    every = {f"L{layer}H{head}": maps.of(layer, head).values for layer, head in np.ndindex(2, 3)}
    assert_shows(attention_view(cache, TOKENS), every)
    of_last = {name: pattern for name, pattern in every.items() if name.startswith("L1")}
    kept = {name: value for name, value in cache.items() if name == "blocks.1.attn.hook_pattern"}
    assert_shows(attention_view(kept, TOKENS), of_last)
    assert_shows(attention_view(cache["blocks.1.attn.hook_pattern"], TOKENS, layer=1), of_last)


def test_slices_of_maps_keep_their_names() -> None:
    maps = AttentionMaps.of_arrays({"pattern": LAYERS[:, 0].numpy()}, {"layer": [0, 1], "head": [0, 1, 2]})
    assert_shows(attention_view(maps, list("abcde")), of_layer(0, "L0H{}") | of_layer(1, "L1H{}"))
    assert_shows(attention_view(maps["pattern"].sel(layer=1), list("abcde")), of_layer(1, "L1H{}"))
    one = maps.of(1, 2)
    assert_shows(attention_view(one), {"L1H2": LAYERS[1, 0, 2]})
    assert_shows(attention_view(one.transpose("key", "query")), {"L1H2": LAYERS[1, 0, 2]})
    some = maps["pattern"].sel(head=[2, 0])
    assert list(shown(attention_view(some))) == ["L0H2", "L0H0", "L1H2", "L1H0"]


def test_arrays_and_head_patterns_at_several_checkpoints() -> None:
    view = attention_view({0: LAYERS[1], 500: LAYERS[0]}, list("abcde"), layer=4)
    assert view.steps == [0, 500] and list(shown(view)) == ["L4H0", "L4H1", "L4H2"]
    np.testing.assert_allclose(view.patterns.levels[0, 2] / 255, LAYERS[1, 0, 2], atol=1 / 510 + 1e-6)
    pairs = [(step, random_model(LLAMA)) for step in (0, 7)]
    patterns = head_patterns(pairs, TOKENS, heads=[(1, 0), (0, 2)])
    view = attention_view(patterns, TOKENS)
    assert view.steps == [0, 7] and list(shown(view)) == ["L1H0", "L0H2"]
    expected = attention_maps(pairs[1][1], TOKENS).of(1, 0).values
    np.testing.assert_allclose(shown(view)["L1H0"], expected, atol=1 / 510 + 1e-6)
    assert attention_view(patterns, TOKENS, steps=[7]).steps == [7]


def test_nothing_that_is_given_changes() -> None:
    given = LAYERS.clone()
    attention_view(tuple(given), list("abcde"), heads=["L0H1"]).png()
    assert torch.equal(given, LAYERS)


# Hugging Face


def byte_level() -> Tokenizer:
    """Of GPT-2's kind: `Ġ` is a space, and é is two bytes."""
    entries = ["Ġthe", "Ġcat", "Ã", "©", "sat"]
    tokenizer = Tokenizer(models.WordLevel({entry: number for number, entry in enumerate(entries)}, "sat"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def sentence_piece() -> Tokenizer:
    """Of LLaMA's kind: `▁` is a space, `<0xC3>` a byte."""
    tokenizer = Tokenizer(models.WordLevel({"▁the": 0, "cat": 1, "<0xC3>": 2, "<s>": 3}, "cat"))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    tokenizer.add_special_tokens(["<s>"])
    return tokenizer


def test_the_attentions_of_a_model_and_its_tokenizer() -> None:
    config = GPT2Config(vocab_size=8, n_positions=8, n_embd=12, n_layer=2, n_head=3)
    config._attn_implementation = "eager"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=byte_level())
    ids = torch.tensor([[0, 1, 4, 0, 1]])
    with torch.no_grad():
        outputs = GPT2LMHeadModel(config).eval()(ids, output_attentions=True)
    expected = {f"L{layer}H{head}": outputs.attentions[layer][0, head] for layer in range(2) for head in range(3)}
    view = attention_view(outputs.attentions, ids, tokenizer=tokenizer)
    assert_shows(view, expected)
    assert_shows(attention_view(outputs), expected)
    assert view.tokens == ["␣the", "␣cat", "sat", "␣the", "␣cat"]
    fused = GPT2LMHeadModel(config).eval()
    with pytest.raises(ValueError, match="attn_implementation='eager'"):
        attention_view(fused(ids), ids)
    with pytest.raises(ValueError, match=r"got GPT2LMHeadModel: give the attentions of model\(tokens, output_att"):
        attention_view(fused, ids)


@pytest.mark.parametrize("wrapped", [False, True], ids=["tokenizers", "transformers"])
def test_tokens_are_decoded_and_bytes_can_be_read(wrapped: bool) -> None:
    def tokens(tokenizer: Tokenizer, given: Any) -> Any:
        chosen = PreTrainedTokenizerFast(tokenizer_object=tokenizer) if wrapped else tokenizer
        return attention_view(causal(1, len(given), len(given)), given, tokenizer=chosen).tokens

    assert tokens(byte_level(), [0, 1, 2, 3, 4]) == ["␣the", "␣cat", "<0xC3>", "<0xA9>", "sat"]
    assert tokens(byte_level(), ["Ġthe", "sat"]) == ["␣the", "sat"]
    assert tokens(sentence_piece(), [3, 0, 1, 2]) == ["<s>", "␣the", "cat", "<0xC3>"]


def test_a_text_is_split_by_the_tokenizer() -> None:
    view = attention_view(causal(1, 3, 3), " the cat the", tokenizer=byte_level())
    assert view.tokens == ["␣the", "␣cat", "␣the"]


def test_a_model_brings_its_tokenizer() -> None:
    model = random_model(LLAMA)
    model.tokenizer, model.to_tokens = byte_level(), lambda text: TOKENS[:, :2] * 0 + torch.tensor([[0, 1]])
    assert attention_view(model, [0, 1, 4]).tokens == ["␣the", "␣cat", "sat"]
    assert attention_view(model, " the cat").tokens == ["␣the", "␣cat"]
    assert attention_view(model, [0, 1, 4], names=["x", "y", "z"]).tokens == ["x", "y", "z"]


@pytest.mark.parametrize("ids", [TOKENS, TOKENS[0], TOKENS[0].numpy(), TOKENS[0].tolist(), TOKENS.tolist()])
def test_ids_in_every_form(ids: Any) -> None:
    model = random_model(LLAMA)
    assert_shows(attention_view(model, ids, heads=["L0H1"]), {"L0H1": attention_maps(model, TOKENS).of(0, 1).values})
    assert attention_view(LAYERS[0], ids).tokens == ["3", "1", "4", "1", "5"]
    assert attention_view(LAYERS[0], ids, names=list("abcde")).tokens == list("abcde")


# What is refused


@pytest.mark.parametrize(
    ("attention", "options", "refusal"),
    [
        (
            causal(2, 3, 5, 5),
            {},
            r"one sequence, got an array of shape \(2, 3, 5, 5\): .* give attention\[0\] .* tuple\(",
        ),
        (tuple(causal(2, 2, 3, 5, 5)), {}, r"in a tuple of layers, of each"),
        (causal(3, 5, 6), {}, r"as many keys as queries, .* got \[\(5, 6\)\]: give that of one pass"),
        ((causal(1, 3, 5, 5), causal(1, 3, 4, 4)), {}, r"the same in every layer, got \[\(4, 4\), \(5, 5\)\]"),
        (torch.ones(5), {}, r"an array of attention is \(batch x\) head x query x key, .* got shape \(5,\)"),
        (torch.ones(3, 0, 0), {}, r"got \[\(0, 0\)\]"),
        (np.ones((3, 5, 5), dtype=bool), {}, "attention must be real numbers, got bool"),
        ((None, None), {}, "every layer's attention is None: load the model with attn_implementation='eager'"),
        ((LAYERS[0], None), {}, "layer 1 has no array of attention, got NoneType"),
        (SimpleNamespace(attentions=None), {}, "no attention: load .* output_attentions=True"),
        ((tuple(LAYERS), tuple(LAYERS)), {}, "of a generation is in parts"),
        ({"hook_embed": LAYERS[0]}, {}, r"no attention pattern such as blocks.0.attn.hook_pattern, got hook_embed"),
        (
            xr.DataArray(LAYERS[:, 0], dims=("checkpoint", "head", "query", "key")),
            {},
            r"dims layer, head, query and key",
        ),
        (LAYERS[0], dict(heads=["L0H1", "L1H1"]), "the array is of one layer, heads= has heads of 2"),
        (LAYERS[0], dict(heads=["L0H3"]), "no head L0H3: the attention is of L0H0, L0H1, L0H2"),
        (LAYERS[0], dict(layer=1, heads=["L0H1"]), "no head L0H1: the attention is of L1H0, L1H1, L1H2"),
        (tuple(LAYERS), dict(heads=["H1"]), "no head H1: the attention is of L0H0, "),
        (tuple(LAYERS), dict(heads=["L2H0"]), "no head L2H0: the model has 2 layers of 3 heads"),
        (tuple(LAYERS), dict(layer=1), "which layer an array is of, got 2 layers that are numbered already"),
        (LAYERS[0], dict(heads="L0H1"), r"a list of heads, got the string 'L0H1': \['L0H1'\]"),
        (LAYERS[0], dict(heads=["head 1"]), r'names such as "L0H1" or \(layer, head\), got \'head 1\''),
        (LAYERS[0], dict(heads=[1]), r"or \(layer, head\), got 1"),
        (LAYERS[0], dict(scores=np.ones((1, 3))), "does not say its layer: give layer="),
        (LAYERS[0], dict(tokens=list("abc")), "the maps are over 5 tokens, got 3 tokens"),
        (LAYERS[0], dict(tokens="the cat"), "one text .* give tokenizer= to split it, or a list of strings"),
        (LAYERS[0], dict(tokens=list("abcde"), names=list("abcde")), "got strings as tokens=: leave names= out"),
        (LAYERS[0], dict(tokens=[0, 1, 4, 0, 9], tokenizer=byte_level()), "no token 9: is it that of the model"),
        (LAYERS[0], dict(tokens=["the"] * 5, tokenizer=byte_level()), "'the', which is no token of tokenizer="),
        (LAYERS[0], dict(tokens=[0] * 5, tokenizer=str), "of transformers or tokenizers, got type: names= takes"),
        (LAYERS[0], dict(tokens=[0] * 5, tokenizer=byte_level(), names=list("abcde")), "give one of them"),
        (LAYERS[0], dict(tokens=[0.5] * 5), "tokens must be integers"),
        (random_model(LLAMA), {}, r"a model needs token numbers \(a tensor\), got NoneType"),
        (7, {}, "attention_view takes attention .* got int"),
        ([[0.5, 0.5]], {}, "got list of list"),
        ({0: "x"}, {}, "got pairs with str"),
    ],
)
def test_what_cannot_be_read_is_refused(attention: Any, options: dict[str, Any], refusal: str) -> None:
    with pytest.raises(ValueError, match=refusal):
        attention_view(attention, **options)


# Many tokens


def test_blocks_keep_their_largest_weight() -> None:
    values = np.zeros((5, 5))
    values[0, 3], values[4, 4], values[2, 1] = 0.5, 0.25, 1
    assert pooled(values, 2).tolist() == [[0, 0.5, 0], [1, 0, 0], [0, 0, 0.25]]
    assert pooled(values, 1).tolist() == values.tolist()


def test_4096_tokens_of_one_head_fit_in_a_page_and_a_picture(tmp_path) -> None:
    scores = 3 * torch.randn(4096, 4096, generator=torch.Generator().manual_seed(0))
    pattern = scores.masked_fill(torch.ones(4096, 4096).triu(1).bool(), float("-inf")).softmax(-1)
    view = attention_view(pattern, heads=["L3H1"])
    assert view.png().startswith(b"\x89PNG")
    page = view.write(tmp_path / "view.html")
    assert page.stat().st_size < 1e6
    assert "var CircuitsVis=" not in page.read_text(), "a canvas draws it"
    cells = view.patterns.cells()
    assert cells.shape == (1, 1, 4096 * 4097 // 2) and cells.dtype == np.uint8


def test_a_picture_is_written_as_a_picture(tmp_path) -> None:
    file = attention_view(LAYERS[0]).write(tmp_path / "heads.PNG")
    assert file.read_bytes().startswith(b"\x89PNG")
