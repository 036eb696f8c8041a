"""The report of a tiny modular run."""

import numpy as np
import pytest

from grok_interp.analysis.circularity import Circularity
from grok_interp.presets import training_preset
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.modular import analyze, evaluation_inputs
from grok_interp.studies.modular.all_numbers import numbers
from grok_interp.studies.modular.modular_report import _circles_title, report_page
from grok_interp.studies.study import write_report


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory = tmp_path_factory.mktemp("modular") / "run"
    return run_training(directory, training_preset("modular-tiny"))


def test_the_report_says_that_nothing_was_learned(run: Run) -> None:
    inputs = evaluation_inputs(run)
    results = analyze(run, inputs)
    page = write_report(run, report_page(run, results, inputs, threshold=0.75)).read_text()
    assert page.count('class="has-drawing"') == page.count("<figure") - 2, "all but the attention and the numbers"
    assert len(page.encode()) < 15_000_000
    assert "Never above 75% at the last shot, over new queries: i.d. train, i.d. test, o.o.d. train" in page
    assert "with 8 of the 25 tasks (a, b) and 15 of the 25 inputs" in page
    assert {file.stem for file in (run.directory / "figures").glob("*.svg")} >= {
        "last_shot",
        "shots",
        "agreement",
        "grids",
    }
    label = "phase at that step (learned: above 0.75), probability over contexts, 1 seed"
    assert numbers(results, threshold=0.75)[label] == "nothing learned >99%"
    assert "o.o.d. test 2,601 contexts (153 for each of all 17 tasks)" in page
    assert "Intervals: 95% CI of one run (1 seed) over contexts: i.d. train 2,600 contexts (325 for each of all" in page


@pytest.mark.parametrize(
    ("by_x", "by_y", "title"),
    [
        (0.6, 0.3, "Circle of circles"),
        (0.99, 0.004, "A circle by log x alone"),
        (0.01, 0.9, "A circle by log y alone"),
        (0.3, 0.2, "No circle of circles"),
        (float("nan"), float("nan"), "No circle of circles"),
    ],
)
def test_a_circle_is_titled_as_what_is_seen(by_x: float, by_y: float, title: str) -> None:
    measured = {"circularity": by_x + by_y, "fraction_x": by_x, "fraction_y": by_y, "null_q95": 0.57}
    arrays = {name: np.array([measured.get(name, 0.0)]) for name in Circularity.measures}
    assert _circles_title(Circularity.of_arrays(arrays, {"checkpoint": np.array([0])}, {})) == title
