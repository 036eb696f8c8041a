"""Head scores: every score of `HEAD_SCORES` for every head at every checkpoint.

`HEAD_SCORES[name]` says what a score means. All patterns of a checkpoint are reduced inside the hooks of one forward
pass over the tokens, and no activation is kept.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from grok_interp.analysis.arguments import require_count
from grok_interp.analysis.checkpoints_of import EACH_HEAD, Checkpoints, checkpoints_of
from grok_interp.analysis.head_attention import (
    attention_on_targets,
    between_tokens,
    n_queries_with_target,
    uniform_attention,
)
from grok_interp.analysis.head_registry import HEAD_SCORES, AttentionScore, HeadScore, WeightScore
from grok_interp.analysis.short_windows import nearest_target, warn_of_short_windows
from grok_interp.arguments import checked
from grok_interp.counted import counted, over
from grok_interp.data.token_rows import Mask, Tokens, token_rows, unpadded
from grok_interp.models.activations import HookedModel, has_finite_weights, in_batches, pattern_name, read
from grok_interp.models.processing import require_same_processing
from grok_interp.results.result import Measure, Result

Targets = Mapping[str, Bool[Tensor, "batch query key"]]  # name of a score ->


class HeadScores(Result):
    """Scores of every head at every checkpoint, by their names: `scores["prefix_matching"]`.

    `dataset.attrs["chance"]` has each one's value at chance.
    """

    name = "head_score"
    dims = ("checkpoint", "layer", "head")
    measures: ClassVar[Mapping[str, Measure]] = {}  # those that were asked for

    @classmethod
    def measure(cls, name: Hashable) -> Measure:
        return Measure(str(name).replace("_", " "), "1")

    @checked
    def strongest(self, score: str, n_heads: int = 1) -> list[tuple[int, int]]:
        """(layer, head) of the largest values at the last checkpoint, largest first.

        All heads when there are fewer than `n_heads`. Raises KeyError for a score that was not measured, and ValueError
        for `n_heads` below 1.

        Args:
            score: the name of one that was measured.
            n_heads: at least 1.
        """
        require_count(n_heads, "n_heads")
        last = self[score].isel(checkpoint=-1).to_series().sort_values(ascending=False)
        return [(int(layer), int(head)) for layer, head in last.index[:n_heads]]

    def __str__(self) -> str:
        sizes, strongest = self.dataset.sizes, []
        for score in map(str, self.dataset.data_vars):
            layer, head = self.strongest(score)[0]
            value = float(self[score].isel(checkpoint=-1).sel(layer=layer, head=head))
            strongest.append(f"{score} L{layer}H{head} = {value:.2f}")
        of_weights = all(isinstance(HEAD_SCORES.get(str(score)), WeightScore) for score in self.dataset.data_vars)
        sequences = "" if of_weights else over(self.dataset.attrs.get("n_sequences"), "sequence")
        return (
            f"head scores of {sizes['layer']} x {sizes['head']} heads at {counted(sizes['checkpoint'], 'checkpoint')}"
            f"{sequences}; strongest at the last: {', '.join(strongest)}{self.warning()}"
        )


@checked
def head_scores(
    checkpoints: Checkpoints,
    tokens: Tokens,
    *,
    attention_mask: Mask | None = None,
    scores: Sequence[str] | None = None,
    batch_size: int = 16,
) -> HeadScores:
    """The named scores of each (step, model), all on the same tokens from `repeated_tokens`.

    Args:
        checkpoints: a run, one model, or any iterable of (step, model), as `checkpoints_of` takes them.
        tokens: token indices in which tokens come again, batch x pos, of n_ctx tokens or fewer. A BOS token at the
            beginning (`repeated_tokens(..., bos=...)`) is no target of prefix matching, as it occurs once.
        attention_mask: 1 at tokens, 0 at pads, with the shape of `tokens`, as Hugging Face has it. Rows padded on
            either side are read from their first token on; pads are no query and no target, and never a duplicate.
            Without it every token counts: pads are not detected.
        scores: names of `HEAD_SCORES`; all if None.
        batch_size: sequences per forward pass; changes memory, never the result.

    Returns:
        The scores with dims (checkpoint, layer, head); NaN where weights or activations are not finite.
        `dataset.attrs["processing"]` names the processing of the weights, None where no score reads them.

    Raises:
        ValueError: for names that are not in `HEAD_SCORES`, for tokens on which a score has no target, for a mask that
            does not fit, for checkpoints whose weights were processed differently, and as `checkpoints_of` does.

    Warns:
        UserWarning: when a layer's attention window is shorter than the distance to a target.

    Example:
        >>> from grok_interp import Transformer, llama_copier, repeated_tokens
        >>> model = Transformer(llama_copier(n_layers=1, n_heads=2, d_model=8, d_mlp=8, d_vocab=64, n_ctx=33), seed=0)
        >>> tokens = repeated_tokens(n_sequences=5, half=16, alphabet=range(1, 64), seed=0, bos=0)
        >>> dict(head_scores(model, tokens, scores=["prefix_matching"])["prefix_matching"].sizes)
        {'checkpoint': 1, 'layer': 1, 'head': 2}
    """
    scores = tuple(HEAD_SCORES) if scores is None else scores
    _require_known(scores)
    tokens, real = unpadded(token_rows(tokens), attention_mask)
    steps, rows, chance, processing = [], [], {}, None
    of_weights = any(isinstance(HEAD_SCORES[name], WeightScore) for name in scores)
    targets = _targets(scores, tokens, real)
    for step, model in checkpoints_of(checkpoints, tokens=tokens, same=EACH_HEAD):
        processing = require_same_processing(processing, model, step) if of_weights else None
        steps.append(step)
        rows.append(_scores_of(model, tokens, real, scores, targets, batch_size))
        chance = chance or {name: _chance(HEAD_SCORES[name], targets, tokens, model) for name in scores}
    coords = {"checkpoint": steps, "layer": np.arange(rows[0].shape[1]), "head": np.arange(rows[0].shape[2])}
    attrs = {
        "n_sequences": len(tokens),
        "n_tokens": tokens.shape[1],
        "norm_gain": "ignored",
        "processing": str(processing) if of_weights else None,
        "chance": chance,
    }
    return HeadScores.of_arrays(dict(zip(scores, torch.stack(rows, dim=1), strict=True)), coords, attrs)


def _require_known(scores: Sequence[str]) -> None:
    if isinstance(scores, str) or not isinstance(scores, Sequence):
        raise ValueError(f"scores must be a list of names, got {scores!r} ({type(scores).__name__})")
    unknown = [name for name in scores if name not in HEAD_SCORES]
    if unknown or not scores or len(set(scores)) < len(scores):
        raise ValueError(
            f"head_scores needs one name or more, each once, of {', '.join(HEAD_SCORES)}; got {list(scores)}"
        )


def _scores_of(
    model: HookedModel, tokens: Tensor, real: Tensor, scores: Sequence[str], targets: Targets, batch_size: int
) -> Float[Tensor, "score layer head"]:
    found = _attention_scores(model, tokens, targets, batch_size) if targets else {}
    for name in scores:
        score = HEAD_SCORES[name]
        if isinstance(score, WeightScore):
            measured = score.measure(model, tokens[real], found)
            # comparisons and argmax inside a measure would turn a NaN into a score
            defined = has_finite_weights(model) and all(bool(found[need].isfinite().all()) for need in score.needs)
            found[name] = measured if defined else torch.full_like(measured, torch.nan)
    return torch.stack([found[name] for name in scores])


def _targets(scores: Sequence[str], tokens: Tensor, real: Tensor) -> Targets:
    """Of every attention score that is asked for, or that one of weights needs: the same for all checkpoints."""
    needs = [need for name in scores for need in getattr(HEAD_SCORES[name], "needs", ())]
    asked = {name: HEAD_SCORES[name] for name in [*scores, *needs]}
    found = {name: score.targets(tokens) for name, score in asked.items() if isinstance(score, AttentionScore)}
    return {name: between_tokens(targets, real) for name, targets in found.items()}


def _chance(score: HeadScore, targets: Targets, tokens: Tensor, model: Any) -> float:
    if isinstance(score, AttentionScore):
        return uniform_attention(targets[score.name])
    return score.chance(tokens, model)


def _attention_scores(
    model: HookedModel, tokens: Tensor, targets: Targets, batch_size: int
) -> dict[str, Float[Tensor, "layer head"]]:
    """All of them from one forward pass over the tokens, which reads each pattern once."""
    layers = [pattern_name(layer) for layer in range(model.cfg.n_layers)]
    warn_of_short_windows(model, max(nearest_target(each) for each in targets.values()))
    n_queries = torch.tensor([n_queries_with_target(each) for each in targets.values()])
    totals = torch.zeros(model.cfg.n_layers, model.cfg.n_heads, len(targets))
    for each, rows in in_batches(model, torch.arange(len(tokens)), batch_size):
        part = torch.stack([of_score[rows] for of_score in targets.values()], dim=1).float()
        found = read(each, tokens[rows], dict.fromkeys(layers, partial(attention_on_targets, targets=part)))
        totals += torch.stack([found[layer].cpu() for layer in layers])
    return dict(zip(targets, (totals / n_queries).unbind(dim=-1), strict=True))
