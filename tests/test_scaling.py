"""The page on scaling says what its script computes."""

import importlib.util
from pathlib import Path

import pytest

from grok_interp import training_preset

ROOT = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location("scaling", ROOT / "benchmarks" / "scaling.py")
assert spec and spec.loader
scaling = importlib.util.module_from_spec(spec)
spec.loader.exec_module(scaling)


def test_the_tables_of_the_page_are_those_of_the_script() -> None:
    page = (ROOT / "docs" / "scaling.md").read_text()
    assert scaling.table(scaling.trainings(), "training") in page
    assert scaling.table(scaling.pythia(), "scores of 154 revisions") in page
    assert f"14 ms: {scaling.efficiency():.0%} of that rate" in page


def test_an_update_takes_the_time_that_was_measured() -> None:
    """The preset has twice the sequences of the update that was timed: 200,000 updates of 28 ms."""
    assert scaling.training_hours(training_preset("modular-paper-d4")) == pytest.approx(200_000 * 0.028 / 3600)


def test_sizes_have_three_digits() -> None:
    assert [scaling.size(n) for n in (4.31e9, 1.808e12, 95e6)] == ["4.31 GB", "1.81 TB", "95 MB"]
