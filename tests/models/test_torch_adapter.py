"""A plain torch GPT through the adapter: the numbers of our own model with the same weights."""

import pytest
import torch
import torch.nn.functional as F
from nano_gpt import D_MODEL, D_VOCAB, GPT, N_HEADS, N_LAYERS, SIZES, WEIGHTS, adapted, trained
from torch import Tensor, nn

from grok_interp import (
    CheckpointSeries,
    CopyTask,
    TorchAdapter,
    copying_accuracy,
    head_scores,
    induction_scores,
    position_losses,
    repeated_tokens,
    weights_of,
)
from grok_interp.analysis.induction import eigenvalue_positivity
from grok_interp.arguments.functions import FailedForwardError
from grok_interp.models.activations import logits

TOKENS = repeated_tokens(n_sequences=5, half=7, alphabet=range(D_VOCAB), seed=0)


def test_losses_are_the_models() -> None:
    model = adapted()
    scores = model.model.eval()(TOKENS[:, :-1], TOKENS[:, :-1])[0]
    expected = F.cross_entropy(scores.mT, TOKENS[:, 1:], reduction="none").mean(dim=0).detach()
    found = torch.tensor(position_losses(model, TOKENS)["loss"][0].values)
    torch.testing.assert_close(found, expected)


def test_what_the_model_raises_is_told_apart_from_what_hooks_raise() -> None:
    def forward(model: nn.Module, tokens: Tensor) -> Tensor:
        raise KeyError("boo")

    def hook(activation: Tensor, hook: object) -> None:
        raise KeyError("of the hook")

    with pytest.raises(
        FailedForwardError, match=r"raised KeyError\('boo'\) in line \d+ of .*test_torch_adapter.py: c"
    ) as said:
        adapted(forward=forward)(TOKENS)
    assert isinstance(said.value.__cause__, KeyError)
    with pytest.raises(KeyError, match="of the hook"):
        adapted().run_with_hooks(TOKENS, fwd_hooks=[("blocks.0.attn.hook_pattern", hook)])


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes")])
def test_no_memory_in_the_model_stays_what_it_is(error: Exception) -> None:
    def forward(model: nn.Module, tokens: Tensor) -> Tensor:
        raise error

    with pytest.raises(type(error)) as said:
        adapted(forward=forward)(TOKENS)
    assert said.value is error


def test_copying_is_greedy_decoding() -> None:
    task = CopyTask(
        n_sequences=2, n_prefix=2, n_suffix=2, n_samples=40, query_every=1, alphabet=tuple(range(1, 9)), separator=0
    )
    samples, model = task.sample(), adapted()
    found = copying_accuracy(model, samples)["correct"][0, :, 0].values
    tokens = torch.cat([samples.context, samples.query(task.queries[0])], dim=1)
    assert (found == (logits(model, tokens[:, :-1])[:, -2:].argmax(-1) == tokens[:, -2:]).numpy()).all()


def test_induction_scores_are_those_written_out() -> None:
    model, half = adapted(), TOKENS.shape[1] // 2
    patterns: list[Tensor] = []
    handles = [
        block.attn.attn_dropout.register_forward_hook(lambda m, i, o: patterns.append(o)) for block in model.model.h
    ]
    with torch.no_grad():
        model.eval()(TOKENS)
    for handle in handles:
        handle.remove()
    found = induction_scores(model, TOKENS)
    queries = range(half, 2 * half - 1)
    for layer in range(N_LAYERS):
        for head in range(N_HEADS):
            expected = sum(patterns[layer][:, head, q, q - half + 1].mean() for q in queries) / len(queries)
            assert float(found["Abar"][0, layer, head]) == pytest.approx(float(expected), abs=1e-6)
            rows = slice(4 * head, 4 * (head + 1))
            attention, W_E = model.model.h[layer].attn, model.W_E
            W_V, W_O = attention.c_attn.weight[2 * D_MODEL :][rows].T, attention.c_proj.weight[:, rows].T
            circuit = (W_E @ W_V @ W_O @ W_E.T).detach()
            assert float(found["EP"][0, layer, head]) == pytest.approx(float(eigenvalue_positivity(circuit)), abs=1e-4)


def test_gains_are_folded_and_head_scores_work() -> None:
    model = adapted()
    gain = model.model.h[1].ln_1.weight
    folded, raw = weights_of(model, "folded"), weights_of(model)
    torch.testing.assert_close(folded.W_V[1], raw.W_V[1] * gain[:, None])
    assert head_scores(model, TOKENS, scores=["previous_token", "ov_copying"]).dataset.sizes["head"] == N_HEADS


def test_separate_projections_are_those_of_the_stacked_one() -> None:
    class Separate(nn.Module):
        def __init__(self, stacked: GPT) -> None:
            super().__init__()
            self.gpt, self.q, self.k, self.v = stacked, *(nn.ParameterList() for _ in range(3))
            for block in stacked.h:
                for each, rows in zip((self.q, self.k, self.v), block.attn.c_attn.weight.chunk(3), strict=True):
                    each.append(rows.detach().clone())

    names = {"W_E": "gpt.wte.weight", "W_U": "gpt.lm_head.weight", "W_O": "gpt.h.{layer}.attn.c_proj.weight"}
    names |= {f"W_{each.upper()}": each + ".{layer}" for each in "qkv"}
    found, expected = weights_of(TorchAdapter(Separate(trained(0)), **SIZES, weights=names)), weights_of(adapted())
    for name in ("W_E", "W_U", "W_Q", "W_K", "W_V", "W_O"):
        assert torch.equal(getattr(found, name), getattr(expected, name))


def test_hooks_change_activations_and_leave_nothing_behind() -> None:
    model = adapted().eval()
    before = model(TOKENS)
    zeroed = model.run_with_hooks(
        TOKENS, fwd_hooks=[("blocks.0.attn.hook_pattern", lambda pattern, hook: torch.zeros_like(pattern))]
    )
    assert not torch.allclose(zeroed, before)
    assert torch.equal(model(TOKENS), before)
    assert model.run_with_hooks(TOKENS).shape == (*TOKENS.shape, D_VOCAB)


def test_checkpoints_of_the_plain_model_are_a_series(tmp_path) -> None:
    for step in (0, 7):
        torch.save({"model": trained(step).state_dict(), "iter_num": step}, tmp_path / f"ckpt_{step}.pt")
    series = CheckpointSeries.from_files(tmp_path / "ckpt_{step}.pt", model=adapted(99))
    found = induction_scores(series, TOKENS)
    assert found.dataset.equals(induction_scores([(step, adapted(step)) for step in (0, 7)], TOKENS).dataset)


# What is refused


def test_logits_at_the_last_position_alone_are_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"got \(5, 1\): nanoGPT gives all of them when it has targets, forward="):
        position_losses(adapted(forward=None), TOKENS)


def test_scores_without_what_they_need_name_it() -> None:
    bare = adapted(hooks=None, weights=None)
    assert position_losses(bare, TOKENS).dataset.sizes["pos"] == TOKENS.shape[1] - 1
    with pytest.raises(ValueError, match=r"no activation at .*blocks.0.attn.hook_pattern") as refused:
        induction_scores(adapted(hooks=None), TOKENS)
    assert 'hooks={"blocks.{layer}.attn.hook_pattern": "MODULE"}' in str(refused.value)
    assert str(refused.value).endswith("it has none")
    with pytest.raises(
        ValueError, match=r'hook_z: .*hooks=\{"blocks.\{layer\}.attn.hook_z".*it has blocks.0.attn.hook_p'
    ):
        adapted().run_with_hooks(TOKENS, fwd_hooks=[("blocks.1.attn.hook_z", lambda z, hook: z)])
    with pytest.raises(
        ValueError, match=r"has no W_E, W_U.* or a TorchAdapter with weights= \(and hooks= for patterns"
    ):
        weights_of(bare)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"hooks": {"blocks.{layer}.attn.hook_pattern": "h.{layer}.dropout"}},
            "no module h.0.dropout, h.1.dropout; it",
        ),
        ({"weights": WEIGHTS | {"W_O": "h.{layer}.proj"}}, "no parameter h.0.proj, h.1.proj; it has"),
        ({"weights": {"W_E": "wte.weight"}}, "weights needs W_E, W_K.* got no W_K, W_O"),
        ({"weights": WEIGHTS | {"W_in": "wte.weight"}}, r"got \['W_in'\]"),
        ({"weights": WEIGHTS | {"W_E": "wpe.weight"}}, r"W_E must have shape \(23, 12\).*got \(40, 12\)"),
        ({"weights": WEIGHTS | {"ln1": "h.{layer}.norm"}}, "no module h.0.norm"),
    ],
)
def test_names_that_do_not_fit_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        adapted(**options)


def test_heads_must_divide_the_features() -> None:
    with pytest.raises(ValueError, match="multiple of n_heads, got d_model 12 and n_heads 5"):
        TorchAdapter(trained(0), **(SIZES | {"n_heads": 5}))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"n_layers": 0}, r"\(n_layers 0 or more without weights=\), got n_layers 0$"),
        ({"n_layers": -1, "weights": None}, "got n_layers -1$"),
        ({"n_heads": 0, "d_vocab": 0}, "sizes must be 1 or more .* got n_heads 0, d_vocab 0$"),
    ],
)
def test_sizes_must_be_those_of_a_model(sizes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TorchAdapter(trained(0), **(SIZES | {"weights": WEIGHTS} | sizes))


def test_a_module_that_returns_no_tensor_cannot_be_hooked() -> None:
    model = TorchAdapter(nn.Sequential(trained(0)), **SIZES, hooks={"whole": "0"})
    with pytest.raises(ValueError, match="hooked as whole must return one tensor, got tuple"):
        model.run_with_hooks(TOKENS, fwd_hooks=[("whole", lambda output, hook: None)])
