"""The notebooks run from top to bottom, at miniature size, and are shipped with outputs fit to be read."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from grok_interp.running import AtOnce, trained_for
from grok_interp.terminal import Terminal

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
NEEDS = {  # figures whose runs a notebook reads but does not train
    "02_how_copying_emerges": ("copying/fig3", "copying/fig5", "copying/fig7"),
}
LEAKED = re.compile(r"/(?:home|root|tmp|Users)/|site-packages")  # paths of the machine that made the outputs
ALL = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # jupyter's own
@ALL
def test_a_notebook_runs(path: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROK_INTERP_NOTEBOOK_PRESET", "copier-tiny")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # also for what runs beside torch in the kernel
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for figure in NEEDS.get(path.stem, ()):
        sweep = tmp_path / "runs" / "copier-tiny"
        trained_for(figure, "tiny", sweep, seeds=1, at_once=AtOnce(), device="cpu", terminal=Terminal(quiet=True))
    client = NotebookClient(nbformat.read(path, as_version=4), resources={"metadata": {"path": str(folder)}})
    executed = client.execute()
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)


@ALL
def test_a_notebook_is_shipped_with_outputs_and_reads_well(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert [cell.source for cell in code if sum(map(bool, cell.source.splitlines())) > 10] == []
    assert [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"] == []
    said = [output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs]
    assert [text for text in said if LEAKED.search(text)] == []
    assert path.stat().st_size < 3_000_000
