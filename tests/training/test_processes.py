"""One run on several processes, started by torchrun on a CPU: the same data, the same files, one message."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from grok_interp import Run, StopTraining, run_training, training_preset
from grok_interp.configs import TrainConfig
from grok_interp.files import HOST
from grok_interp.runs.recorder import resume_points
from grok_interp.training import processes, rendezvous
from grok_interp.training.processes import Processes
from grok_interp.training.rendezvous import LostProcessError
from grok_interp.training.sharding import require_shardable

SCRIPT = """
import json, sys
from pathlib import Path
import torch
from grok_interp.configs import TrainConfig
from grok_interp.runs.evaluations import StopTraining
from grok_interp.runs.run_training import run_training
torch.set_num_threads(1)
runs = json.loads(Path(sys.argv[1]).read_text())
stop_at, sharded = int(sys.argv[2]), "sharded" in sys.argv

def on_update(update):
    if update.step == stop_at:
        raise StopTraining

for directory, config in runs.items():
    run_training(Path(directory), TrainConfig.from_dict(config), on_update=on_update, sharded=sharded)
"""
COMMAND = ("-m", "--", "grok_interp.cli")  # without -- torchrun takes --run for an option of its own


def torchrun(number: int, *arguments: object) -> subprocess.Popen:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={number}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*launcher, *map(str, arguments)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def train_together(
    number: int, folder: Path, runs: dict[Path, TrainConfig], *, stop_at: int = 0, sharded: bool = False
) -> None:
    (folder / "train.py").write_text(SCRIPT)
    (folder / "runs.json").write_text(json.dumps({str(at): config.to_dict() for at, config in runs.items()}))
    process = torchrun(number, folder / "train.py", folder / "runs.json", stop_at, "sharded" if sharded else "")
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()


def files(directory: Path) -> list[str]:
    kept = (file.relative_to(directory).as_posix() for file in directory.rglob("*") if file.is_file())
    return sorted(name for name in kept if not name.endswith(".lock"))


def record_of(run: Run) -> dict:
    return json.loads((run.directory / "config.json").read_text())


def assert_equal_to_rounding(ours: Run, theirs: Run) -> None:
    assert list(ours.metrics["step"]) == list(theirs.metrics["step"])
    assert list(ours.metrics["loss"]) == pytest.approx(list(theirs.metrics["loss"]), rel=1e-5)
    assert list(ours.metrics["grad_norm"]) == pytest.approx(list(theirs.metrics["grad_norm"]), rel=1e-3)
    assert ours.steps == theirs.steps
    for step in ours.steps:
        for one, other in zip(ours.load(step).parameters(), theirs.load(step).parameters(), strict=True):
            torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-3)


def test_two_processes_train_what_one_does_and_leave_the_same_files(tiny: TrainConfig, tmp_path: Path) -> None:
    """Copied spans and random windows are drawn for the whole batch; a head is clamped to its mean over it."""
    spans = tiny.with_data(copy_fraction=0.7, random_fraction=0.3)
    modular = replace(training_preset("modular-tiny"), n_steps=6, warmup_steps=0, checkpoint_steps=(0, 3))
    configs = {
        "spans": replace(spans, n_steps=10, intervene=("L0H1 clamp from 3 to 7",)),
        "micro": replace(tiny, n_steps=10, micro_batch_size=1),
        "modular": modular,
    }
    for name, config in configs.items():
        run_training(tmp_path / "alone" / name, config)
    train_together(2, tmp_path, {tmp_path / "together" / name: config for name, config in configs.items()})
    for name in configs:
        alone, together = (Run.open(tmp_path / folder / name) for folder in ("alone", "together"))
        assert_equal_to_rounding(together, alone)
        assert files(together.directory) == files(alone.directory)
        assert record_of(together) == record_of(alone)


@pytest.mark.slow
def test_three_processes_train_what_one_does(tiny: TrainConfig, tmp_path: Path) -> None:
    config = replace(tiny, batch_size=6, n_steps=10)
    alone = run_training(tmp_path / "alone", config)
    train_together(3, tmp_path, {tmp_path / "together": config})
    assert_equal_to_rounding(Run.open(tmp_path / "together"), alone)


def test_a_run_begun_on_one_process_resumes_on_two(tiny: TrainConfig, tmp_path: Path) -> None:
    def until_eight(update) -> None:
        if update.step == 8:
            raise StopTraining

    run_training(tmp_path / "run", tiny, on_update=until_eight)
    train_together(2, tmp_path, {tmp_path / "run": tiny})
    whole = run_training(tmp_path / "whole", tiny)
    assert_equal_to_rounding(Run.open(tmp_path / "run"), whole)


def test_early_stopping_ends_all_processes(tiny: TrainConfig, tmp_path: Path) -> None:
    train_together(2, tmp_path, {tmp_path / "run": tiny}, stop_at=7)
    assert resume_points(tmp_path / "run")[0].stem == "step_00000007"
    assert list(Run.open(tmp_path / "run").metrics["step"]) == list(range(1, 8))


@pytest.mark.slow
def test_sharded_processes_train_what_one_does_and_leave_the_same_files(tiny: TrainConfig, tmp_path: Path) -> None:
    """With tied embeddings too, and from what one process began to what one process ends."""
    modular = replace(training_preset("modular-tiny"), n_steps=6, warmup_steps=0, checkpoint_steps=(0, 3))
    configs = {"micro": replace(tiny, n_steps=10, micro_batch_size=1), "modular": modular, "changing": tiny}

    def until(step: int):
        def on_update(update) -> None:
            if update.step == step:
                raise StopTraining

        return on_update

    for name, config in configs.items():
        run_training(tmp_path / "alone" / name, config, on_update=until(12))
    run_training(tmp_path / "together" / "changing", tiny, on_update=until(4))
    runs = {tmp_path / "together" / name: config for name, config in configs.items()}
    train_together(2, tmp_path, runs, stop_at=12, sharded=True)
    for folder in ("alone", "together"):
        assert resume_points(tmp_path / folder / "changing")[0].stem == "step_00000012"
        run_training(tmp_path / folder / "changing", tiny)
    for name in configs:
        alone, together = (Run.open(tmp_path / folder / name) for folder in ("alone", "together"))
        assert_equal_to_rounding(together, alone)
        assert files(together.directory) == files(alone.directory)
        assert record_of(together) == record_of(alone)


PARTS = """
import torch
from grok_interp.presets import training_preset
from grok_interp.training.batches import open_batches
from grok_interp.training.loop import train_step
from grok_interp.training.state import TrainingState
from grok_interp.training.processes import joined
from grok_interp.training.sharding import has_finite_parts

def n_values(tensors):
    return sum(tensor.to_local().numel() for tensor in tensors)

config = training_preset("modular-tiny")
with joined("cpu", sharded=True) as (processes, device):
    state, batches = TrainingState(config, processes=processes), open_batches(config)
    train_step(state, batches.batch(0, state.device), batches.loss)
    weights = list(state.model.parameters())
    moments = [each["exp_avg"] for each in state.optimizers[0].state.values()]
    own = n_values(weights)
    assert own == n_values(moments) < 0.6 * config.model.n_params, "an odd number of rows has no halves"
    assert processes.total(torch.tensor(own)) == config.model.n_params
    assert has_finite_parts(state.model)
    if not processes.is_first:
        weights[0].detach().to_local()[0] = torch.nan
    assert not has_finite_parts(state.model), "the first process has no such weight, and must know of it"
"""


@pytest.mark.slow
def test_each_process_keeps_its_part_of_weights_and_moments(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(PARTS)
    process = torchrun(2, tmp_path / "parts.py")
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()


def test_a_batch_that_cannot_be_divided_is_refused_once(tiny: TrainConfig, tmp_path: Path) -> None:
    arguments = ["train", "copier-tiny", "--run", tmp_path / "run", "--data.source", tiny.data.source]
    process = torchrun(3, *COMMAND, *arguments)
    _, errors = process.communicate()
    said = re.findall(r"^grok-interp: .*$", errors.decode(), flags=re.MULTILINE)
    expected = "a batch of 4 sequences cannot be divided among 3 processes: give --batch-size a multiple of 3"
    assert len(said) == 1 and expected in said[0]
    assert process.returncode != 0
    assert not (tmp_path / "run").exists()


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_when_a_process_is_killed_all_end_with_one_message_and_the_run_resumes(
    rank: int, tiny: TrainConfig, tmp_path: Path
) -> None:
    length = ["--n-steps", "100000", "--checkpoint-steps", "0"]
    arguments = [*length, "--data.source", tiny.data.source, "--run", tmp_path / "run"]
    process = torchrun(2, *COMMAND, "train", "copier-tiny", *arguments)
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not metrics.exists() or not resume_points(tmp_path / "run"):
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.2)
    ranks = {child: Path(f"/proc/{child}/environ").read_bytes().split(b"\0") for child in children(process.pid)}
    (killed,) = [child for child, environment in ranks.items() if f"RANK={rank}".encode() in environment]
    os.kill(killed, signal.SIGKILL)
    _, errors = process.communicate()
    said = re.findall(r"^grok-interp: .*$", errors.decode(), flags=re.MULTILINE)
    ended = f"one of the 2 processes of this training has ended (rank {rank})"
    assert said == [f"grok-interp: {ended}: the same command resumes from the last resume point"]
    reached = int(resume_points(tmp_path / "run")[0].stem.removeprefix("step_"))
    config = Run.open(tmp_path / "run").config
    started: list[int] = []

    def stop(update) -> None:
        raise StopTraining

    run_training(tmp_path / "run", config, on_start=started.append, on_update=stop)
    assert started == [reached]


# Without other processes


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Any:
    """In place of torchrun's."""
    here: Any = torch.distributed.HashStore()  # pyright: ignore[reportPrivateImportUsage]
    monkeypatch.setattr(rendezvous, "torchruns_store", lambda *_: here)
    return here


def test_a_process_that_was_killed_is_told_from_one_that_left(store: Any) -> None:
    rendezvous.note_process(0)
    sleeping = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    store.set("grok_interp/process1", f"{sleeping.pid}@{HOST}")
    store.set("grok_interp/process2", f"{sleeping.pid}@another-machine")
    assert rendezvous.ended_ranks(3) == []
    sleeping.kill()
    assert rendezvous.ended_ranks(3, seconds=60) == [1], "noticed by its parent or not"
    sleeping.wait()
    assert rendezvous.ended_ranks(3, without_a_word=True) == [1]
    rendezvous.note_leaving(1)
    assert rendezvous.ended_ranks(3) == [1]
    assert rendezvous.ended_ranks(3, without_a_word=True) == []


def test_who_is_interrupted_because_another_was_killed_names_it(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torchrun may notice it first: it interrupts the others."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *_, **__: None)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
    for name, value in {"WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)

    def interrupted() -> None:
        with processes.joined("cpu"):
            raise KeyboardInterrupt

    store.set("grok_interp/process1", f"{os.getpid()}@{HOST}")
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    store.set("grok_interp/process1", f"{gone.pid}@{HOST}")
    with pytest.raises(LostProcessError, match=r"one of the 2 processes of this training has ended \(rank 1\)"):
        interrupted()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_parts_of_a_batch_are_its_rows_in_turns(number: int) -> None:
    batch = torch.arange(6 * 5).view(6, 5)
    parts = [Processes(rank, number).part(batch) for rank in range(number)]
    assert torch.equal(torch.stack(parts, dim=1).flatten(0, 1), batch)


def test_dropout_needs_one_process() -> None:
    Processes(0, 1).require_fit(4, dropout=0.1)
    with pytest.raises(ValueError, match="attention dropout draws its masks within a process: train this run on one"):
        Processes(0, 2).require_fit(4, dropout=0.1)


def test_sharding_needs_several_processes(tiny: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="several processes, and this is one: start it with .torchrun"):
        run_training(tmp_path / "run", tiny, sharded=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"optimizer": "muon", "muon_learning_rate": 0.02}, "Muon"),
        ({"intervene": ("L0H1 zero from 5",)}, "interventions"),
        ({"precision": "float16"}, "float16 with its loss scaling"),
    ],
)
def test_what_needs_whole_weights_is_not_sharded(change: dict, what: str, tiny: TrainConfig) -> None:
    require_shardable(tiny, own_optimizer=False)
    with pytest.raises(ValueError, match=f"cannot be trained with {what}: train it without sharding"):
        require_shardable(replace(tiny, **change), own_optimizer=False)
    with pytest.raises(ValueError, match="an own optimizer"):
        require_shardable(tiny, own_optimizer=True)


def test_other_errors_are_not_taken_for_a_lost_process() -> None:
    with pytest.raises(RuntimeError, match="^shapes differ$"), Processes(0, 2).naming_lost():
        raise RuntimeError("shapes differ")
    with pytest.raises(LostProcessError, match="one of the 2 processes"), Processes(0, 2).naming_lost():
        raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:4711")
