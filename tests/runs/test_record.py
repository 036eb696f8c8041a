"""config.json of a run from anybody: refused with the file and the reasons, before anything is allocated."""

import json
import os
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.presets import training_preset
from grok_interp.runs.checkpoint_files import load_weights, save_weights
from grok_interp.runs.record import is_run
from grok_interp.runs.run import Run
from grok_interp.training.loop import train

COPYING, MODULAR = training_preset("copier-tiny").to_dict(), training_preset("modular-tiny").to_dict()
A_MEGABYTE, SECONDS = 2**20, 0.5


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(text)
    return folder


def edited(values: dict[str, Any], name: str, value: object) -> dict[str, Any]:
    *parts, last = name.split(".")
    record = json.loads(json.dumps({"train": values, "data": {"hash": "a" * 64, "description": "text"}}))
    part = record
    for each in parts:
        part = part[each]
    part[last] = value
    return record


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("train", 3, "TrainConfig: its fields are needed"),
        ("train", [], "TrainConfig: its fields are needed"),
        ("train.model", None, "ModelConfig: its fields are needed, got NoneType"),
        ("train.model", "big", "ModelConfig: its fields are needed, got str"),
        ("train.data", [1], "its fields are needed, data among them"),
        ("train.data.kind", ["text"], r"data must be of kind text or modular, got \['text'\]"),
        ("train.model.n_layers", "2", "n_layers must be an integer below 2.53, got '2'"),
        ("train.model.n_layers", 2.0, "n_layers must be an integer below 2.53, got 2.0"),
        ("train.model.n_layers", True, "n_layers must be an integer below 2.53, got True"),
        ("train.model.n_layers", None, "n_layers must be an integer below 2.53, got None"),
        ("train.model.n_layers", 10**9, "n_layers must be at most 10,000, got 1,000,000,000"),
        ("train.model.n_layers", 10**400, "n_layers must be an integer below 2.53, got 1000"),
        ("train.model.n_heads", 10**6, "n_heads must be at most 10,000, got 1,000,000"),
        ("train.model.d_vocab", 10**9, "d_vocab must be at most 10,000,000, got 1,000,000,000"),
        ("train.model.act_fn", {}, "act_fn must be a string, got dict"),
        ("train.model.gated_mlp", 1, "gated_mlp must be true or false, got 1"),
        ("train.model.eps", "small", "eps must be a number, got 'small'"),
        ("train.data.source", 7, "source must be a string, got 7"),
        ("train.data.segment_lengths", [1], "segment_lengths must be a list of an integer"),
        ("train.data.segment_lengths", [1, "9"], "segment_lengths must be a list of an integer"),
        ("train.data.segment_lengths", 9, "segment_lengths must be a list .* got 9"),
        ("train.checkpoint_steps", [[1]], "checkpoint_steps must be a list of an integer below 2.53, got tuple"),
        ("train.checkpoint_steps", None, "checkpoint_steps must be a list"),
        ("train.n_steps", 10**12, "n_steps must be at most 1,000,000,000"),
        ("train.batch_size", 10**12, "batch_size must be at most 100,000,000"),
        ("train.betas", [0.9, None], "betas must be a list of a number and a number"),
        ("train.learning_rate", 10**400, "learning_rate must be a number"),
        ("train.muon_learning_rate", [], "muon_learning_rate must be a number or null, got tuple"),
        ("train.data_seed", -1, "data_seed must not be negative, got -1"),
        ("data", "text", "data must have the fields hash, description"),
        ("data.hash", 7, "data.hash must be of type str"),
        ("execution", {"threads": 2}, "execution must have the fields precision, n_threads, compiled"),
        (
            "execution",
            {"precision": "float32", "n_threads": 10**9, "compiled": False},
            r"execution.n_threads must be within 1\.\.4096, got 1000000000",
        ),
        (
            "execution",
            {"precision": "float3", "n_threads": 1, "compiled": False},
            "execution.precision must be float32, bfloat16 or float16, got 'float3'",
        ),
    ],
)
def test_a_wrong_type_or_size_is_refused_by_name_at_once(name: str, value: object, reason: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "run", json.dumps(edited(COPYING, name, value)))
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(ValueError, match=rf"config\.json is not valid \(.*{reason}.*\): restore it"):
            Run.open(folder)
        assert time.process_time() - began < SECONDS
        assert tracemalloc.get_traced_memory()[1] < A_MEGABYTE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("p", [1_000_000_000_000_000_003, 9_007_199_254_740_881, 2_003])
def test_a_large_p_is_refused_before_it_is_found_to_be_a_prime(p: int, tmp_path: Path) -> None:
    folder = write(tmp_path / "run", json.dumps(edited(MODULAR, "train.data.p", p)))
    began = time.process_time()
    with pytest.raises(ValueError, match=r"p must be (at most 2,000|an integer below 2.53)"):
        Run.open(folder)
    assert time.process_time() - began < SECONDS


BAD_FILES = {
    "empty": "",
    "cut": json.dumps({"train": COPYING})[:100],
    "deep": "[" * 200_000 + "]" * 200_000,
    "digits": '{"train": ' + "9" * 5_000 + "}",
    "large": " " * (2**24 + 1),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_damaged_file_is_named(name: str, tmp_path: Path, capsys) -> None:
    folder = write(tmp_path / "run", BAD_FILES[name])
    assert not is_run(folder)
    with pytest.raises(ValueError, match=r"config\.json (is damaged|is not valid|has 16,777,217 bytes)"):
        Run.open(folder)
    for verb in ("report", "analyze", "watch"):
        assert main([verb, str(folder)]) == 2
        assert str(folder / "config.json") in capsys.readouterr().err


def a_folder_in_its_place(folder: Path) -> None:
    (folder / "config.json").mkdir(parents=True)


def a_pipe_in_its_place(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / "config.json")  # reading it would wait forever


def latin_1(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_bytes(b'{"train": "\xff"}')


@pytest.mark.parametrize(
    ("make", "is_named"),
    [
        *[(lambda folder, text=text: write(folder, text), True) for text in BAD_FILES.values()],
        (lambda folder: write(folder, json.dumps(edited(COPYING, "train.model.n_layers", 10**9))), True),
        (lambda folder: write(folder, '{"architectures": ["LlamaForCausalLM"]}'), False),
        (lambda folder: write(folder, "[1, 2]"), False),
        (a_folder_in_its_place, False),
        (a_pipe_in_its_place, False),
        (latin_1, True),
    ],
)
def test_a_foreign_or_damaged_folder_never_breaks_the_list(
    make: Callable[[Path], object], is_named: bool, tmp_path: Path, capsys
) -> None:
    Run.create(tmp_path / "good", training_preset("modular-tiny"))
    make(tmp_path / "bad")
    assert main(["list", "--folder", str(tmp_path), "--json"]) == 0
    printed = capsys.readouterr()
    assert [row["run"] for row in json.loads(printed.out)] == [str(tmp_path / "good")]
    assert (f"left out: {tmp_path / 'bad'}: " in printed.err) == is_named


def test_weights_of_another_size_than_the_config_says_are_refused_before_a_model_is_built(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.write(tmp_path / "run", tiny, train(replace(tiny, n_steps=5)))
    weights, _ = load_weights(run.checkpoints.path(5))
    save_weights(run.checkpoints.path(5), weights, {"step": "5"})  # as before checkpoints named their config
    (run.directory / "config.json").write_text(json.dumps({"train": tiny.with_model(n_heads=9_999).to_dict()}))
    monkeypatch.setattr("grok_interp.models.transformer.Transformer", lambda *_, **__: pytest.fail("a model was built"))
    with pytest.raises(ValueError, match=r"step_00000005.* has .* parameters, the config of its run says "):
        Run.open(run.directory).load(5)
