"""Plans: arithmetic by hand, sizes against the files of a real run, and what a reader is told."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grok_interp.runs.plan import TrainingPlan, training_plan
from grok_interp.runs.run_training import run_training
from grok_interp.configs import TrainConfig
from grok_interp.presets import training_preset
from grok_interp.training.costs import TrainingCosts

GB = 10**9
COSTS = TrainingCosts(
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
    known = dict(config=config, costs=COSTS, data="a poem", device="abacus", device_memory=20 * GB)
    disk = dict(directory=Path("there"), free_disk=100 * GB, checkpoint_file=2 * GB, resume_file=5 * GB)
    return TrainingPlan(**{**known, **disk, **changes})


def test_totals_by_hand() -> None:
    assert (plan().n_micro_batches, plan().n_tokens, plan().n_checkpoints) == (3, 7 * 12 * 64, 3)
    assert plan().memory == (1 + 1 + 2 + 1 + 4 * 3) * GB
    assert plan().seconds == 7 * (12 * 0.5 + 4.0)
    assert plan().disk == (3 * 2 + 3 * 5) * GB


def test_without_micro_batches_the_batch_is_one() -> None:
    whole = plan(config=replace(plan().config, micro_batch_size=None))
    assert (whole.micro_batch_size, whole.n_micro_batches) == (12, 1)


def test_the_table_is_read_by_eye() -> None:
    assert str(plan()).splitlines() == [
        "parameters     13,392",
        "tokens         5,376 in 7 updates of 768",
        "data           a poem",
        "an update      12 sequences of 64 tokens, in 3 micro-batches of 4",
        "device         abacus",
        "memory         17 GB of 20 GB: weights 1 GB, gradients 1 GB, optimizer 2 GB, a micro-batch 13 GB",
        "time           70 s, 10 s an update: 77 tokens/s, measured on 192 tokens; reading text and saving come on top",
        "checkpoints    3 of 2 GB",
        "resume points  2 of 5 GB, and a third while it is written",
        "disk           21 GB of 100 GB free at there",
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
    assert str(plan(free_disk=20 * GB)).splitlines()[-1] == (
        "WARNING: 21 GB of disk are needed, 20 GB are free: keep fewer checkpoints with --checkpoint-tokens, or choose "
        "another --run"
    )


@pytest.mark.parametrize("name", ["copier-tiny", "modular-tiny"])
def test_sizes_are_those_of_the_files_that_a_run_writes(name: str, text_file: Path, own_cache, tmp_path: Path) -> None:
    config = training_preset(name)
    if name == "copier-tiny":
        config = config.with_data(source=str(text_file))
    planned = training_plan(config, directory=tmp_path / "run")
    series = run_training(tmp_path / "run", config, resume_seconds=0)
    assert [series.checkpoints.path(step).stat().st_size for step in series.steps] == [planned.checkpoint_file] * 5
    resumed = [file.stat().st_size for file in (tmp_path / "run" / "resume").glob("*.state")]
    assert resumed == [pytest.approx(planned.resume_file, rel=0.01)] * 2


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
