"""The report in a real browser, without a network."""

import re
from pathlib import Path

import numpy as np
import pytest
from browser import document_of, needs_a_browser, outcome_of

from grok_interp.checkpoints.run import run_training
from grok_interp.configs import TrainConfig
from grok_interp.presets import training_preset
from grok_interp.studies import modular
from grok_interp.studies.copying import CopyingResults, analyze, probes_of_run
from grok_interp.studies.copying.report import write_report
from grok_interp.studies.modular.report import write_report as write_modular_report
from grok_interp.views.report import Headline, Page

MOVE_SLIDER_TO_THE_BEGINNING = """
const map = document.getElementById("head-map");
await Plotly.restyle(map, map.layout.sliders[0].steps[0].args[0]);
return map.data[0].z;
"""


@pytest.fixture
def report(tiny: TrainConfig, tmp_path: Path) -> Path:
    run_training(tmp_path / "run", tiny)
    probes = probes_of_run(tmp_path / "run", n_samples=3, n_windows=4)
    return write_report(tmp_path / "run", analyze(tmp_path / "run", probes), probes, threshold=0.1)


def require_attention(document: str) -> None:
    """Thumbnails of the four heads and circuitsvis' chart."""
    (view,) = re.findall(r'<section class="attention-view av-ready".*?</section>', document, re.DOTALL)
    assert all(f"L{layer}H{head}" in view for layer in range(2) for head in range(2))
    assert view.count("<canvas") == 5 and "Training step" in view


@needs_a_browser
def test_the_report_of_modular_arithmetic_is_drawn_offline(tmp_path: Path) -> None:
    run_training(tmp_path / "run", training_preset("modular-tiny"))
    probes = modular.probes_of_run(tmp_path / "run", n_contexts=5)
    results = modular.analyze(tmp_path / "run", probes)
    page = write_modular_report(tmp_path / "run", results, probes, threshold=0.75)
    document = document_of(page, tmp_path / "profile")
    assert document.count("<svg") >= 6
    require_attention(document)


@needs_a_browser
def test_every_view_is_drawn_offline(report: Path, tmp_path: Path) -> None:
    document = document_of(report, tmp_path / "profile")
    assert document.count('class="main-svg"') >= 2, "the head map"
    assert len(re.findall(r'class="slider-rail-rect"', document)) == 1
    require_attention(document)


@needs_a_browser
def test_the_slider_shows_an_earlier_checkpoint(report: Path, tmp_path: Path) -> None:
    drawn = outcome_of(report, MOVE_SLIDER_TO_THE_BEGINNING, tmp_path / "profile")
    scores = CopyingResults.load(report.parent / "results").induction.I
    np.testing.assert_allclose(drawn, scores.sel(checkpoint=0).values, atol=1e-4)


def test_nothing_is_asked_of_a_network(report: Path) -> None:
    page = re.sub(r"<script>.*?</script>", "", report.read_text(), flags=re.DOTALL)
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
    assert report.read_text().count("CircuitsVis=") <= 1


def test_text_from_a_run_cannot_become_markup() -> None:
    hostile = '</script><img src=x onerror="alert(1)">'
    page = Page(hostile, hostile, [Headline(hostile, hostile)], [], {hostile: hostile}, [hostile]).html()
    assert hostile not in page
    assert page.count("&lt;/script&gt;") >= 6
