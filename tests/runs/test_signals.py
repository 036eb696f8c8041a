"""SIGINT, SIGTERM and SIGHUP write a resume point, whenever they come."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.runs.run_training import run_training
from grok_interp.runs.saved_checkpoints import SavedCheckpoints
from grok_interp.training.divergence import Update

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def handlers_come_back() -> Iterator[None]:
    """A test runner in the background may ignore some of them."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    expected = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    assert {number: signal.getsignal(number) for number in SIGNALS} == expected
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_writes_a_resume_point(number: signal.Signals, tiny: TrainConfig, tmp_path: Path) -> None:
    def send(update: Update) -> None:
        if update.step == 7:
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "run", tiny, on_update=send)
    started: list[int] = []
    run_training(tmp_path / "run", tiny, on_start=started.append)
    assert started == [7]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_after_the_last_update_is_obeyed(
    number: signal.Signals, tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = SavedCheckpoints.save

    def save_and_send(self: SavedCheckpoints, step: int, model) -> None:
        save(self, step, model)
        if step == tiny.n_steps:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patch:
        patch.setattr(SavedCheckpoints, "save", save_and_send)
        with pytest.raises(KeyboardInterrupt):
            run_training(tmp_path / "run", tiny)
    assert run_training(tmp_path / "run", tiny).is_finished


def test_a_run_that_was_started_with_nohup_survives_its_terminal(tiny: TrainConfig, tmp_path: Path) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run = run_training(tmp_path / "run", tiny, on_update=lambda _: os.kill(os.getpid(), signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert run.is_finished


@pytest.mark.parametrize("number", SIGNALS)
def test_every_verb_ends_with_130(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr("grok_interp.cli.listing.run_rows", lambda *_, **__: os.kill(os.getpid(), number))
    assert main(["list", "--folder", str(tmp_path)]) == 130
    assert "the same command resumes from here" in capsys.readouterr().err


def test_a_command_that_failed_does_not_claim_its_folder(tiny: TrainConfig, tmp_path: Path) -> None:
    def fail(_: Update) -> None:
        raise RuntimeError("failed")

    with pytest.raises(RuntimeError, match="failed"):
        run_training(tmp_path / "run", tiny, on_update=fail)
    assert not (tmp_path / "run").exists()
    corrected = tiny.with_data(copy_fraction=0.25)
    assert run_training(tmp_path / "run", corrected).config == corrected


def test_what_was_trained_before_a_failure_is_kept(tiny: TrainConfig, tmp_path: Path) -> None:
    def fail(update: Update) -> None:
        if update.step == 12:
            raise RuntimeError("failed")

    with pytest.raises(RuntimeError, match="failed"):
        run_training(tmp_path / "run", tiny, on_update=fail)
    assert sorted(path.stem for path in (tmp_path / "run" / "checkpoints").iterdir()) == [
        "step_00000000",
        "step_00000005",
        "step_00000010",
    ]
    with pytest.raises(ValueError, match="holds a run of another config"):
        run_training(tmp_path / "run", tiny.with_data(copy_fraction=0.25))
