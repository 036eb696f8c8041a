"""Reading files of other training loops without executing them, and loading their tensors into a model.

    .safetensors                   tensors alone
    .pt, .pth, .bin, .ckpt, ...    `torch.load(weights_only=True)`: tensors, numbers and containers

A file may be the state dict itself, or hold it under one of the `NESTED` names (or a dict that does) beside an
optimizer and settings.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from struct import error as StructError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from grok_interp.arguments.objects import shown
from grok_interp.files import DamagedFileError
from grok_interp.models.published import unwrapped
from grok_interp.models.transformer import Transformer
from grok_interp.models.weights import canonical_views, load_canonical
from grok_interp.runs.refused import RefusedCheckpointError

StateDict = Mapping[str, Tensor]
NESTED = ("model", "state_dict", "model_state_dict", "module")  # where training loops keep the model's state dict
LEVELS = 3  # of dicts in which it is looked for
SHOWN = 3  # names in an error
UNREADABLE = (SafetensorError, RuntimeError, EOFError, LookupError, StructError, ValueError, OSError)
N_READ, N_SHOWN = 4096, 30  # bytes of what may be a text, and its characters in an error
ON_THE_COMMAND_LINE = (
    "for the command line, where --model is what weights are loaded into, save the state dict alone with torch.save"
)


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint file, on the CPU; nothing in the file is executed.

    Args:
        path: a safetensors file, or one that `torch.save` wrote.

    Returns:
        Name -> tensor. Prefixes of torch.compile and DistributedDataParallel are dropped.

    Raises:
        DamagedFileError: for a file that is no checkpoint or is cut short.
        RefusedCheckpointError: for a file without a state dict, or with one that `require_weights` refuses.
        ValueError: for a file with other objects than tensors and settings.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "ckpt.pt"
        ...     torch.save({"model": {"_orig_mod.w": torch.ones(2)}, "step": 5}, file)
        ...     read_state_dict(file)
        {'w': tensor([1., 1.])}
    """
    path = Path(path)
    state = _read(path)
    state = _state_in(state, LEVELS)
    if not _is_state_dict(state):
        found = f"the entries {list(state)[:8]}" if isinstance(state, Mapping) else type(state).__name__
        raise RefusedCheckpointError(
            path,
            f"must hold a state dict, alone or under one of {', '.join(NESTED)}, got {found}",
            f"give load=, a function from the path to a model or a state dict; {ON_THE_COMMAND_LINE}",
        )
    require_weights(state, path)
    return unwrapped(state)


def require_weights(state: Mapping[Any, Any], where: object) -> None:
    """Refuses what is no state dict.

    Args:
        state: what was read.
        where: its file, for the message.

    Raises:
        RefusedCheckpointError: for an empty one, for names that are no strings, for what is no dense tensor, and if
            all are whole numbers.
    """
    wrong = next((each for each in map(_not_a_weight, state, state.values()) if each), "" if state else "nothing")
    if not wrong and not any(weight.is_floating_point() or weight.is_complex() for weight in state.values()):
        wrong = f"whole numbers alone ({next(iter(state.values())).dtype} under {next(iter(state))!r})"
    if wrong:
        raise RefusedCheckpointError(
            where,
            f"must hold a state dict, which maps names of weights to dense tensors, got {wrong}",
            "return such a dict from load=, the function that reads a file, or save one with torch.save",
        )


def _not_a_weight(name: Any, weight: Any) -> str:
    """What is wrong with an entry of a state dict; empty for a weight under its name."""
    if not isinstance(name, str):
        return f"an entry under {shown(name)}"
    if not isinstance(weight, Tensor):
        return f"{shown(weight)} under {name!r}"
    is_sparse = weight.layout is not torch.strided
    kinds = {"nested": weight.is_nested, "sparse": is_sparse, "quantized": weight.is_quantized, "meta": weight.is_meta}
    kind = next((kind for kind, is_so in kinds.items() if is_so), None)
    return f"a {kind} tensor under {name!r}" if kind else ""


def load_into(model: Any, state: StateDict, where: object) -> None:
    """Write a state dict into a model, all of it or nothing.

    Args:
        model: a torch module; a `Transformer` also takes HookedTransformer's names.
        state: name -> tensor.
        where: names the checkpoint in errors.

    Raises:
        ValueError: if names or shapes are not the model's.
    """
    require_fit(model, state, where)
    if _is_canonical(model, state):
        load_canonical(model, dict(state))
    else:
        model.load_state_dict(dict(state))


def require_fit(model: Any, state: StateDict, where: object) -> None:
    """Refuses what `load_into` refuses, and loads nothing.

    Args:
        model: the model to compare with.
        state: name -> weight, of a checkpoint.
        where: its file or name, for the message.

    Raises:
        ValueError: for names or shapes that are not those of the model, and for complex or whole numbers where the
            model has real ones.
    """
    own = canonical_views(model) if _is_canonical(model, state) else model.state_dict()
    missing, unknown = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    reshaped = [
        f"{name} of {tuple(state[name].shape)} for {tuple(own[name].shape)}"
        for name in sorted(set(own) & set(state))
        if state[name].shape != own[name].shape
    ]
    retyped = [
        f"{name} of {state[name].dtype} for {own[name].dtype}"
        for name in sorted(set(own) & set(state))
        if _kind(state[name]) != _kind(own[name]) and own[name].is_floating_point()
    ]
    if retyped and not (missing or unknown or reshaped):
        raise ValueError(
            f"{where} does not fit the model: numbers of another kind, {_some(retyped)}; give a model= with numbers of "
            "the kind that was trained, or load=, a function that converts them"
        )
    if missing or unknown or reshaped:
        raise ValueError(
            f"{where} does not fit the model: missing {_some(missing)}, unknown {_some(unknown)}, other shapes "
            f"{_some(reshaped)}; give the model= (--model on the command line) that was trained (one architecture for "
            "the whole series)"
        )


def loaded_copy(shell: Any, state: StateDict, where: object) -> Any:
    """A copy of a model with the weights of a checkpoint; the shell stays as it is.

    Args:
        shell: a model of the architecture.
        state: name -> weight, of a checkpoint.
        where: its file or name, for the message.
    """
    model = deepcopy(shell)
    load_into(model, state, where)
    return model


def _read(path: Path) -> Any:
    if not path.is_file():
        raise ValueError(f"no file {path}: was it moved or deleted? Open the series again")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if ("weights_only" in str(error) or "Unsupported" in str(error)) and not _first_words(path):
            raise ValueError(
                f"{path} is no checkpoint of tensors alone: it is another kind of file, or it holds Python objects, "
                "which are not executed. If you trust it, give load=lambda path: torch.load(path, weights_only=False); "
                f"{ON_THE_COMMAND_LINE}"
            ) from error
        raise DamagedFileError(_not_a_checkpoint(path, error)) from error
    except UNREADABLE as error:
        raise DamagedFileError(_not_a_checkpoint(path, error)) from error


def _not_a_checkpoint(path: Path, error: Exception) -> str:
    if words := _first_words(path):
        return (
            f"{path} is no checkpoint: it is a text that begins with {words!r}; delete it, or narrow the pattern to "
            "checkpoints"
        )
    reason = str(error).partition("\n")[0]
    reason = type(error).__name__ if reason.isdigit() or not reason else reason  # a KeyError's is a byte
    return f"{path} is no checkpoint or is cut short ({reason}): delete it, or copy it again"


def _first_words(path: Path) -> str:
    """The beginning of a file of text; empty for any other."""
    with path.open("rb") as file:
        begin = file.read(N_READ)
    text = begin.decode("utf-8", errors="ignore")
    is_text = len(text.encode()) > len(begin) - 4 and all(each.isprintable() or each.isspace() for each in text)
    return " ".join(text.split())[:N_SHOWN] if is_text else ""


def _is_canonical(model: Any, state: StateDict) -> bool:
    return isinstance(model, Transformer) and "embed.W_E" in state


def _state_in(found: Any, levels: int) -> Any:
    """The state dict in what was read; what was read where there is none."""
    if not isinstance(found, Mapping) or _is_state_dict(found) or not levels:
        return found
    inner = (_state_in(found.get(name), levels - 1) for name in NESTED)
    return next((each for each in inner if _is_state_dict(each)), found)


def _kind(weight: Tensor) -> tuple[bool, bool]:
    return weight.is_floating_point(), weight.is_complex()


def _is_state_dict(state: Any) -> bool:
    return isinstance(state, Mapping) and bool(state) and all(isinstance(value, Tensor) for value in state.values())


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more if names else "none"
