"""Induction score I(L, H) of "Language Models 'Grok' to Copy" (the paper's only equation; papers' notation).

    I(L, H) = Abar(L, H) * EP(L, H), between -1 and 1

Abar, between 0 and 1: on random tokens repeated once (halves of s tokens), the mean attention weight from position
s + i - 1 to position i, for i in 1 .. s - 1: from each token to what followed its first occurrence. Few entries of a
pattern count, so none is built where the model tells single entries: memory is then linear in the context.

EP, eigenvalue positivity, between -1 and 1: sum(lambda) / sum(|lambda|) over the eigenvalues of the full OV circuit
W_E W_V W_O W_U. The circuit is d_vocab x d_vocab of rank d_head; its non-zero eigenvalues are those of the d_head x
d_head matrix W_O (W_U W_E) W_V, so the large one is never built. A head whose circuit is zero copies nothing: EP 0.

A score without its formula means nothing: TransformerLens' `detect_head` divides by all attention and gives a perfect
induction head about 1/2, where Abar gives 1. Compare only scores of one definition.

EP depends on how the weights were processed (see `processing_of`): all checkpoints of a result have one state, which is
in its attributes. With d_vocab_out != d_vocab the circuit is that of the tokens that are inputs and outputs.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from grok_interp.analysis.arguments import require_count
from grok_interp.analysis.checkpoints_of import EACH_HEAD, Checkpoints, checkpoints_of
from grok_interp.analysis.head_weights import ov_circuits
from grok_interp.analysis.short_windows import warn_of_short_windows
from grok_interp.arguments import checked
from grok_interp.counted import counted, over
from grok_interp.data.copying import induction_targets
from grok_interp.data.token_rows import Tokens, batches_of, token_rows
from grok_interp.models.activations import HookedModel, device_of, evaluating, mean_of_patterns
from grok_interp.models.norm_gains import norm_gains
from grok_interp.models.processing import Processing, require_same_processing
from grok_interp.models.weights_of import NormGain
from grok_interp.results.result import Measure, Result


class InductionScores(Result):
    """Abar, EP and I = Abar * EP of every head at every checkpoint."""

    name = "induction"
    dims = ("checkpoint", "layer", "head")
    measures: ClassVar = {
        "Abar": Measure("induction attention Abar(L, H)", "fraction"),
        "EP": Measure("eigenvalue positivity EP(L, H)", "1"),
        "I": Measure("induction score I(L, H)", "1"),
    }

    @checked
    def strongest(self, n_heads: int = 1) -> list[tuple[int, int]]:
        """(layer, head) of the largest I at the last checkpoint, largest first.

        All heads when there are fewer than `n_heads`. Raises ValueError for `n_heads` below 1.

        Args:
            n_heads: at least 1.
        """
        require_count(n_heads, "n_heads")
        last = self["I"].isel(checkpoint=-1).to_series().sort_values(ascending=False)
        return [(int(layer), int(head)) for layer, head in last.index[:n_heads]]

    def __str__(self) -> str:
        sizes, n, (layer, head) = self.dataset.sizes, self.dataset.attrs.get("n_sequences"), self.strongest()[0]
        value = float(self["I"].isel(checkpoint=-1).sel(layer=layer, head=head))
        return (
            f"I(L,H) of {sizes['layer']} x {sizes['head']} heads at {counted(sizes['checkpoint'], 'checkpoint')}"
            f"{over(n, 'sequence')}; strongest at the last: L{layer}H{head} = {value:.2f}{self.warning()}"
        )


@runtime_checkable
class TellsEntries(Protocol):
    """A model that tells single entries of its patterns without building them: layer batch head entry."""

    def attention_entries(self, tokens: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
        """The weights of queries to keys.

        Args:
            tokens: token indices, batch x pos.
            queries: positions, one for each entry.
            keys: positions, as many.
        """
        ...


def induction_attention(pattern: Float[Tensor, "batch head query key"]) -> Float[Tensor, " head"]:
    """Kernel of Abar; the pattern is that of two identical halves, after BOS where its size is odd.

    Args:
        pattern: attention probabilities, between 0 and 1.
    """
    queries, keys = induction_targets(*divmod(pattern.shape[-1], 2))
    return pattern[:, :, queries, keys].float().mean(dim=(0, 2))


def eigenvalue_positivity(circuit: Float[Tensor, "*lead size size"]) -> Float[Tensor, "*lead"]:
    """Kernel of EP: the sum of the eigenvalues (a real matrix's trace) over the sum of their absolute values; NaN
    for a circuit that is not finite.

    Args:
        circuit: real square matrices; leading axes are kept.
    """
    finite = circuit.isfinite().all(dim=-1).all(dim=-1)
    circuit = circuit.double().where(finite[..., None, None], 0.0)
    total = torch.linalg.eigvals(circuit).abs().sum(dim=-1)
    trace = circuit.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    positivity = torch.where(total > 0, trace / total.clamp_min(torch.finfo(total.dtype).tiny), 0.0)
    return positivity.where(finite, torch.nan).float()


@checked
def induction_scores(
    checkpoints: Checkpoints,
    tokens: Tokens,
    *,
    norm_gain: NormGain = "ignored",
    batch_size: int = 16,
) -> InductionScores:
    """I(L, H) of each (step, model), all on the same tokens from `repeated_tokens`.

    Args:
        checkpoints: a run, one model, or any iterable of (step, model), as `checkpoints_of` takes them.
        tokens: batch x pos, each half the same (`repeated_tokens`). Rows with an odd number of tokens begin with BOS
            (`repeated_tokens(..., bos=...)`), which is no target.
        norm_gain: how the gains of the norms enter EP, which the paper does not say: "ignored" takes the weights as
            they are; "folded" multiplies every gain between a token and the logits into the weights (see `weights_of`).
        batch_size: sequences per forward pass; changes memory, never the result.

    Returns:
        I, EP and the attention to targets with dims (checkpoint, layer, head); NaN where weights or activations are not
        finite. Attributes name the `processing` of the weights, and `norm_gain` as it is in effect: "folded" for
        weights that have all gains folded in already.

    Raises:
        ValueError: for tokens that are not repeated, for checkpoints whose weights were processed differently, and as
            `checkpoints_of` does.

    Warns:
        UserWarning: when a layer's attention window is shorter than the distance to the induction target.

    Example:
        >>> from grok_interp import Transformer, preset, repeated_tokens
        >>> tokens = repeated_tokens(n_sequences=2, half=8, alphabet=range(40), seed=0)
        >>> dict(induction_scores(Transformer(preset("copier-tiny"), seed=0), tokens)["I"].sizes)
        {'checkpoint': 1, 'layer': 2, 'head': 2}
    """
    tokens = token_rows(tokens)
    bos = _require_two_halves(tokens)
    steps, rows, processing, gain = [], [], None, norm_gain
    for step, model in checkpoints_of(checkpoints, tokens=tokens, same=EACH_HEAD):
        processing = require_same_processing(processing, model, step)
        gain = _gain_in_effect(model, norm_gain, processing)
        warn_of_short_windows(model, tokens.shape[1] // 2 - 1)
        attention = _induction_attentions(model, tokens, batch_size)
        positivity = eigenvalue_positivity(ov_circuits(model, norm_gain))
        steps.append(step)
        rows.append(torch.stack([attention, positivity, attention * positivity]))
    arrays = dict(zip(InductionScores.measures, torch.stack(rows, dim=1), strict=True))
    coords = {"checkpoint": steps, "layer": np.arange(rows[0].shape[1]), "head": np.arange(rows[0].shape[2])}
    attrs = {
        "n_sequences": len(tokens),
        "half": tokens.shape[1] // 2,
        "norm_gain": gain,
        "processing": str(processing),
        **bos,
    }
    return InductionScores.of_arrays(arrays, coords, attrs)


def _induction_attentions(model: HookedModel, tokens: Tensor, batch_size: int) -> Float[Tensor, "layer head"]:
    """Abar of every head: from the entries alone where the model tells them, else from the patterns."""
    if not isinstance(model, TellsEntries):
        return mean_of_patterns(model, tokens, induction_attention, batch_size=batch_size)
    entries, device = induction_targets(*divmod(tokens.shape[1], 2)), device_of(model)
    total = torch.zeros(model.cfg.n_layers, model.cfg.n_heads)
    with evaluating(model):
        for part in batches_of(tokens, batch_size):
            attention = model.attention_entries(part.to(device), *entries).float()
            total += attention.mean(dim=-1).sum(dim=1).cpu()
    return total / len(tokens)


def _gain_in_effect(model: HookedModel, norm_gain: NormGain, processing: Processing) -> NormGain:
    """Weights that have all gains folded in are folded, whatever was asked for."""
    return "folded" if processing.norms_folded is True and norm_gains(model).all_one else norm_gain


def _require_two_halves(tokens: Int64[Tensor, "batch pos"]) -> dict[str, int]:
    """The BOS token that stands before the halves, where the rows have an odd number of tokens; nothing otherwise."""
    half, with_bos = divmod(tokens.shape[1], 2)
    first, second = tokens[:, with_bos:].split(half, dim=1) if half else (tokens, tokens)
    if half < 3 or not torch.equal(first, second) or (with_bos and tokens[:, 0].unique().numel() > 1):
        raise ValueError(
            "induction scores need rows of two identical halves of 3 tokens or more (see repeated_tokens), with one "
            f"same token before them in all rows (BOS) or none, got {tuple(tokens.shape)} tokens whose halves differ"
        )
    return {"bos": int(tokens[0, 0])} if with_bos else {}
