"""A Ray of our own on this machine: retries, messages, shared GPUs, and a sweep that is killed halfway."""

import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from processes import descendants, wait_until_ended

from grok_interp.configs import TrainConfig
from grok_interp.engines.ray import GRACE_SECONDS, OWN_RAY, RayEngine, _cancel
from grok_interp.runs.checkpoint_files import load_state
from grok_interp.runs.metrics import last_step
from grok_interp.runs.recorder import resume_points
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
COMMAND = [sys.executable, "-m", "grok_interp.cli", "sweep", "copier-tiny", "--seeds", "1", "--engine", "ray"]
LONG = 1500  # updates: more than are made before the signal comes


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find this file."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))


class RayError(Exception):
    """In place of Ray's."""


def addresses_listened_to(processes: set[int]) -> set[str]:
    """In hexadecimal, as /proc has them."""
    links = []
    for process in processes:
        try:
            links += [os.readlink(link) for link in Path(f"/proc/{process}/fd").iterdir()]
        except OSError:
            continue
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [line.split() for lines in tables for line in lines]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in links}


def work(folder: Path, kind: str) -> tuple[str, str]:
    tries = folder / f"{kind}{os.getpid()}"
    tries.touch()
    if kind == "wrong":
        raise ValueError("this cell cannot be trained")
    if kind == "always lost" or (kind == "lost once" and len(list(folder.glob("lost once*"))) == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return kind, os.getcwd()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_what_is_lost_is_tried_again_and_failures_keep_their_message(
    importable: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before, environment = descendants(), dict(os.environ)
    handler = signal.getsignal(signal.SIGTERM)
    kinds = ("well", "wrong", "lost once", "always lost")
    outcomes, addresses = {}, set()
    for outcome in RayEngine(n_jobs=2, n_retries=1).map(partial(work, tmp_path), {kind: kind for kind in kinds}):
        outcomes[outcome.name] = outcome
        addresses |= addresses_listened_to(descendants())
        assert signal.getsignal(signal.SIGTERM) == handler
    assert outcomes["well"].made == ("well", str(tmp_path))
    assert outcomes["lost once"].made == ("lost once", str(tmp_path))
    assert outcomes["wrong"].failure == "this cell cannot be trained"
    assert "Traceback" in outcomes["wrong"].details
    assert outcomes["always lost"].failure.startswith("its process was lost, --retries 1: WorkerCrashedError: ")
    assert len(list(tmp_path.glob("always lost*"))) == 2 and len(list(tmp_path.glob("wrong*"))) == 1
    assert addresses == {"0100007F", "0000000000000000FFFF00000100007F"}, "this machine only"
    wait_until_ended(descendants() - before)
    assert capsys.readouterr().out == ""
    assert dict(os.environ) == environment


@pytest.mark.parametrize("error", [TypeError, ValueError, RayError])
def test_a_cancellation_that_ray_refuses_does_not_hide_the_interrupt(error: type[Exception]) -> None:
    """And only what has not ended is killed: for another, Ray aborts the process of the caller."""
    asked: list[tuple[str, bool]] = []

    def cancel(task: str, *, force: bool = False) -> None:
        asked.append((task, force))
        raise error("No owner found for object.")

    def wait(tasks: list[str], *, num_returns: int, timeout: float) -> tuple[list[str], list[str]]:
        assert tasks == ["one", "two"] and num_returns == 2 and timeout == GRACE_SECONDS
        return ["one"], ["two"]

    ray = SimpleNamespace(cancel=cancel, wait=wait, exceptions=SimpleNamespace(RayError=RayError))
    with pytest.raises(KeyboardInterrupt):
        try:
            raise KeyboardInterrupt
        finally:
            _cancel(ray, ["one", "two"])
    assert asked == [("one", False), ("two", False), ("two", True)]


@pytest.mark.parametrize("on_a_cluster", [False, True])
def test_memory_that_others_fill_makes_no_cell_start_again_without_end(
    on_a_cluster: bool, importable: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster has Ray's memory monitor on."""
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")  # of the machine's
    if on_a_cluster:
        monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "250")
    engine = RayEngine(n_jobs=1, n_retries=1)
    (outcome,) = engine.map(partial(work_for_a_while, tmp_path), {"one": 5.0})
    if not on_a_cluster:
        assert outcome.made == 5.0
        assert len(list(tmp_path.iterdir())) == 1
    else:
        assert outcome.failure.startswith("its process was lost, --retries 1: OutOfMemoryError: ")


def work_for_a_while(folder: Path, seconds: float) -> float:
    (folder / f"try{os.getpid()}").touch()
    time.sleep(seconds)
    return seconds


def test_a_package_that_a_node_does_not_have_is_named() -> None:
    (outcome,) = RayEngine(n_jobs=1).map(meet, {"one": "cell"})
    assert outcome.failure == "not begun: ModuleNotFoundError: No module named 'test_ray'"


def test_a_cluster_that_is_not_there_is_named() -> None:
    with pytest.raises(
        ValueError, match="no Ray cluster answers at --ray-address 127.0.0.1:1: start one with `ray start"
    ):
        list(RayEngine(address="127.0.0.1:1").map(meet, {"one": "cell"}))


def meet(folder: Path, name: str) -> str:
    """Comes back when three cells are worked on at once."""
    (folder / name).touch()
    while not all((folder / each).exists() for each in ("one", "two", "three")):
        time.sleep(0.05)
    return os.environ["CUDA_VISIBLE_DEVICES"]


def test_cells_share_a_gpu_and_all_end_when_the_caller_stops(
    importable: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray counts GPUs and hides them; no program of the test uses one."""
    for name, value in OWN_RAY.items():
        monkeypatch.setenv(name, value)
    import ray

    with pytest.raises(ValueError, match="--gpus-per-job 0.5, and Ray sees 0 on this machine"):
        list(RayEngine(n_gpus=0.5).map(meet, {"one": 1}))
    ray.init("local", num_cpus=3, num_gpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        cells = {name: name for name in ("one", "two", "three")}
        found = list(RayEngine(n_gpus=0.25).map(partial(meet, tmp_path), cells))
        assert [(outcome.made, outcome.failure) for outcome in found] == [("0", "")] * 3
        assert ray.is_initialized(), "not ours to end"
        with closing(RayEngine().map(run_for_ever, {"waits": (tmp_path, True), "runs": (tmp_path, False)})) as outcomes:
            assert next(outcomes).name == "waits"
        assert (tmp_path / "ended").exists(), "Ray keeps the process for others"
    finally:
        ray.shutdown()


def run_for_ever(cell: tuple[Path, bool]) -> None:
    """Or until the one that does has begun."""
    folder, waits = cell
    try:
        if not waits:
            (folder / "begun").touch()
        while not (waits and (folder / "begun").exists()):
            time.sleep(0.05)
    finally:
        if not waits:
            (folder / "ended").touch()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_sweep_that_is_killed_halfway_is_finished_by_the_same_command(
    number: signal.Signals, tiny: TrainConfig, tmp_path: Path
) -> None:
    folder, source = tmp_path / "sweep", str(tiny.flattened()["data.source"])
    short, long = (folder / f"n_steps={n_steps}" / "seed0" for n_steps in (20, LONG))
    command = [*COMMAND, "--vary", f"n_steps=20,{LONG}", "--data.source", source, "--folder", str(folder)]
    before = descendants()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    checkpoint = short / "checkpoints" / "step_00000020.safetensors"
    while not (checkpoint.exists() and last_step(long / "metrics.jsonl")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    started = descendants() - before
    process.send_signal(number)
    _, said = process.communicate()
    wait_until_ended(started)
    assert not Run.open(long).is_finished
    if number == signal.SIGTERM:
        assert process.returncode == 130 and "interrupted: nothing is lost" in said, said
        assert load_state(resume_points(long)[0], torch.device("cpu"))["step"] > 0
    trained = checkpoint.stat().st_mtime_ns

    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"2 runs in {folder}" in done.stdout and "finished" in done.stdout and "failed" not in done.stdout
    assert checkpoint.stat().st_mtime_ns == trained, "nothing is trained twice"
    alone = run_training(tmp_path / "alone", replace(tiny, n_steps=LONG))
    assert Run.open(long).checkpoints.checksum(LONG) == alone.checkpoints.checksum(LONG)
