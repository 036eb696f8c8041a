"""Options of engines that are refused, and a missing package, before anything is written."""

import sys
from pathlib import Path

import pytest

from grok_interp.cli import main
from grok_interp.cli.engines import EngineOptions
from grok_interp.engines.local import LocalEngine
from grok_interp.engines.ray import RayEngine
from grok_interp.engines.slurm import SlurmEngine


def test_the_engine_of_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grok_interp.engines.ray.require_installed", lambda module, *, engine: None)
    monkeypatch.setattr("grok_interp.engines.slurm.require_installed", lambda module, *, engine: None)
    folder = Path("sweep")
    assert EngineOptions().chosen("auto", folder) == LocalEngine(1)
    assert EngineOptions(jobs=3).chosen("cuda", folder) == LocalEngine(3)
    shared = EngineOptions("ray", jobs=4, gpus_per_job=0.5, ray_address="auto")
    assert shared.chosen("cuda", folder) == RayEngine(n_jobs=4, n_gpus=0.5, address="auto")
    jobs = EngineOptions("slurm", gpus_per_job=2, slurm=("partition=gpu", "mem-per-cpu=4GB", "time=60"))
    options = {"partition": "gpu", "mem_per_cpu": "4GB", "time": 60}
    assert jobs.chosen("cuda", folder) == SlurmEngine(folder / "slurm", n_gpus=2, options=options)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--jobs", "0"], "--jobs needs 1 process or more, got 0"),
        (["--gpus-per-job", "1"], "--gpus-per-job is for --engine ray and slurm, this is --engine local: leave it out"),
        (["--engine", "ray", "--gpus-per-job", "1.5"], "--gpus-per-job is a fraction of one GPU or a whole number"),
        (
            ["--engine", "slurm", "--gpus-per-job", "0.5"],
            "--gpus-per-job is a whole number with --engine slurm, got 0.5",
        ),
        (["--engine", "slurm", "--ray-address", "auto"], "--ray-address is for --engine ray, this is --engine slurm"),
        (
            ["--engine", "slurm", "--slurm", "partition"],
            "--slurm needs KEY=VALUE, got 'partition': as in partition=gpu",
        ),
        (["--engine", "ray", "--retries", "-1"], "--retries 0 or more, got 1, 0 and -1"),
        (["--engine", "ray", "--device", "cuda"], "--engine ray --device cuda needs --gpus-per-job, such as 1"),
    ],
)
@pytest.mark.parametrize("verb", [["sweep", "modular-tiny"], ["reproduce", "copying/fig3", "--preset", "tiny"]])
def test_options_that_do_not_fit_are_refused(
    verb: list[str], words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*verb, "--folder", str(tmp_path / "sweep"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_missing_package_is_named_with_its_extra(
    engine: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["sweep", "modular-tiny", "--folder", str(tmp_path / "sweep"), "--engine", engine]) == 2
    said = capsys.readouterr().err
    assert f"--engine {engine} needs {package}, which is not installed: pip install 'grok-interp[cluster]'" in said
    assert not (tmp_path / "sweep").exists()
