"""The notebooks run from top to bottom, at miniature size."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # jupyter's own
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROK_INTERP_NOTEBOOK_PRESET", "copier-tiny")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # also for what runs beside torch in the kernel
    folder = tmp_path / "notebooks"
    folder.mkdir()
    client = NotebookClient(nbformat.read(path, as_version=4), resources={"metadata": {"path": str(folder)}})
    executed = client.execute()
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    if path.stem == "copying":
        assert (tmp_path / "runs" / "copier-tiny" / "config.json").exists()
