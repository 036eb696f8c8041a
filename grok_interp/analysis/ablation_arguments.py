"""What an ablation is given: heads, a way, and the sequences or the length that this way needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Int64
from torch import Tensor

from grok_interp.analysis.checkpoints_of import require_readable
from grok_interp.data.token_rows import Tokens, token_rows
from grok_interp.models.activations import HookedModel, rotates_any_position

WAYS = ("zero", "mean", "resample", "edges")
Head = tuple[int, int]  # layer, head


@runtime_checkable
class LayersAndHeads(Protocol):
    """A configuration of a model, or its sizes."""

    @property
    def n_layers(self) -> int: ...

    @property
    def n_heads(self) -> int: ...


def named(heads: Sequence[Head]) -> str:
    """The names of heads.

    Args:
        heads: (layer, head) each.

    Example:
        >>> named([(1, 3), (2, 0)])
        'L1H3 L2H0'
    """
    return " ".join(f"L{layer}H{head}" for layer, head in heads)


def require_ablation(
    cfg: LayersAndHeads, heads: Sequence[Head], how: str, *, reference: Tokens | None, n_match: int | None
) -> None:
    """That these heads of a model can be ablated so, with what this way needs.

    Args:
        cfg: of the model, with n_layers and n_heads.
        heads: each (layer, head).
        how: one of `WAYS`.
        reference: sequences; needed by mean and resample ablation.
        n_match: a length in tokens; needed by the ablation of edges.

    Raises:
        ValueError: for heads that cannot be ablated so, or for options that are missing.
    """
    if not heads or len(set(heads)) < len(heads):
        raise ValueError(f"an ablation needs distinct heads, one or more, got {named(heads) or 'none'}")
    if absent := [head for head in heads if not (0 <= head[0] < cfg.n_layers and 0 <= head[1] < cfg.n_heads)]:
        raise ValueError(f"no head {named(absent)}: the model has {cfg.n_layers} layers of {cfg.n_heads} heads")
    if how not in WAYS:
        raise ValueError(f"how must be one of {', '.join(WAYS)}, got {how!r}")
    if how in ("mean", "resample") and reference is None:
        raise ValueError(f"{how} ablation needs `reference` sequences to take the heads' z from")
    if how == "edges" and (n_match is None or n_match < 1):
        raise ValueError(f"ablation of edges needs n_match, a length of 1 or more, got {n_match}")


def reference_rows(model: HookedModel, reference: Tokens) -> Int64[Tensor, "reference reference_pos"]:
    """Sequences that a model reads for its means or its donors.

    Args:
        model: reads them.
        reference: token indices, batch x pos.

    Raises:
        ValueError: for what is no rows of integers, and for rows that the model cannot read.
    """
    rows = token_rows(reference, "reference")
    require_readable(rows, model.cfg, n_read=0 if rotates_any_position(model) else None, name="reference")
    return rows
