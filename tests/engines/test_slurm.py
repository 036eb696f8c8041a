"""Jobs of submitit: its local executor, and its Slurm with commands that start processes here."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import fake_slurm
import pytest
import torch
from processes import descendants, wait_until_ended

from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.engines.slurm import SlurmEngine
from grok_interp.files import write_text
from grok_interp.runs.checkpoint_files import load_state
from grok_interp.runs.metrics import last_step
from grok_interp.runs.recorder import resume_points
from grok_interp.runs.run import Run

pytestmark = pytest.mark.slow


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs find this file."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


def work(folder: Path, kind: str) -> tuple[str, str]:
    (folder / f"{kind}{os.getpid()}").touch()
    if kind == "wrong":
        raise ValueError("this cell cannot be trained")
    if kind == "always lost" or (kind == "lost once" and len(list(folder.glob("lost once*"))) == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return kind, os.getcwd()


def test_what_is_lost_is_tried_again_and_failures_keep_their_message(
    importable: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("submitit.Job._results_timeout_s", 1)
    engine = SlurmEngine(tmp_path / "jobs", n_retries=1, executor="local")
    kinds = ("well", "wrong", "lost once", "always lost")
    outcomes = {each.name: each for each in engine.map(partial(work, tmp_path), {kind: kind for kind in kinds})}
    assert outcomes["well"].made == ("well", str(tmp_path))
    assert outcomes["lost once"].made == ("lost once", str(tmp_path))
    assert outcomes["wrong"].failure == "this cell cannot be trained"
    assert "Traceback" in outcomes["wrong"].details
    assert outcomes["always lost"].failure.startswith("its job was lost, --retries 1: ")
    assert len(list(tmp_path.glob("always lost*"))) == 2 and len(list(tmp_path.glob("wrong*"))) == 1


def run_for_ever(cell: tuple[Path, bool]) -> None:
    """Or until the one that does has begun."""
    folder, waits = cell
    if not waits:
        write_text(folder / "process", str(os.getpid()))
    while not (waits and (folder / "process").exists()):
        time.sleep(0.05)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # submitit does not wait for processes
def test_all_end_when_the_caller_stops(importable: None, tmp_path: Path) -> None:
    before = descendants()
    engine = SlurmEngine(tmp_path / "jobs", executor="local")
    with closing(engine.map(run_for_ever, {"waits": (tmp_path, True), "runs": (tmp_path, False)})) as outcomes:
        assert next(outcomes).name == "waits"
    wait_until_ended({int((tmp_path / "process").read_text()), *(descendants() - before)})


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_jobs_outlive_a_command_that_is_killed_and_are_not_submitted_twice(
    number: signal.Signals, tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C cancels them: then each writes a resume point, and the same command submits what is left."""
    monkeypatch.setenv("PATH", f"{fake_slurm.install(tmp_path / 'slurm')}{os.pathsep}{os.environ['PATH']}")
    folder, source = tmp_path / "sweep", str(tiny.flattened()["data.source"])
    command = [sys.executable, "-m", "grok_interp.cli", "sweep", "copier-tiny", "--vary", "n_steps=20,1500"]
    command += ["--data.source", source, "--seeds", "1", "--folder", str(folder), "--engine", "slurm"]
    long = folder / "n_steps=1500" / "seed0"
    process = subprocess.Popen([*command, "--slurm", "partition=cpu", "--slurm", "time=30"], stderr=subprocess.PIPE)
    while not last_step(long / "metrics.jsonl"):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate()
    submitted = tmp_path / "slurm" / "jobs"
    script = (submitted / "1.sh").read_text()
    assert "--partition=cpu" in script and "--time=30" in script and "--array=0-1" in script
    if number == signal.SIGINT:
        wait_until_ended({int((submitted / "1_1").read_text())})
        assert process.returncode == 130 and not Run.open(long).is_finished
        while not resume_points(long):  # the job ends after its first process
            time.sleep(0.05)
        assert load_state(resume_points(long)[0], torch.device("cpu"))["step"] > 0

    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout
    assert Run.open(long).is_finished
    assert len(list(submitted.glob("*.sh"))) == (1 if number == signal.SIGKILL else 2)


def test_what_slurm_refuses_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sweep", "modular-tiny", "--folder", str(tmp_path / "sweep"), "--engine", "slurm"]
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert main(command) == 2
    assert "no srun on this machine, give the command on a login node" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [], "nothing was begun"
    monkeypatch.undo()
    monkeypatch.setenv("PATH", f"{fake_slurm.install(tmp_path / 'slurm')}{os.pathsep}{os.environ['PATH']}")
    assert main([*command, "--slurm", "paint=red"]) == 2
    assert "Unknown argument 'paint' for executor 'slurm'" in capsys.readouterr().err
    assert main([*command, "--slurm", "partition=none"]) == 2
    assert "Slurm refused the jobs: sbatch: error: invalid partition specified: none" in capsys.readouterr().err
    assert not (tmp_path / "sweep").exists()
