"""The report in a real browser, without a network."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from grok_interp.checkpoints.run import run_training
from grok_interp.configs import TrainConfig
from grok_interp.presets import training_preset
from grok_interp.studies import modular
from grok_interp.studies.copying import CopyingResults, analyze, probes_of_run
from grok_interp.studies.copying.report import write_report
from grok_interp.studies.modular.report import write_report as write_modular_report
from grok_interp.views.attention import attention_html
from grok_interp.views.report import Headline, Page

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_a_browser = pytest.mark.skipif(
    BROWSER is None and not os.environ.get("CI"), reason="needs chromium (apt install chromium)"
)
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
OFFLINE = ["--proxy-server=127.0.0.1:9", "--host-resolver-rules=MAP * ~NOTFOUND"]  # nothing listens there
MOVE_SLIDER_TO_THE_BEGINNING = """<script>
const map = document.getElementById("head-map");
Plotly.restyle(map, map.layout.sliders[0].steps[0].args[0])
      .then(() => { document.title = "z=" + JSON.stringify(map.data[0].z); });
</script>"""


def rendered(page: Path, profile: Path) -> tuple[str, str]:
    """(the document after its scripts have run, what the browser logged)."""
    assert BROWSER, "CI must have a browser"
    command = [BROWSER, *QUIET, *OFFLINE, f"--user-data-dir={profile}", "--enable-logging=stderr"]
    command += ["--virtual-time-budget=20000", "--dump-dom", page.as_uri()]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return found.stdout, found.stderr


@pytest.fixture
def report(tiny: TrainConfig, tmp_path: Path) -> Path:
    run_training(tmp_path / "run", tiny)
    probes = probes_of_run(tmp_path / "run", n_samples=3, n_windows=4)
    return write_report(tmp_path / "run", analyze(tmp_path / "run", probes), probes, threshold=0.1)


@needs_a_browser
def test_the_report_of_modular_arithmetic_is_drawn_offline(tmp_path: Path) -> None:
    run_training(tmp_path / "run", training_preset("modular-tiny"))
    probes = modular.probes_of_run(tmp_path / "run", n_contexts=5)
    results = modular.analyze(tmp_path / "run", probes)
    page = write_modular_report(tmp_path / "run", results, probes, threshold=0.75)
    document, log = rendered(page, tmp_path / "profile")
    assert "Uncaught" not in log
    assert document.count("<svg") >= 6
    assert all(
        f"L{layer}H{head}" in document[document.index('id="attention"') :] for layer in (0, 1) for head in (0, 1)
    )


@needs_a_browser
def test_every_view_is_drawn_offline(report: Path, tmp_path: Path) -> None:
    document, log = rendered(report, tmp_path / "profile")
    assert "Uncaught" not in log
    assert document.count('class="main-svg"') >= 2, "the head map"
    assert len(re.findall(r'class="slider-rail-rect"', document)) == 1
    attention = document[document.index('id="attention"') :]
    assert all(f"L{layer}H{head}" in attention for layer in range(2) for head in range(2))
    assert "<canvas" in attention or "<img" in attention


@needs_a_browser
def test_the_slider_shows_an_earlier_checkpoint(report: Path, tmp_path: Path) -> None:
    moved = report.with_name("moved.html")
    moved.write_text(report.read_text().replace("</body>", MOVE_SLIDER_TO_THE_BEGINNING + "</body>"))
    document, _ = rendered(moved, tmp_path / "profile")
    title = re.search(r"<title>z=(.*?)</title>", document)
    assert title
    scores = CopyingResults.load(report.parent / "results").induction.I
    np.testing.assert_allclose(json.loads(title[1]), scores.sel(checkpoint=0).values, atol=1e-4)


def test_nothing_is_asked_of_a_network(report: Path) -> None:
    page = re.sub(r"<script>.*?</script>", "", report.read_text(), flags=re.DOTALL)
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
    assert report.read_text().count("CircuitsVis=") <= 1


def test_text_from_a_run_cannot_become_markup() -> None:
    hostile = '</script><img src=x onerror="alert(1)">'
    page = Page(hostile, hostile, [Headline(hostile, hostile)], [], {hostile: hostile}, [hostile]).html()
    assert hostile not in page
    assert page.count("&lt;/script&gt;") >= 6


def test_tokens_cannot_break_out_of_the_attention_view(tiny: TrainConfig) -> None:
    import torch

    from grok_interp.analysis.attention import attention_maps
    from grok_interp.models.transformer import Transformer

    maps = attention_maps(Transformer(tiny.model, seed=0), torch.tensor([1, 2, 3]))
    fragment = attention_html(maps, ["</script>", "<b>", "'&\""], [(0, 1)])
    assert fragment.count("</script>") == 1
    assert "<b>" not in fragment
    properties = json.loads(fragment[fragment.rindex(', {"') + 2 : fragment.rindex(")</script>")])
    assert properties["tokens"] == ["</script>", "<b>", "'&\""]
    assert properties["attentionHeadNames"] == ["L0H1"]
    np.testing.assert_allclose(properties["attention"][0], maps.of(0, 1).values, atol=5e-4)


def test_too_much_to_draw_is_refused(tiny: TrainConfig) -> None:
    import torch

    from grok_interp.analysis.attention import attention_maps
    from grok_interp.models.transformer import Transformer

    model = Transformer(tiny.with_model(n_ctx=200).model, seed=0)
    maps = attention_maps(model, torch.zeros(129, dtype=torch.int64))
    with pytest.raises(ValueError, match="1 heads x 129 tokens are too many to draw"):
        attention_html(maps, ["a"] * 129, [(0, 0)])
    with pytest.raises(ValueError, match="over 129 tokens, got 3 token strings"):
        attention_html(maps, ["a"] * 3, [(0, 0)])
