"""What is exported from a GPU: files of limited size, which can be read back."""

import importlib.util
from pathlib import Path

import pytest
import torch

from grok_interp import Transformer, preset

spec = importlib.util.spec_from_file_location(
    "gpu_exports", Path(__file__).parent.parent / "benchmarks" / "gpu_exports.py"
)
assert spec and spec.loader
gpu_exports = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gpu_exports)


def test_tensors_are_in_files_of_limited_size_and_read_back_equal(tmp_path: Path) -> None:
    tensors = {f"layer{n}": torch.randn(7, 11 * n, generator=torch.Generator().manual_seed(n)) for n in range(1, 6)}
    gpu_exports.save_parts(tmp_path, "weights", tensors, 37, largest=2_000)
    files = list(tmp_path.iterdir())
    assert len(files) == 3
    assert max(file.stat().st_size for file in files) < 2_000 + 1_000  # the header
    found, step = gpu_exports.load_parts(tmp_path, "weights")
    assert step == 37
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_the_papers_modular_model_is_in_files_below_16_megabytes(tmp_path: Path) -> None:
    weights = Transformer(preset("modular-paper-d4"), seed=0).state_dict()
    gpu_exports.save_parts(tmp_path, "weights", {name: each.bfloat16() for name, each in weights.items()}, 0)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["weights_0.safetensors", "weights_1.safetensors"]
    assert max(file.stat().st_size for file in tmp_path.iterdir()) < 16_000_000


def test_parts_of_two_steps_or_a_missing_part_are_refused(tmp_path: Path) -> None:
    for step, folder in ((1, tmp_path / "old"), (2, tmp_path / "new")):
        gpu_exports.save_parts(folder, "weights", {"a": torch.ones(3), "b": torch.ones(3)}, step, largest=12)
    (tmp_path / "old/weights_1.safetensors").unlink()
    with pytest.raises(ValueError, match="all parts of weights of one step"):
        gpu_exports.load_parts(tmp_path / "old", "weights")
    (tmp_path / "new/weights_1.safetensors").rename(tmp_path / "old/weights_1.safetensors")
    with pytest.raises(ValueError, match="all parts of weights of one step"):
        gpu_exports.load_parts(tmp_path / "old", "weights")
