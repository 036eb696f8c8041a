"""A run is watched while it trains: the real command and a real browser, and a page from the first checkpoint on."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import DRAWN, browser, needs_a_browser
from hidden_checkpoints import hide, run_up_to_step_5, uncover

from grok_interp.configs import TrainConfig
from grok_interp.presets import training_preset
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.watch import report_of

LOADED = "document.readyState === 'complete'"  # before, a page cannot be scrolled


@pytest.fixture
def run(tiny: TrainConfig, tmp_path: Path) -> Run:
    return run_up_to_step_5(tiny, tmp_path)


@contextmanager
def watched(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`grok-interp watch` as a user starts it, and its address."""
    command = [sys.executable, "-m", "grok_interp.cli", "watch", *arguments, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert (found := re.search(r"http://127\.0\.0\.1:\d+", line)), line + process.communicate()[1]
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("study", ["copying", "modular"])
def test_the_first_checkpoint_is_enough_for_a_page(study: str, tiny: TrainConfig, tmp_path: Path) -> None:
    run_training(tmp_path / "run", tiny if study == "copying" else training_preset("modular-tiny"))
    for step in (5, 10, 15, 20):
        Run.open(tmp_path / "run").checkpoints.path(step).unlink()
    page = report_of(Run.open(tmp_path / "run"), "cpu").html()
    assert "Partial run: analyzed up to step 0 of 20" in page


@needs_a_browser
def test_a_run_is_watched_from_before_its_first_checkpoint(run: Run, tmp_path: Path) -> None:
    """The real command and a real browser: the page comes, refreshes itself, keeps its place, says when it is over."""
    for step in (0, 5):
        hide(run, step)
    with watched(str(run)) as (process, address), browser(tmp_path / "profile") as tab:
        tab.open(address)
        assert "has no checkpoint yet" in tab.ask("document.body.textContent")
        for step in (0, 5, 10):
            uncover(run, step)
        tab.wait_for("document.body?.textContent.includes('analyzed up to step 10 of 20')")
        tab.wait_for(f"{DRAWN} && {LOADED}")
        tab.ask("(() => { const s = document.getElementById('step'); s.value = 1; scrollTo(0, 700); })()")
        uncover(run, 15)
        tab.wait_for("document.body?.textContent.includes('analyzed up to step 15 of 20')")
        tab.wait_for(f"{DRAWN} && {LOADED}")
        assert tab.ask("[document.getElementById('step').value, Math.round(scrollY)]") == ["1", 700]
        assert tab.errors == []
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
        assert process.returncode == 0 and errors == "", errors
        tab.wait_for("!document.getElementById('gone').hidden")


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "grok_interp.cli", "watch", str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 2
    assert found.stderr.startswith("grok-interp: no run at") and "Traceback" not in found.stderr
    assert not os.listdir(tmp_path)
