"""Options of engines that are refused, and a missing package, before anything is written."""

import sys
from pathlib import Path

import pytest

from grok_interp.cli import main
from grok_interp.cli.engines import EngineOptions
from grok_interp.engines.local import LocalEngine
from grok_interp.engines.ray import RayEngine


def test_the_engine_of_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grok_interp.engines.ray.require_installed", lambda module, *, engine: None)
    assert EngineOptions().chosen("auto") == LocalEngine(1)
    assert EngineOptions(jobs=3).chosen("cuda") == LocalEngine(3)
    shared = EngineOptions("ray", jobs=4, gpus_per_job=0.5, ray_address="auto")
    assert shared.chosen("cuda") == RayEngine(n_jobs=4, n_gpus=0.5, address="auto")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--jobs", "0"], "--jobs needs 1 process or more, got 0"),
        (["--gpus-per-job", "1"], "--gpus-per-job is for --engine ray, this is --engine local: leave it out"),
        (["--engine", "ray", "--gpus-per-job", "1.5"], "--gpus-per-job is a fraction of one GPU or a whole number"),
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


def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["sweep", "modular-tiny", "--folder", str(tmp_path / "sweep"), "--engine", "ray"]) == 2
    said = capsys.readouterr().err
    assert "--engine ray needs ray, which is not installed: pip install 'grok-interp[cluster]'" in said
    assert not (tmp_path / "sweep").exists()
