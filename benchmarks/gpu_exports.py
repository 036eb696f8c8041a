"""What leaves a lent GPU of a run: results, metrics, the newest weights and AdamW's moments, in files below 15 MB."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from grok_interp.runs.checkpoint_files import load_state, load_weights, save_weights
from grok_interp.runs.recorder import resume_points

LARGEST = 15_000_000  # bytes of the tensors in a file


def export(directory: Path, out: Path) -> None:
    """The newest weights in bfloat16, AdamW's moments, results and metrics: what it takes to read it, and to go on.

    Muon's momentum is left out: some fifty updates make it anew.
    """
    out.mkdir(parents=True, exist_ok=True)
    if (directory / "results").exists():
        shutil.copytree(directory / "results", out / "results", dirs_exist_ok=True)
    shutil.copy(directory / "config.json", out)
    (out / "metrics.jsonl.gz").write_bytes(gzip.compress((directory / "metrics.jsonl").read_bytes()))
    state = load_state(resume_points(directory)[0], torch.device("cpu"))
    save_parts(out, "weights", {name: tensor.bfloat16() for name, tensor in state["model"].items()}, state["step"])
    moments = {
        f"{index}.{name}": tensor
        for index, each in state["optimizers"][0]["state"].items()
        for name, tensor in each.items()
    }
    save_parts(out, "adamw", moments, state["step"])


def save_parts(folder: Path, name: str, tensors: Mapping[str, Tensor], step: int, *, largest: int = LARGEST) -> None:
    """Into weights_0.safetensors and so on: each holds one tensor, or several of at most `largest` bytes together."""
    parts: list[dict[str, Tensor]] = [{}]
    for key, tensor in tensors.items():
        if parts[-1] and sum(each.nbytes for each in parts[-1].values()) + tensor.nbytes > largest:
            parts.append({})
        parts[-1][key] = tensor
    for number, part in enumerate(parts):
        save_weights(folder / f"{name}_{number}.safetensors", part, {"step": str(step), "parts": str(len(parts))})


def load_parts(folder: Path, name: str) -> tuple[dict[str, Tensor], int]:
    """(tensors, step). Raises ValueError unless all parts are there and of one step."""
    found = [load_weights(file) for file in folder.glob(f"{name}_*.safetensors")]
    steps = {metadata["step"] for _, metadata in found}
    if len(steps) != 1 or {metadata["parts"] for _, metadata in found} != {str(len(found))}:
        raise ValueError(f"{folder} does not hold all parts of {name} of one step: export the run again")
    return {key: tensor for tensors, _ in found for key, tensor in tensors.items()}, int(steps.pop())
