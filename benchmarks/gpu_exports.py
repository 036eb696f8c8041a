"""What leaves a lent GPU of a run: results, metrics, the newest weights and AdamW's moments, in files below 15 MB."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from grok_interp.configs import TrainConfig
from grok_interp.runs.checkpoint_files import load_state, load_weights, save_state, save_weights
from grok_interp.runs.metrics import metric_rows
from grok_interp.runs.record import COPIED, kept_steps, read_record, write_record
from grok_interp.runs.recorder import resume_points

LARGEST = 15_000_000  # bytes of the tensors in a file


def export(directory: Path, out: Path) -> None:
    """Results, metrics, the newest weights and AdamW's moments in bfloat16: what it takes to read it, and to resume.

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
        f"{index}.{name}": tensor if name == "step" else tensor.bfloat16()
        for index, each in state["optimizers"][0]["state"].items()
        for name, tensor in each.items()
    }
    save_parts(out, "adamw", moments, state["step"])


def begin_from_export(out: Path, directory: Path) -> None:
    """A run folder that `run_training` resumes where the export was made, which its config.json says.

    It is the same run statistically, not bitwise: weights and moments were rounded to bfloat16, and Muon's momentum
    begins at zero. Earlier checkpoints are not in it, their results are.
    """
    state, (record, config) = exported_state(out), read_record(out)
    assert isinstance(config, TrainConfig)
    (directory / "resume").mkdir(parents=True, exist_ok=True)
    if (out / "results").exists():
        shutil.copytree(out / "results", directory / "results", dirs_exist_ok=True)
    metrics = directory / "metrics.jsonl"
    metrics.write_bytes(gzip.decompress((out / "metrics.jsonl.gz").read_bytes()))
    state["optimizers"] += [{"state": {}}] * (config.optimizer == "muon")
    state["seconds"] = next((row["seconds"] for row in reversed(list(metric_rows(metrics)))), 0.0)
    save_state(directory / "resume" / f"step_{state['step']:08d}.state", state)
    due = [step for step in kept_steps(record, config) if step >= state["step"]]
    change = {"step": state["step"], "resumed_from": "export: weights and moments in bfloat16, no momentum of Muon"}
    write_record(directory, {**record, COPIED: due, "changes": [*record.get("changes", []), change]})


def exported_state(out: Path) -> dict[str, Any]:
    """Step, weights and AdamW's moments, as a resume point has them."""
    (weights, step), (moments, of_moments) = (load_parts(out, name) for name in ("weights", "adamw"))
    if of_moments != step:
        raise ValueError(f"{out} has weights of step {step} and moments of step {of_moments}: export the run again")
    by_parameter: dict[int, dict[str, Tensor]] = {}
    for key, tensor in moments.items():
        index, name = key.split(".")
        by_parameter.setdefault(int(index), {})[name] = tensor.float()
    model = {name: tensor.float() for name, tensor in weights.items()}
    return {"step": step, "model": model, "optimizers": [{"state": by_parameter}]}


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
