"""One contract of all analyzers: what they take as checkpoints and tokens, what they refuse, what they make of NaN."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from ground_truth import random_model
from torch import Tensor, nn

import grok_interp
from grok_interp import (
    CheckpointSeries,
    CopyTask,
    ModularConfig,
    ModularTasks,
    Run,
    ablated,
    algorithm_agreement,
    attention_maps,
    attention_view,
    circle_pca,
    copying_accuracy,
    cosine_similarity,
    direct_logit_attribution,
    embedding_pca,
    fourier_losses,
    fourier_spectrum,
    from_huggingface,
    grid_comparison,
    grid_comparisons,
    head_ablation,
    head_scores,
    indicator_scores,
    induction_scores,
    llama_copier,
    mlp_activations,
    modular_gpt,
    natural_copying,
    position_losses,
    processing_of,
    repeated_tokens,
    shot_curve,
    slot_sequences,
    to_hooked_transformer,
    to_huggingface,
    to_published,
    top_frequency_fraction,
    weights_of,
)
from grok_interp.analysis.checkpoints_of import checkpoints_of
from grok_interp.analysis.single_ablation import single_ablation
from grok_interp.data.token_rows import token_rows, unpadded

P = 7
TEXT = llama_copier(n_layers=2, n_heads=2, d_model=16, d_mlp=12, d_vocab=29, n_ctx=16)
NUMBERS = modular_gpt(n_layers=2, n_heads=2, d_model=16, d_vocab=P, n_ctx=12)
REPEATED = repeated_tokens(n_sequences=3, half=8, alphabet=range(29), seed=0)
SLOTS = slot_sequences((2, 3), P, slot=3, n_examples=4, seed=0)
SAMPLES = CopyTask(
    n_sequences=2, n_prefix=2, n_suffix=2, n_samples=3, query_every=1, alphabet=tuple(range(2, 20)), separator=1
).sample()
TASKS = ModularTasks.draw(ModularConfig(p=P, n_id=16, alpha=0.6))
SLOT: dict[str, Any] = {"slot": 3}
REST = {"how": "zero", "seed": 0}


@dataclass(frozen=True)
class Driver:
    """A public analyzer of (step, model) with all its arguments but the first and, if it takes them, tokens."""

    of: Callable[..., Any]
    numbers: bool = False  # modular arithmetic, and not text
    tokens: Tensor | None = None
    options: Callable[[], dict[str, Any]] = dict
    between: tuple[Any, ...] = ()  # positional arguments before the tokens

    def __call__(self, checkpoints: Any, tokens: Any = None) -> Any:
        read = () if self.tokens is None else (self.tokens if tokens is None else tokens,)
        return self.of(checkpoints, *self.between, *read, **self.options())

    def models(self) -> list[tuple[int, Any]]:
        return (NUMBER_MODELS if self.numbers else TEXT_MODELS).copy()


TEXT_MODELS = [(step, random_model(TEXT, seed=step)) for step in (0, 20)]
NUMBER_MODELS = [(step, random_model(NUMBERS, seed=step)) for step in (0, 20)]
DRIVERS = {
    "induction_scores": Driver(induction_scores, tokens=REPEATED),
    "head_scores": Driver(head_scores, tokens=REPEATED),
    "indicator_scores": Driver(indicator_scores, tokens=REPEATED),
    "position_losses": Driver(position_losses, tokens=REPEATED),
    "natural_copying": Driver(natural_copying, tokens=REPEATED, options=lambda: {"n": 2}),
    "copying_accuracy": Driver(copying_accuracy, between=(SAMPLES,)),
    "head_ablation": Driver(
        head_ablation, tokens=REPEATED, between=(SAMPLES,), options=lambda: {"heads": [(1, 0)], "n_draws": 1, **REST}
    ),
    "direct_logit_attribution": Driver(direct_logit_attribution, between=(SAMPLES,)),
    "single_ablation": Driver(single_ablation, tokens=REPEATED, between=(SAMPLES,), options=lambda: REST),
    "shot_curve": Driver(shot_curve, True, between=(TASKS,), options=lambda: {"n_contexts": 4, "seed": 0}),
    "algorithm_agreement": Driver(
        algorithm_agreement, True, between=(TASKS,), options=lambda: {"n_contexts": 4, "seed": 0}
    ),
    "circle_pca": Driver(circle_pca, True, SLOTS, lambda: {**SLOT, "layer": 1, "head": 0}, (P,)),
    "cosine_similarity": Driver(cosine_similarity, True, SLOTS, lambda: {**SLOT, "position": "y", "layer": 1}, (P,)),
    "mlp_activations": Driver(mlp_activations, True, SLOTS, lambda: {**SLOT, "position": "y", "layer": 1}, (P,)),
    "embedding_pca": Driver(embedding_pca, True, options=lambda: {"p": P}),
    "fourier_spectrum": Driver(fourier_spectrum, True, options=lambda: {"p": P}),
    "fourier_losses": Driver(fourier_losses, True, SLOTS, lambda: {"group": "additive", "frequencies": [1]}, (P,)),
    "top_frequency_fraction": Driver(
        top_frequency_fraction, True, options=lambda: {"p": P, "n_key": 1, "seed": 0, "n_shuffles": 20}
    ),
}
EACH = pytest.mark.parametrize("driver", [pytest.param(driver, id=name) for name, driver in DRIVERS.items()])
READING = pytest.mark.parametrize(
    "driver", [pytest.param(driver, id=name) for name, driver in DRIVERS.items() if driver.tokens is not None]
)
WITH_HOOKS = pytest.mark.parametrize(
    "driver",
    [
        pytest.param(driver, id=name)
        for name, driver in DRIVERS.items()
        if name not in ("embedding_pca", "fourier_spectrum", "top_frequency_fraction")
    ],
)


def values(result: Any) -> xr.DataArray:
    return result.dataset.to_dataarray().astype(float)


def steps(result: Any) -> list[int]:
    return result.dataset["checkpoint"].to_numpy().tolist()


def test_every_public_analyzer_of_checkpoints_is_here() -> None:
    public = {
        name
        for name in dir(grok_interp)
        if inspect.isfunction(function := getattr(grok_interp, name))
        and next(iter(inspect.signature(function).parameters), "") == "checkpoints"
    }
    assert public == set(DRIVERS) - {"single_ablation"}


# What is accepted


@EACH
def test_every_form_of_checkpoints_gives_the_same(driver: Driver) -> None:
    pairs = driver.models()
    expected = driver(pairs)
    assert steps(expected) == [0, 20]
    forms = {
        "any order": pairs[::-1],
        "a generator": (pair for pair in pairs),
        "a mapping": dict(pairs),
        "NumPy steps": [(np.int32(step), model) for step, model in pairs],
    }
    for name, form in forms.items():
        xr.testing.assert_equal(driver(form).dataset, expected.dataset), name


@EACH
def test_one_model_and_models_without_steps_are_numbered(driver: Driver) -> None:
    (_, first), (_, second) = driver.models()
    both = driver([first, second])
    assert steps(both) == [0, 1]
    one = driver(first)
    assert steps(one) == [0]
    np.testing.assert_array_equal(*(values(each).isel(checkpoint=0) for each in (one, both)))
    assert steps(driver((40, first))) == [40]


def test_a_generator_is_read_one_model_at_a_time() -> None:
    alive: list[int] = []

    def models() -> Iterator[tuple[int, Any]]:
        for step in (0, 5, 10):
            alive.append(step)
            yield step, TEXT_MODELS[0][1]

    for step, _ in checkpoints_of(models()):
        assert alive[-1] == step
    assert alive == [0, 5, 10]


@READING
def test_tokens_of_any_integer_type_give_the_same(driver: Driver) -> None:
    assert driver.tokens is not None
    pair, expected = driver.models()[:1], driver(driver.models()[:1])
    for tokens in (
        driver.tokens.tolist(),
        driver.tokens.numpy(),
        driver.tokens.numpy().astype(np.uint16),
        driver.tokens.int(),
        driver.tokens.to(torch.uint8),
    ):
        xr.testing.assert_equal(driver(pair, tokens).dataset, expected.dataset)


def test_one_row_is_a_batch_of_one() -> None:
    pair = TEXT_MODELS[:1]
    xr.testing.assert_equal(induction_scores(pair, REPEATED[0]).dataset, induction_scores(pair, REPEATED[:1]).dataset)
    assert token_rows([1, 2, 3]).tolist() == [[1, 2, 3]]
    xr.testing.assert_equal(
        attention_maps(TEXT_MODELS[0][1], REPEATED[0].tolist()).dataset,
        attention_maps(TEXT_MODELS[0][1], REPEATED[:1]).dataset,
    )


class Wrapped(nn.Module):
    """A hooked model whose output is `kind` of its logits."""

    def __init__(self, model: Any, kind: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.model, self.kind, self.cfg = model, kind, model.cfg

    def forward(self, tokens: Tensor) -> Any:
        return self.kind(self.model(tokens))

    def run_with_hooks(self, tokens: Tensor, **options: Any) -> Any:
        return self.kind(self.model.run_with_hooks(tokens, **options))


def test_logits_in_a_tuple_or_an_output_are_found() -> None:
    from transformers.modeling_outputs import CausalLMOutput

    model = TEXT_MODELS[0][1]
    expected = position_losses(model, REPEATED)
    kinds: list[Callable[[Tensor], Any]] = [lambda x: (x, None), lambda x: CausalLMOutput(logits=x)]  # pyright: ignore
    for kind in kinds:
        xr.testing.assert_equal(position_losses(Wrapped(model, kind), REPEATED).dataset, expected.dataset)
    with pytest.raises(ValueError, match=r"expected logits from the model \(.*\), got dict"):
        position_losses(Wrapped(model, lambda x: {"scores": x}), REPEATED)


# What is refused


@EACH
def test_what_is_no_series_of_checkpoints_is_refused(driver: Driver) -> None:
    (_, first), (_, second) = driver.models()
    used_up = iter([(0, first)])
    list(used_up)
    for empty in ([], used_up):
        with pytest.raises(ValueError, match="no checkpoints were given: .* a generator can be read only once"):
            driver(empty)
    with pytest.raises(ValueError, match="step 5 was given twice"):
        driver([(5, first), (5, second)])
    with pytest.raises(ValueError, match="steps must increase, got 5 after 10: sort the checkpoints"):
        driver(iter([(10, first), (5, second)]))
    for step, shown in (("1000", "'1000' \\(str\\)"), (True, "True \\(bool\\)"), (1.5, "1.5 \\(float\\)"), (-1, "-1")):
        with pytest.raises(ValueError, match=f"a step must be an integer of 0 or more, got {shown}"):
            driver([(step, first)])
    with pytest.raises(ValueError, match=r"got the path 'runs/demo': Run.open\(path\) opens a run"):
        driver("runs/demo")
    with pytest.raises(ValueError, match="got the path"):
        driver(Path("runs/demo"))


@pytest.mark.parametrize("change", [{"n_layers": 3}, {"n_heads": 4}, {"d_mlp": 20}, {"n_ctx": 20}])
@EACH
def test_models_of_several_sizes_are_compared_or_refused_but_never_mixed(
    driver: Driver, change: dict[str, int]
) -> None:
    """Results with one entry per head, neuron or shot need the same ones at every checkpoint."""
    (_, first), _ = driver.models()
    other = random_model(replace(NUMBERS if driver.numbers else TEXT, **change), seed=1)
    alone = [values(driver([(step, model)])) for step, model in ((0, first), (20, other))]
    if alone[0].sizes != alone[1].sizes:
        with pytest.raises(
            ValueError, match="all checkpoints need the same .*: the model at step 20 has .*before have"
        ):
            driver([(0, first), (20, other)])
    else:
        both = values(driver([(0, first), (20, other)]))
        for at, one in enumerate(alone):
            np.testing.assert_allclose(both.isel(checkpoint=[at]).transpose(*one.dims), one, atol=1e-6)


def test_a_pair_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(ValueError, match="got tuple, .*: a checkpoint is one model or one pair \\(step, model\\)"):
        head_scores([(TEXT_MODELS[0][1], 0)], REPEATED)  # pyright: ignore[reportArgumentType]


@EACH
def test_a_model_without_hooks_is_refused_with_the_remedy(driver: Driver) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(vocab_size=29, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    bare = LlamaForCausalLM(config)
    for given in (bare, [bare], [(0, bare)]):
        with pytest.raises(ValueError, match=r"got LlamaForCausalLM.*build_bridge_from_module\(model"):
            driver(given)
    with pytest.raises(ValueError, match="got DataParallel.*give its `.module`"):
        driver(nn.DataParallel(driver.models()[0][1]))
    for nothing in (nn.Linear(2, 2), [nn.Linear(2, 2)], 3, None):
        with pytest.raises(ValueError, match="expected a model with .*HookedTransformer or TransformerBridge"):
            driver(nothing)


@READING
def test_tokens_that_are_no_integers_are_refused(driver: Driver) -> None:
    assert driver.tokens is not None
    pair = driver.models()[:1]
    for tokens, shown in (
        (driver.tokens.float(), "torch.float32"),
        (driver.tokens > 1, "torch.bool"),
        ([[1, 2, 3], [1, 2]], "rows of 2 to 3 tokens: pad them, and give an attention_mask"),
        ("tokens", "str 'tokens'"),
        ({"input_ids": [1]}, "dict"),
    ):
        with pytest.raises(ValueError, match=f"must be integers in rows of equal length.*{shown}"):
            driver(pair, tokens)
    with pytest.raises(ValueError, match=r"must be one row of integers or more \(batch x pos\), got shape \(0, 16\)"):
        driver(pair, torch.zeros(0, 16, dtype=torch.int64))


@pytest.mark.parametrize("name", ["induction_scores", "head_scores", "position_losses", "natural_copying"])
def test_tokens_that_a_model_cannot_read_are_refused(name: str) -> None:
    driver, pair = DRIVERS[name], TEXT_MODELS[:1]
    with pytest.raises(ValueError, match="within the model's vocabulary, 0 to 28, got 3 to 29: encode the text"):
        driver(pair, (REPEATED + 1).clamp(max=29).where(REPEATED > 0, 29))
    longer = repeated_tokens(n_sequences=2, half=9, alphabet=range(29), seed=0)
    with pytest.raises(ValueError, match=r"of which 1[78] tokens are read, the model's context \(n_ctx\) holds 16"):
        driver(pair, longer)


def test_the_copying_test_must_be_in_the_vocabulary() -> None:
    samples = CopyTask(
        n_sequences=2, n_prefix=2, n_suffix=2, n_samples=1, query_every=1, alphabet=tuple(range(2, 40)), separator=1
    ).sample()
    with pytest.raises(ValueError, match="within the model's vocabulary, 0 to 28"):
        copying_accuracy(TEXT_MODELS, samples)


@WITH_HOOKS
def test_a_batch_size_below_one_is_refused(driver: Driver) -> None:
    options = {**driver.options(), "batch_size": 0}
    read = () if driver.tokens is None else (driver.tokens,)
    with pytest.raises(ValueError, match="batch_size must be 1 or more, got 0"):
        driver.of(driver.models(), *driver.between, *read, **options)


def test_one_model_is_wanted_where_one_is_drawn() -> None:
    inputs = torch.tensor([[1, 2], [3, 4]])
    for bad in (nn.Linear(2, 2), TEXT_MODELS):
        with pytest.raises(ValueError, match="expected a model with hooks"):
            attention_maps(bad, REPEATED[0])
        with pytest.raises(ValueError, match="expected a model with hooks"):
            grid_comparison(bad, P, (2, 3), inputs)
    with pytest.raises(ValueError, match="attention maps are of one sequence, got 3"):
        attention_maps(TEXT_MODELS[0][1], REPEATED)
    with pytest.raises(ValueError, match="holds 16"):
        attention_maps(TEXT_MODELS[0][1], [1] * 17)
    with pytest.raises(ValueError, match="numbers modulo p must be within the model's vocabulary, 0 to 6, got 0 to 10"):
        grid_comparisons(NUMBER_MODELS[0][1], 11, (2, 3), inputs, shots=[1])


def on_meta(model: Any) -> Any:
    return copy.deepcopy(model).to("meta")


@EACH
def test_a_model_without_values_of_weights_is_refused(driver: Driver) -> None:
    (step, good), (_, other) = driver.models()
    expected = (
        r"whose weights have values, got Transformer with (\d+) of \1 parameters on torch's meta device: load them"
    )
    for bad in (on_meta(good), [(step, good), (20, on_meta(other))]):
        with pytest.raises(ValueError, match=expected):
            driver(bad)


def test_everything_that_reads_weights_refuses_a_model_without_values() -> None:
    empty = on_meta(TEXT_MODELS[0][1])
    readers: list[Callable[[], Any]] = [
        lambda: attention_maps(empty, REPEATED[0]),
        lambda: attention_view(empty, REPEATED[0]),
        lambda: grid_comparison(on_meta(NUMBER_MODELS[0][1]), P, (2, 3), [(1, 2)]),
        lambda: weights_of(empty),
        lambda: processing_of(empty),
        lambda: ablated(empty, [(0, 0)], "mean", reference=REPEATED),
        lambda: CheckpointSeries.from_models([(0, empty)]),
        lambda: to_huggingface(empty),
        lambda: to_hooked_transformer(empty),
        lambda: to_published(on_meta(NUMBER_MODELS[0][1])),
        lambda: from_huggingface(on_meta(to_huggingface(TEXT_MODELS[0][1]))),
    ]
    for read in readers:
        with pytest.raises(ValueError, match="parameters on torch's meta device: load them first"):
            read()


# Not finite


def spoiled(model: Any, value: float = float("nan")) -> Any:
    bad = copy.deepcopy(model)
    with torch.no_grad():
        for weight in bad.parameters():
            weight.fill_(value)
    return bad


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@EACH
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_give_nan_and_are_named(driver: Driver, value: float) -> None:
    (_, good), (_, other) = driver.models()
    result = driver([(0, good), (10, spoiled(good, value)), (20, other)])
    assert result.not_finite() == (10,)
    assert "NOT FINITE at step 10" in str(result)
    expected = driver([(0, good), (20, other)])
    xr.testing.assert_allclose(result.dataset.sel(checkpoint=[0, 20]), expected.dataset)
    assert expected.not_finite() == () and "NOT FINITE" not in str(expected)
    undefined = result.expected().sel(checkpoint=10).to_dataarray()
    assert not bool(np.isfinite(undefined).any()), "no zero and no chance among them"
    assert "NOT FINITE at step 10" in str(driver([(10, spoiled(good, value))]))


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@EACH
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_one_weight_that_no_token_reads_is_named_by_every_analyzer(driver: Driver, value: float) -> None:
    """Token 0 is in no text here, and analyzers of embeddings read no MLP."""
    (_, good), (_, other) = driver.models()
    bad, text = copy.deepcopy(good), None
    with torch.no_grad():
        unread = bad.blocks[-1].mlp.out.weight if driver.numbers else bad.embed.weight
        unread[0, 0] = value
    if driver.tokens is REPEATED:
        text = REPEATED.where(REPEATED != 0, 28)
    result = driver([(0, good), (10, bad), (20, other)], text)
    assert result.not_finite() == (10,) and "NOT FINITE at step 10" in str(result)
    assert not bool(np.isfinite(result.expected().sel(checkpoint=10).to_dataarray()).any())
    xr.testing.assert_allclose(result.dataset.sel(checkpoint=[0, 20]), driver([(0, good), (20, other)], text).dataset)


def test_pictures_of_one_model_with_a_weight_that_is_not_read_are_not_finite() -> None:
    bad, numbers = copy.deepcopy(TEXT_MODELS[0][1]), copy.deepcopy(NUMBER_MODELS[0][1])
    with torch.no_grad():
        bad.embed.weight[0, 0] = float("inf")
        numbers.blocks[-1].mlp.out.weight[0, 0] = float("nan")
    assert bool(attention_maps(bad, [5, 6, 7, 5])["pattern"].isnull().all())
    grid = grid_comparison(numbers, P, (2, 3), torch.tensor([[1, 2], [3, 4]]))
    assert grid.counts()["NOT FINITE"] == P * P


def too_large(model: Any, kind: str) -> Any:
    large = copy.deepcopy(model)
    with torch.no_grad():
        for weight in [large.ln_final.w] if kind == "final gain" else large.parameters():
            weight.fill_(3e38) if kind == "final gain" else weight.mul_(1e25)
    return large


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@WITH_HOOKS
@pytest.mark.parametrize("kind", ["final gain", "every weight"])
def test_weights_too_large_to_compute_with_are_not_finite(driver: Driver, kind: str) -> None:
    """Norms make 0 of a stream whose squares overflow: every score would be that of equal logits."""
    (_, good), (_, other) = driver.models()
    result = driver([(0, good), (10, too_large(good, kind)), (20, other)])
    assert result.not_finite() == (10,) and "NOT FINITE at step 10" in str(result)
    assert not bool(np.isfinite(result.expected().sel(checkpoint=10).to_dataarray()).any())
    xr.testing.assert_allclose(result.dataset.sel(checkpoint=[0, 20]), driver([(0, good), (20, other)]).dataset)


@pytest.mark.parametrize("kind", ["final gain", "every weight"])
def test_one_model_that_overflows_is_not_finite_in_any_library(kind: str) -> None:
    theirs = to_hooked_transformer(TEXT_MODELS[0][1])
    large = too_large(theirs, kind)
    before = {name: weight.clone() for name, weight in large.state_dict().items()}
    assert head_scores(large, REPEATED).not_finite() == position_losses(large, REPEATED).not_finite() == (0,)
    assert head_scores(theirs, REPEATED).not_finite() == ()
    assert all(torch.equal(weight, before[name]) for name, weight in large.state_dict().items())
    assert bool(attention_maps(too_large(TEXT_MODELS[0][1], kind), REPEATED[0])["pattern"].isnull().all())
    grid = grid_comparison(too_large(NUMBER_MODELS[0][1], kind), P, (2, 3), torch.tensor([[1, 2], [3, 4]]))
    assert grid.counts()["NOT FINITE"] == P * P


def test_large_weights_that_a_model_computes_with_are_as_good_as_any() -> None:
    """A norm follows the embedding and the MLP alike, so that their scale hardly matters."""
    model, large = TEXT_MODELS[0][1], copy.deepcopy(TEXT_MODELS[0][1])
    with torch.no_grad():
        large.embed.weight.mul_(1e6)
        for block in large.blocks:
            block.attn.o.weight.mul_(1e6)
            block.mlp.out.weight.mul_(1e6)
    found, expected = (position_losses(each, REPEATED)["loss"] for each in (large, model))
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert list(checkpoints_of(large))[0][1] is large


@pytest.mark.parametrize("spoil", ["blocks.0.attn.W_V", "blocks.1.mlp.W_in", "embed.W_E"])
def test_one_weight_that_is_nan_shows_in_transformer_lens_too(spoil: str) -> None:
    """TransformerLens replaces NaN by 0 in attention patterns."""
    from grok_interp.models.weights import canonical_views

    model = copy.deepcopy(TEXT_MODELS[0][1])
    canonical_views(model)[spoil][..., 0] = float("nan")
    for each in (model, to_hooked_transformer(model)):
        assert bool(head_scores(each, REPEATED, scores=["prefix_matching"])["prefix_matching"].isnull().any())
        assert induction_scores(each, REPEATED).not_finite() == (0,)


def test_grids_of_a_model_that_is_not_finite_are_nan() -> None:
    inputs = torch.tensor([[1, 2], [3, 4]])
    grid = grid_comparison(spoiled(NUMBER_MODELS[0][1]), P, (2, 3), inputs)
    assert bool(grid["right"].sel(who="model").isnull().all())
    assert bool(grid["right"].sel(who=["ratio matching", "modular regression"]).notnull().all())
    assert grid.counts()["NOT FINITE"] == P * P and "NOT FINITE 49" in str(grid)
    assert "NOT FINITE" not in grid_comparison(NUMBER_MODELS[0][1], P, (2, 3), inputs).counts()


# Numbers


def test_numbers_out_of_range_are_refused() -> None:
    scores, named = induction_scores(TEXT_MODELS, REPEATED), head_scores(TEXT_MODELS, REPEATED)
    assert len(scores.strongest(9)) == len(named.strongest("ov_copying", 9)) == 4
    for n_heads in (0, -1):
        with pytest.raises(ValueError, match=f"n_heads must be 1 or more, got {n_heads}"):
            scores.strongest(n_heads)
        with pytest.raises(ValueError, match=f"n_heads must be 1 or more, got {n_heads}"):
            named.strongest("ov_copying", n_heads)
    for n_components in (0, 50):
        with pytest.raises(ValueError, match=f"n_components must be from 1 to 49, got {n_components}"):
            circle_pca(NUMBER_MODELS, P, SLOTS, **SLOT, layer=0, head=0, n_components=n_components)
    with pytest.raises(ValueError, match="n_components must be from 1 to 7, got 8"):
        embedding_pca(NUMBER_MODELS, p=P, n_components=8)
    with pytest.raises(ValueError, match="n_neurons must be 1 or more, got 0"):
        DRIVERS["mlp_activations"](NUMBER_MODELS).most_varied(0)
    for head in ((2, 0), (0, 2), (-1, 0)):
        shown = f"no head L{head[0]}H{head[1]}: the model has 2 layers of 2 heads"
        with pytest.raises(ValueError, match=shown):
            attention_maps(TEXT_MODELS[0][1], REPEATED[0]).of(*head)
        with pytest.raises(ValueError, match=shown):
            circle_pca(NUMBER_MODELS, P, SLOTS, **SLOT, layer=head[0], head=head[1])
    with pytest.raises(ValueError, match="windows need 2 tokens or more"):
        position_losses(TEXT_MODELS, [[1], [2]])
    with pytest.raises(ValueError, match="threshold must be a finite number, got nan"):
        DRIVERS["head_ablation"](TEXT_MODELS).onset(threshold=float("nan"))


def test_a_spectrum_that_is_not_finite_has_no_key_frequencies() -> None:
    spectrum = fourier_spectrum([(0, NUMBER_MODELS[0][1]), (10, spoiled(NUMBER_MODELS[0][1]))], p=P)
    assert len(spectrum.key_frequencies("additive", 2, step=0)) == 2
    with pytest.raises(ValueError, match="embeddings at step 10 are not finite and have no key frequencies"):
        spectrum.key_frequencies("additive", 1)


# Padding


def test_rows_begin_with_their_first_token() -> None:
    rows, real = unpadded(
        torch.tensor([[9, 9, 5, 6], [5, 6, 7, 9], [1, 2, 3, 4]]), [[0, 0, 1, 1], [1, 1, 1, 0], [1] * 4]
    )
    assert rows.tolist() == [[5, 6, 0, 0], [5, 6, 7, 0], [1, 2, 3, 4]]
    assert real.sum(dim=1).tolist() == [2, 3, 4]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pad", [0, 28, -100])
def test_losses_and_scores_ignore_pads(side: str, pad: int) -> None:
    """The same as of the rows one by one, without their pads."""
    model = TEXT_MODELS[0][1]
    lengths = (16, 9, 12)
    sequences = [repeated_tokens(n_sequences=1, half=-(-n // 2), alphabet=range(29), seed=n)[0, :n] for n in lengths]
    padded = torch.full((3, 16), pad)
    mask = torch.zeros(3, 16, dtype=torch.int64)
    for row, each in enumerate(sequences):
        where = slice(16 - len(each), 16) if side == "left" else slice(0, len(each))
        padded[row, where], mask[row, where] = each, 1
    losses = position_losses(model, padded, attention_mask=mask)
    alone = [position_losses(model, each)["loss"][0] for each in sequences]
    assert losses.dataset["n_windows"].to_numpy().tolist() == [3] * 8 + [2] * 3 + [1] * 4
    for position in (0, 7, 8, 10, 11, 14):
        expected = np.mean([float(each[position]) for each in alone if position < each.size])
        assert float(losses["loss"][0, position]) == pytest.approx(expected, rel=1e-5)
    token_mean = sum(float(each.sum()) for each in alone) / sum(each.size for each in alone)
    assert float(losses.mean()[0]) == pytest.approx(token_mean, rel=1e-5)
    assert losses.not_finite() == ()
    scores = head_scores(model, padded, attention_mask=mask, scores=["duplicate_token", "previous_token"])
    singles = [head_scores(model, each, scores=["previous_token"])["previous_token"] for each in sequences]
    weights = [len(each) - 1 for each in sequences]
    expected = sum(w * s for w, s in zip(weights, singles, strict=True)) / sum(weights)
    np.testing.assert_allclose(scores["previous_token"], expected, rtol=1e-5)
    assert scores.dataset.attrs["chance"]["duplicate_token"] < 1


def test_without_a_mask_pads_count() -> None:
    padded = torch.cat([torch.full((3, 4), 1), REPEATED[:, :12]], dim=1)
    mask = torch.ones_like(padded)
    mask[:, :4] = 0
    model = TEXT_MODELS[0][1]
    counted, ignored = (position_losses(model, padded, attention_mask=each).mean()[0] for each in (None, mask))
    assert float(counted) != float(ignored)
    everything = head_scores(model, padded, scores=["duplicate_token"]).dataset.attrs["chance"]["duplicate_token"]
    real = head_scores(model, padded, attention_mask=mask, scores=["duplicate_token"]).dataset.attrs["chance"]
    assert real["duplicate_token"] != everything


def test_masks_that_do_not_fit_are_refused() -> None:
    model = TEXT_MODELS[0][1]
    for mask in ([[1, 1]], torch.full((3, 16), 2), "mask", torch.ones(3, 15)):
        with pytest.raises(ValueError, match="attention_mask must hold 1 at tokens and 0 at pads"):
            position_losses(model, REPEATED, attention_mask=mask)
    holes = torch.ones(3, 16)
    holes[1, 5] = 0
    for mask in (holes, torch.zeros(3, 16)):
        with pytest.raises(ValueError, match="one uninterrupted piece of each row"):
            head_scores(model, REPEATED, attention_mask=mask)


def test_a_run_is_a_series_like_any_other(tmp_path: Path) -> None:
    run = grok_interp.load_reference("modular-p11")
    assert isinstance(run, Run)
    spectrum = fourier_spectrum(run, p=11)
    assert steps(spectrum) == list(run.steps)
    xr.testing.assert_equal(
        fourier_spectrum(run.load(run.steps[-1]), p=11)["fraction"][:, 0].drop_vars("checkpoint"),
        spectrum["fraction"][:, -1].drop_vars("checkpoint"),
    )
