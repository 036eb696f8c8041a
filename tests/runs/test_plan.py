"""Plans: arithmetic by hand, bytes counted by hand and against the files of a real run, and what a reader is told."""

import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.presets import training_preset
from grok_interp.runs import plan as plan_module
from grok_interp.runs.plan import TrainingPlan, kept_bytes, random_batch, training_plan
from grok_interp.runs.run_training import run_training
from grok_interp.training.state import TrainingState

GB = 10**9
NAMES, STATE_NAMES = 5_000, 25_000  # bytes for the names and shapes of tensors, which files of tiny models are full of
COSTS = dict(
    weights=1 * GB,
    optimizer=2 * GB,
    kept_once=1 * GB,
    kept_per_sequence=2 * GB,
    logits_per_sequence=1 * GB,
    seconds_per_sequence=0.5,
    seconds_per_update=4.0,
    n_timed=3,
)


def plan(**changes: Any) -> TrainingPlan:
    """Of a run of 7 updates of 12 sequences of 64 tokens, in 3 micro-batches, with checkpoints at 0, 5 and 7."""
    config = replace(training_preset("copier-tiny"), n_steps=7, batch_size=12, micro_batch_size=4)
    known = dict(config=config, data="a poem", device="abacus", device_memory=20 * GB)
    disk = dict(directory=Path("there"), free_disk=100 * GB)
    return TrainingPlan(**{**known, **disk, **COSTS, **changes})


def test_totals_by_hand() -> None:
    assert plan().memory() == (1 + 1 + 2 + 1 + 4 * 3) * GB
    assert plan().seconds == 7 * (12 * 0.5 + 4.0)
    assert plan().disk == (3 * 1 + 3 * (1 + 2)) * GB


def test_without_micro_batches_the_batch_is_one() -> None:
    whole = plan(config=replace(plan().config, micro_batch_size=None))
    assert whole.facts()["an update"] == "12 sequences of 64 tokens, in 1 micro-batch of 12"


def test_the_table_is_read_by_eye() -> None:
    assert str(plan()).splitlines() == [
        "parameters     13,392",
        "tokens         5,376 in 7 updates of 768",
        "data           a poem",
        "an update      12 sequences of 64 tokens, in 3 micro-batches of 4",
        "device         abacus",
        "memory         17 GB of 20 GB: weights 1 GB, gradients 1 GB, optimizer 2 GB, a micro-batch 13 GB",
        "time           70 s, 10 s an update: 77 tokens/s, measured on 192 tokens; reading text and saving come on top",
        "checkpoints    3 of 1 GB",
        "resume points  2 of 3 GB, and a third while it is written",
        "disk           12 GB of 100 GB free at there",
    ]


def test_too_little_memory_is_told_with_the_micro_batch_that_fits() -> None:
    assert list(plan(device_memory=16 * GB).warnings()) == [
        "17 GB of memory are needed, there are 16 GB: --micro-batch-size 3 needs 14 GB"
    ]
    assert list(plan(device_memory=7 * GB).warnings()) == [
        "17 GB of memory are needed, there are 7 GB: even one sequence needs 8 GB, take a smaller model"
    ]


def test_the_micro_batch_that_fits_divides_the_batch() -> None:
    """5 sequences would fit, but 12 are not split into fives."""
    (warning,) = plan(config=replace(plan().config, micro_batch_size=6), device_memory=21 * GB).warnings()
    assert warning.endswith("--micro-batch-size 4 needs 17 GB")


def test_too_little_disk_is_told_with_what_helps() -> None:
    assert str(plan(free_disk=11 * GB)).splitlines()[-1] == (
        "WARNING: 12 GB of disk are needed, 11 GB are free: keep fewer checkpoints with --checkpoint-tokens, or choose "
        "another --run"
    )


@pytest.mark.parametrize("name", ["copier-tiny", "modular-tiny"])
def test_sizes_are_those_of_the_files_that_a_run_writes(name: str, text_file: Path, own_cache, tmp_path: Path) -> None:
    config = training_preset(name)
    if name == "copier-tiny":
        config = config.with_data(source=str(text_file))
    planned = training_plan(config, directory=tmp_path / "run")
    series = run_training(tmp_path / "run", config, resume_seconds=0)
    written = [series.checkpoints.path(step).stat().st_size for step in series.steps]
    assert written == [pytest.approx(planned.weights, abs=NAMES)] * 5
    resumed = [file.stat().st_size for file in (tmp_path / "run" / "resume").glob("*.state")]
    assert resumed == [pytest.approx(planned.weights + planned.optimizer, abs=STATE_NAMES)] * 2


def test_planning_writes_nothing_and_asks_the_nearest_folder_for_its_disk(tiny: TrainConfig, tmp_path: Path) -> None:
    planned = training_plan(tiny, directory=tmp_path / "not" / "yet")
    assert list(tmp_path.iterdir()) == []
    assert planned.free_disk > 10**6
    assert list(planned.warnings()) == []


@pytest.mark.parametrize(("vocabulary", "times"), [("bytes", "read 2 times"), ("bpe", "read at least 2 times")])
def test_local_text_is_weighed(vocabulary: Any, times: str, tmp_path: Path) -> None:
    """5,120 training tokens from 2,560 bytes that are not set aside."""
    (tmp_path / "a.txt").write_text("a" * 2_000)
    (tmp_path / "b.txt").write_text("b" * 1_200)
    data = dict(source=str(tmp_path), vocabulary=vocabulary, validation_fraction=0.2)
    config = training_preset("copier-tiny").with_data(**data)
    assert training_plan(config, directory=tmp_path).data == f"{tmp_path}: 3.2 kB in 2 files, {times}"


def test_a_data_set_of_the_hub_is_not_looked_for(tiny: TrainConfig, tmp_path: Path) -> None:
    planned = training_plan(tiny.with_data(source="hub:no/such"), directory=tmp_path)
    assert planned.data == "hub:no/such, not looked at: a dry run downloads nothing"


def test_text_that_is_missing_is_refused_before_anything_is_measured(tiny: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no corpus at '/no/where'"):
        training_plan(tiny.with_data(source="/no/where"), directory=tmp_path)


@pytest.fixture(scope="module")
def tiny_plan(tmp_path_factory: pytest.TempPathFactory) -> TrainingPlan:
    return training_plan(training_preset("copier-tiny"), directory=tmp_path_factory.mktemp("plan"))


def test_memory_is_weights_gradients_optimizer_and_one_micro_batch() -> None:
    parts = dict(weights=1_000, optimizer=2_000, kept_once=70, kept_per_sequence=5, logits_per_sequence=3)
    assert plan(**parts).memory(10) == 1_000 + 1_000 + 2_000 + 70 + 10 * (5 + 3)


def test_bytes_of_the_tiny_copier_counted_by_hand(tiny_plan: TrainingPlan) -> None:
    embeddings, norms = 2 * 256 * 16, 5 * 16  # vocabulary x d_model, in and out
    matrices = 2 * (4 * 16 * 16 + 3 * 16 * 32)  # two layers: q k v o, and gate, in, out
    n_tensors = 2 + 5 + 2 * 4  # qkv is one tensor, gate and in are one
    assert tiny_plan.weights == 4 * (embeddings + norms + matrices)
    assert tiny_plan.optimizer == 2 * tiny_plan.weights + 4 * n_tensors, (
        "two moments, and a step counter for each tensor"
    )
    assert tiny_plan.logits_per_sequence == 2 * 4 * 64 * 256, "64 positions, 256 tokens: logits and gradient in float32"


def test_a_linear_map_keeps_its_input() -> None:
    """And the cross-entropy after it keeps log-probabilities, targets and the sum of their weights."""
    state = TrainingState(training_preset("copier-tiny"))
    linear: Any = nn.Sequential(nn.Embedding(256, 16), nn.Linear(16, 256, bias=False))
    state.model = state.wrapped = linear
    tokens = 7 * 8  # int64; inputs and targets are two views of the seven tokens of the window
    assert kept_bytes(state, random_batch(state.config, 1)[:, :7].clone()) == tokens + 6 * 16 * 4 + 6 * 256 * 4 + 4


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["copier-tiny", "modular-tiny"])
def test_kept_bytes_grow_with_the_sequences_as_extrapolated(name: str, precision: str, tmp_path: Path) -> None:
    state = TrainingState(config := replace(training_preset(name), precision=precision))
    planned = training_plan(config, directory=tmp_path)
    for n_sequences in (2, 3, 16):
        expected = planned.kept_once + n_sequences * planned.kept_per_sequence
        assert kept_bytes(state, random_batch(state.config, n_sequences)) == pytest.approx(expected, rel=0.005)


def test_bfloat16_keeps_a_copy_of_the_matrices_once_and_less_for_each_sequence(tiny_plan: TrainingPlan) -> None:
    halves = training_plan(replace(tiny_plan.config, precision="bfloat16"), directory=tiny_plan.directory)
    cast = 2 * (256 * 16 + 2 * (4 * 16 * 16 + 3 * 16 * 32))  # all matrices but the embedding, two bytes each
    assert halves.kept_once - tiny_plan.kept_once == pytest.approx(cast, rel=0.02)
    assert halves.kept_per_sequence < tiny_plan.kept_per_sequence


def test_the_whole_micro_batch_of_a_small_model_is_timed(tiny_plan: TrainingPlan) -> None:
    assert tiny_plan.n_timed == 4
    assert tiny_plan.seconds_per_sequence > 0
    assert tiny_plan.seconds_per_update > 0


@pytest.mark.parametrize("name", ["copier-tiny", "modular-tiny"])
def test_deep_models_are_counted_layer_by_layer(name: str, tmp_path: Path) -> None:
    config = training_preset(name).with_model(n_layers=5)
    config = replace(config, intervene=("L4H1 zero from 5",))
    planned, state = training_plan(config, directory=tmp_path), TrainingState(config)
    assert planned.weights == sum(parameter.nbytes for parameter in state.model.parameters())
    for n_sequences in (1, 2):
        expected = planned.kept_once + n_sequences * planned.kept_per_sequence
        assert kept_bytes(state, random_batch(config, n_sequences)) == expected


def test_a_model_that_does_not_fit_is_told_of_and_allocates_nothing(
    text_file: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    """55 GB of weights: the model is never built, and nothing is timed."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    monkeypatch.setattr(plan_module, "_timed", lambda *_: pytest.fail("timed what does not fit"))
    monkeypatch.setattr(plan_module, "memory_of", lambda *_, **__: ("an abacus", 20 * GB, 10 * GB))
    command = ["train", "copier-paper", "--dry-run", "--data.source", str(text_file), "--model.d-model", "65536"]
    assert main([*command, "--run", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr().out
    assert "weights 55.4 GB" in printed
    assert "time           not measured: training on one sequence does not fit the free memory" in printed
    assert "there are 20 GB: even one sequence needs" in printed and "take a smaller model" in printed
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 1 * GB


def test_what_is_free_decides_how_many_sequences_are_timed(tiny: TrainConfig, tmp_path: Path, monkeypatch) -> None:
    whole = training_plan(tiny, directory=tmp_path)
    for n in (1, 3):
        free = int(whole.memory(n) / plan_module.USABLE) + 1000
        monkeypatch.setattr(plan_module, "memory_of", lambda *_, free=free, **__: ("an abacus", 20 * GB, free))
        assert training_plan(tiny, directory=tmp_path).n_timed == n


def test_measuring_leaves_the_callers_random_state_alone(tiny: TrainConfig, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    training_plan(tiny.with_model(attn_dropout=0.1), directory=tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_random_batches_have_the_shape_that_is_trained_on() -> None:
    text, modular = training_preset("copier-tiny"), training_preset("modular-tiny")
    assert random_batch(text, 3).shape == (3, 65), "the token after the context is predicted, too"
    assert random_batch(modular, 3).shape == (3, 24)
    assert int(random_batch(modular, 300).max()) == 4
