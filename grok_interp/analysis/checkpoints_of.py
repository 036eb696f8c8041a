"""What analyzers take as checkpoints: one model, a list, a series or a generator. Read one at a time, and checked.

    one model                         one checkpoint, step 0
    [(step, model), ...]              in any order: sorted by step; also {step: model}
    [model, ...]                      numbered 0, 1, 2, ...
    a generator, a Run, a series      (step, model) with increasing steps, or models; one model in memory at a time

Steps are distinct integers of 0 or more. Every analyzer reads its checkpoints through `checkpoints_of`, so all of them
accept and refuse the same. A model with a weight that is not finite or too large to compute with (see `overflow`) comes
as one whose weights are all NaN: results name its step as not finite, whichever weights they read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import index
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from jaxtyping import Int64
from torch import Tensor, nn

from grok_interp.models.activations import HookedModel, rotates_any_position
from grok_interp.models.overflow import undefined_if_not_finite
from grok_interp.models.unreadable import beyond_context, require_values


@runtime_checkable
class EmbeddingModel(Protocol):
    """What analyzers of embeddings need of a model: `W_E`, d_vocab x d_model."""

    @property
    def W_E(self) -> Tensor: ...


if TYPE_CHECKING:
    Checkpoints = HookedModel | Iterable[tuple[int, HookedModel]] | Iterable[HookedModel] | Mapping[int, HookedModel]
    WithEmbedding = Checkpoints | EmbeddingModel | Iterable[tuple[int, EmbeddingModel]] | Mapping[int, EmbeddingModel]
    Model = HookedModel
else:  # at run time `checkpoints_of` itself refuses what is none of these, with a message for the reader
    Checkpoints = WithEmbedding = Model = Any

HOOKED = ("cfg", "run_with_hooks", "parameters", "modules", "eval")
EMBEDDING = ("W_E",)
EACH_HEAD = ("n_layers", "n_heads")


def checkpoints_of(
    checkpoints: WithEmbedding,
    *,
    tokens: Int64[Tensor, "batch pos"] | None = None,
    n_read: int | None = None,
    needs: Sequence[str] = HOOKED,
    same: Sequence[str] = (),
) -> Iterator[tuple[int, Any]]:
    """(step, model) of each checkpoint, in increasing order of steps.

    Args:
        checkpoints: one model, or several in one of the forms above.
        tokens: what each model is going to read, if that is known: its vocabulary and context must hold them. Models
            that compute rotary positions as they come also read rows longer than their context.
        n_read: how many tokens of a row are read; all of them if None.
        needs: the attributes that a model must have.
        same: sizes of `cfg` that all checkpoints must have in common, because the result has one entry for each:
            `EACH_HEAD`. Models that differ in other sizes can be compared.

    Raises:
        ValueError: for no checkpoint (an empty list or a generator that was read before), a step that is not an integer
            of 0 or more, a step given twice, a generator whose steps decrease, a model without hooks or on the
            meta device, models of other sizes than the first, and tokens that a model cannot read.

    Example:
        >>> from types import SimpleNamespace as Model
        >>> [step for step, _ in checkpoints_of([(20, Model(W_E=1)), (3, Model(W_E=2))], needs=["W_E"])]
        [3, 20]
    """
    last, sizes = None, {}
    for step, model in _pairs(checkpoints, needs):
        if last is not None and step <= last:
            raise ValueError(
                f"step {step} was given twice: give each checkpoint once"
                if step == last
                else f"steps must increase, got {step} after {last}: sort the checkpoints, or give them as a list"
            )
        require_model(model, needs)
        sizes = _require_same_sizes(sizes, model, step, same)
        if tokens is not None:
            require_readable(tokens, model.cfg, n_read=0 if rotates_any_position(model) else n_read)
        yield step, undefined_if_not_finite(model) if _has(model, HOOKED) else model
        last = step
    if last is None:
        raise ValueError(
            "no checkpoints were given: give a model, or one (step, model) or more; a generator can be read only once"
        )


def require_model(model: Any, needs: Sequence[str] = HOOKED) -> None:
    """Raises ValueError for a model without hooks, with what gives it hooks, and for one without values of weights.

    Args:
        model: of any kind.
        needs: names of the attributes that it must have.
    """
    missing = [name for name in needs if not hasattr(model, name)]
    if missing:
        raise ValueError(
            f"expected a model with hooks (run_with_hooks and TransformerLens' hook names), got "
            f"{type(model).__name__}, which has no {', '.join(missing)}: {_remedy(model)}"
            if "run_with_hooks" in needs
            else f"expected a model with {', '.join(needs)}, got {type(model).__name__}: {_remedy(model)}"
        )
    require_values(model)


def _require_same_sizes(first: dict[str, Any], model: Any, step: int, same: Sequence[str]) -> dict[str, Any]:
    found = {name: getattr(model.cfg, name, None) for name in same}
    if first and found != first:
        raise ValueError(
            f"all checkpoints need the same {' and '.join(same)}: the model at step {step} has {_listed(found)}, those "
            f"before have {_listed(first)}; evaluate each model alone"
        )
    return found


def _listed(sizes: Mapping[str, Any]) -> str:
    return ", ".join(str(size) for size in sizes.values())


def require_readable(
    tokens: Int64[Tensor, "batch pos"], cfg: Any, *, n_read: int | None = None, name: str = "tokens"
) -> None:
    """

    Args:
        tokens: token indices.
        cfg: of the model; what it does not say of vocabulary and context is not checked.
        n_read: tokens of a row that are read; all if None.
        name: of the tokens, for the message.

    Raises:
        ValueError: for tokens outside the model's vocabulary and for rows longer than its context.
    """
    d_vocab, n_ctx = getattr(cfg, "d_vocab", None), getattr(cfg, "n_ctx", None)
    n_read = tokens.shape[1] if n_read is None else n_read
    least, most = int(tokens.min()), int(tokens.max())
    if least < 0 or (d_vocab and most >= d_vocab):
        raise ValueError(
            f"{name} must be within the model's vocabulary, 0 to {d_vocab - 1 if d_vocab else 'd_vocab - 1'}, got "
            f"{least} to {most}: encode the text with the model's own tokenizer"
        )
    if n_ctx and n_read > n_ctx:
        raise ValueError(beyond_context(n_read, n_ctx, name))


def _pairs(checkpoints: Any, needs: Sequence[str]) -> Iterator[tuple[int, Any]]:
    """Any form as (step, model); a list is sorted."""
    if isinstance(checkpoints, Mapping):
        checkpoints = list(checkpoints.items())
    if isinstance(checkpoints, tuple) and _is_pair(checkpoints, needs):
        checkpoints = [checkpoints]
    if _has(checkpoints, needs):
        checkpoints = [(0, checkpoints)]
    _require_iterable(checkpoints, needs)
    pairs = (
        (_step(item[0]), item[1]) if _is_pair(item, needs) else (number, item)
        for number, item in enumerate(checkpoints)
    )
    return iter(sorted(pairs, key=lambda pair: pair[0])) if isinstance(checkpoints, Sequence) else pairs


def _has(model: Any, names: Sequence[str]) -> bool:
    return all(hasattr(model, name) for name in names)


def _is_pair(item: Any, needs: Sequence[str]) -> bool:
    """One (step, model), and neither two of them nor two models."""
    if not isinstance(item, tuple | list) or len(item) != 2:
        return False
    is_model = any(hasattr(item[0], name) for name in ("parameters", *needs))
    return not is_model and not isinstance(item[0], tuple | list)


def _step(step: Any) -> int:
    try:
        found = -1 if isinstance(step, bool) else index(step)
    except TypeError:
        found = -1
    if found < 0:
        raise ValueError(f"a step must be an integer of 0 or more, got {step!r} ({type(step).__name__})")
    return found


def _require_iterable(checkpoints: Any, needs: Sequence[str]) -> None:
    if isinstance(checkpoints, str | bytes | PathLike):
        raise ValueError(f"checkpoints must be models, got the path {str(checkpoints)!r}: Run.open(path) opens a run")
    is_one = isinstance(checkpoints, nn.Module) and not isinstance(checkpoints, nn.ModuleList)
    if is_one or not isinstance(checkpoints, Iterable):
        require_model(checkpoints, needs)


def _remedy(model: Any) -> str:
    """How a model of another library gets hooks."""
    if isinstance(model, tuple | list):
        return "a checkpoint is one model or one pair (step, model)"
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return "give its `.module`"
    if hasattr(getattr(model, "config", None), "model_type"):
        return (
            "transformer_lens.model_bridge.sources.build_bridge_from_module(model, type(model).__name__, "
            "hf_config=model.config) gives a Hugging Face model hooks"
        )
    if type(model).__module__.partition(".")[0] == "nnsight":
        return "give the model that nnsight wraps, with TransformerLens' hooks (build_bridge_from_module)"
    return (
        "give a grok_interp Transformer, a HookedTransformer or TransformerBridge of TransformerLens, or a plain torch "
        "model in a TorchAdapter"
    )
