"""An ablated model: a model without some of its heads, which any analyzer takes like any other model.

`how` says what replaces a head's z (its weighted values, before W_O), at every position:

    zero       what it is whatever the head reads: 0, or the constant of its biases (see `value_constants`)
    mean       the head's mean z over all positions of reference sequences: what it writes whatever it reads
    resample   its z at the same position of a reference sequence drawn at random: as large as ever, about another text

or that only a path is cut:

    edges      the head's attention from a query to its induction targets is set to 0

A key is an induction target of a query when the `n_match` tokens before the key are the last `n_match` tokens up to the
query: tokens[key - n .. key - 1] = tokens[query - n + 1 .. query], key <= query. With n_match = 1 every token that
followed the query's token counts; few symbols repeat by chance, and a longer match leaves the copied string alone.
The constant of a head's biases stays under zero and edges: TransformerLens folds it into b_O by default, where no
ablation of heads reaches it. So raw and processed models give equal numbers.
What is cut is not given to the row's other keys: renormalized, the rounding error beside a perfect induction edge would
become a head of its own. Reference activations are those of the intact model.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from grok_interp.analysis.ablation_arguments import Head, reference_rows, require_ablation
from grok_interp.analysis.ablation_edits import Edit, Seen, constant, mean, replaced, resampled
from grok_interp.analysis.checkpoints_of import require_model
from grok_interp.analysis.copying import Caching
from grok_interp.analysis.edge_edits import EdgeCut
from grok_interp.arguments import checked
from grok_interp.data.token_rows import Tokens
from grok_interp.models.activations import ByRow, HookedModel, in_batches, pattern_name, read, z_name
from grok_interp.models.value_biases import value_constants


class AblatedModel:
    """A `HookedModel` that edits some activations of another one whenever it runs.

    Hooks given to it come after its own: they see what is edited. The other model has none left after a run.
    """

    first_row = 0

    def __init__(self, model: Any, edits: Mapping[str, Edit]) -> None:
        self.model, self.edits, self.cfg = model, edits, model.cfg

    @property
    def original_model(self) -> Any:
        """Of a bridge, the Hugging Face model below it; AttributeError for another model."""
        return self.model.original_model

    def from_row(self, row: int) -> AblatedModel:
        """This model for a batch that begins at a row of a larger evaluation: its rows have other donors.

        Args:
            row: of the larger evaluation, the first of this batch, from 0.
        """
        shifted = copy.copy(self)
        shifted.first_row = row
        if isinstance(self.model, ByRow):
            shifted.model = self.model.from_row(row)
        return shifted

    def __call__(self, tokens: Tensor) -> Tensor:
        return self.run_with_hooks(tokens)

    def run_with_hooks(self, tokens: Tensor, *, fwd_hooks: Sequence[tuple[Any, Any]] = (), **options: Any) -> Any:
        """As TransformerLens' method: the edits come first, then these hooks.

        Args:
            tokens: token indices, batch x pos.
            fwd_hooks: (hook name, hook) each.
            options: of the model.
        """
        return self._run(tokens, Seen(tokens, self.first_row), fwd_hooks=fwd_hooks, **options)

    def _run(self, tokens: Tensor, seen: Seen, *, fwd_hooks: Sequence[tuple[Any, Any]] = (), **options: Any) -> Any:
        ours = [(name, _hook(edit, seen)) for name, edit in self._edits_for(tokens).items()]
        return self.model.run_with_hooks(tokens, fwd_hooks=[*ours, *fwd_hooks], **options)

    def _edits_for(self, tokens: Tensor) -> Mapping[str, Edit]:  # noqa: ARG002
        return self.edits

    def parameters(self) -> Iterator[Any]:
        """Of the model that is edited."""
        return self.model.parameters()

    def modules(self) -> Iterator[Any]:
        """Of the model that is edited."""
        return self.model.modules()

    def eval(self) -> AblatedModel:
        """Put the model that is edited into eval mode."""
        self.model.eval()
        return self


@dataclass
class AblatedCache:
    """A KV cache and the tokens in it: edits depend on the position and on what stood before."""

    cache: Any
    tokens: Tensor | None = None

    def branch(self) -> AblatedCache:
        """One that grows apart from this one."""
        return AblatedCache(self.cache.branch(), self.tokens)


class CachingAblatedModel(AblatedModel):
    """The same over a model with a KV cache."""

    def empty_cache(self) -> AblatedCache:
        """To begin with."""
        return AblatedCache(self.model.empty_cache())

    def __call__(self, tokens: Tensor, *, cache: AblatedCache | None = None) -> Tensor:
        return self.run_with_hooks(tokens, cache=cache)

    def run_with_hooks(self, tokens: Tensor, *, cache: AblatedCache | None = None, **options: Any) -> Any:
        """As `AblatedModel.run_with_hooks`, after the tokens in a cache.

        Args:
            tokens: token indices, batch x pos.
            cache: is extended by these tokens; None for tokens with nothing before them.
            options: of the model.
        """
        if cache is None:
            return super().run_with_hooks(tokens, **options)
        cache.tokens = tokens if cache.tokens is None else torch.cat([cache.tokens, tokens], dim=1)
        return self._run(tokens, Seen(cache.tokens, self.first_row), cache=cache.cache, **options)


class ReadOnlyPatternsModel(AblatedModel):
    """Edges cut in a model that shows its patterns and does not read them back: one more pass per layer with cuts.

    Bridges that leave the attention to Hugging Face (GPT-J, OPT) are such models, and TransformerLens 3.9's own.
    """

    def __init__(self, model: Any, cuts: Sequence[EdgeCut]) -> None:
        super().__init__(model, {})
        self.cuts = sorted(cuts, key=lambda cut: cut.layer)

    def _edits_for(self, tokens: Tensor) -> Mapping[str, Edit]:
        """Layer by layer: a layer's pattern depends on what is cut before it."""
        edits: dict[str, Edit] = {}
        for cut in self.cuts:
            names = pattern_name(cut.layer), f"blocks.{cut.layer}.attn.hook_v"
            found = read(AblatedModel(self.model, edits), tokens, dict.fromkeys(names, torch.clone))
            edits |= cut.subtracting(*(found[name] for name in names))
        return edits


def _hook(edit: Edit, seen: Seen) -> Callable[..., Tensor]:
    return lambda activation, hook: edit(activation, seen)  # noqa: ARG005 (TransformerLens' signature)


@checked
def ablated(
    model: HookedModel,
    heads: Sequence[Head],
    how: str,
    *,
    reference: Tokens | None = None,
    n_match: int | None = None,
    seed: int = 0,
) -> AblatedModel:
    """The model without `heads` in one of the `WAYS`; the model itself is not changed.

    Args:
        model: any hooked model.
        heads: (layer, head) of those that are ablated, or their names such as "L1H3", one or more.
        how: "zero", "mean", "resample" or "edges".
        reference: token indices, batch x pos, from which mean and resample take their z; not for the others.
        n_match: length of the match from which "edges" cuts the attention, 1 or more; not for the others.
        seed: draws the reference sequences of "resample": row r of an evaluation takes the z of the r-th that is drawn,
            whatever the batch size.

    Returns:
        A model that analyzers take like any other.

    Raises:
        ValueError: for another `how`, for heads that the model does not have, for options that are missing, and for
            reference sequences that the model cannot read; for a model on the meta device.

    Example:
        >>> from grok_interp import Transformer, preset
        >>> model = Transformer(preset("copier-tiny"), seed=0)
        >>> tokens = torch.arange(8)[None]
        >>> bool((ablated(model, [(0, 1)], "zero")(tokens) == model(tokens)).all())
        False
    """
    require_model(model)
    require_ablation(model.cfg, heads, how, reference=reference, n_match=n_match)
    rows = None if reference is None else reference_rows(model, reference)
    by_layer = {layer: [head for at, head in heads if at == layer] for layer, _ in sorted(heads)}
    if n_match is not None and how == "edges":
        constants = value_constants(_intact(model))
        cuts = [EdgeCut(at, each, n_match, constants[at, each]) for at, each in by_layer.items()]
        if not all(_reads_pattern_back(model, cut.layer) for cut in cuts):
            return ReadOnlyPatternsModel(model, cuts)
        edits = {name: edit for cut in cuts for name, edit in cut.edits().items()}
    elif rows is not None and how != "zero":
        z = _z_of(model, rows, by_layer)
        substitute = mean if how == "mean" else partial(resampled, seed)
        edits = {z_name(layer): partial(replaced, at, partial(substitute, z[layer])) for layer, at in by_layer.items()}
    else:
        constants = value_constants(_intact(model))
        edits = {
            z_name(layer): partial(replaced, at, partial(constant, constants[layer, at]))
            for layer, at in by_layer.items()
        }
    return (CachingAblatedModel if isinstance(model, Caching) else AblatedModel)(model, edits)


def _intact(model: Any) -> Any:
    """The model with the weights, under any number of ablations."""
    return _intact(model.model) if isinstance(model, AblatedModel) else model


def _reads_pattern_back(model: HookedModel, layer: int) -> bool:
    """Does a pattern that a hook returns reach z? Without attention z is 0. ValueError where no pattern is shown."""
    tokens = torch.arange(min(8, model.cfg.n_ctx))[None] % model.cfg.d_vocab
    shown = pattern_name(layer), z_name(layer)
    blind = AblatedModel(model, {pattern_name(layer): lambda pattern, seen: torch.zeros_like(pattern)})  # noqa: ARG005
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # TransformerLens 4 says so itself where it does not
        return not bool(read(blind, tokens, dict.fromkeys(shown, torch.clone))[z_name(layer)].any())


def _z_of(model: HookedModel, tokens: Tensor, by_layer: Mapping[int, list[int]]) -> dict[int, Tensor]:
    """batch pos head d_head of the named heads, by layer."""
    reducers = {z_name(layer): partial(_heads_of, heads) for layer, heads in by_layer.items()}
    parts = [read(each, part, reducers) for each, part in in_batches(model, tokens, 64)]
    return {layer: torch.cat([part[z_name(layer)] for part in parts]) for layer in by_layer}


def _heads_of(heads: list[int], z: Tensor) -> Tensor:
    return z[:, :, heads]
