"""The report of modular arithmetic in a real browser, without a network."""

from pathlib import Path

import numpy as np
from browser import SLIDER, Tab, move_slider, needs_a_browser, require_attention

from grok_interp.presets import training_preset
from grok_interp.runs.run_training import run_training
from grok_interp.studies import modular
from grok_interp.studies.modular.modular_report import report_page as modular_report_page
from grok_interp.studies.study import write_report


@needs_a_browser
def test_the_report_of_modular_arithmetic_is_drawn_offline(tmp_path: Path, tab: Tab) -> None:
    run = run_training(tmp_path / "run", training_preset("modular-tiny"))
    inputs = modular.evaluation_inputs(run, n_contexts=5)
    results = modular.analyze(run, inputs)
    page = write_report(run, modular_report_page(run, results, inputs, threshold=0.75))
    tab.open(page.as_uri())
    assert tab.errors == []
    assert tab.ask("document.querySelectorAll('.graph .main-svg').length") >= 10
    assert tab.ask(f"{SLIDER}.value") == str(results.steps.index(results.best_step))
    require_attention(tab)
    move_slider(tab, 1)
    shots = tab.ask(
        "document.querySelector('#learning-in-context .graph').data.find(t => t.name === 'i.d. train' && !t.fill).y"
    )
    expected = results.shots.accuracy().isel(checkpoint=1, split=0).values
    np.testing.assert_allclose(shots, expected, rtol=1e-4)
    assert "At step 5." in tab.ask("document.getElementById('learning-in-context').textContent")
