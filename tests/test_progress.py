"""Progress as its reader sees it: lines with the time left in a log, one line without escape codes in a notebook."""

import re
from types import SimpleNamespace

import nbformat
import pytest
from nbclient import NotebookClient

from grok_interp import progress

CELL = """
from grok_interp.progress import progress
with progress("work") as advance:
    for done in range(1, 4):
        advance(done, 3, "[red]")
"""


def test_a_log_says_the_time_left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Two of ten were done before: four seconds for two more are two seconds for each of the six that are left."""
    times = iter([0, 1, 5, 17])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(times)))
    monkeypatch.setattr(progress, "LOG_SECONDS", 2)
    with progress.progress("work") as advance:
        advance(2, 10)
        advance(4, 10, "loss 0.5")
        advance(10, 10)
    assert capsys.readouterr().err.splitlines() == [
        "work: 4 of 10 after 5 s, 12 s left  loss 0.5",
        "work: 10 of 10 after 17 s",
    ]


def test_a_log_is_silent_of_what_is_transient_and_short(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter([0, 1, 2, 20, 21])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(times)))
    with progress.progress("work", transient=True) as advance:
        advance(1, 3)
        advance(3, 3)
        assert capsys.readouterr().err == ""
        advance(2, 3)
        advance(3, 3)
    assert capsys.readouterr().err == "work: 2 of 3 after 20 s, 19 s left\n"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # jupyter's own
def test_a_notebook_has_one_line_that_is_updated() -> None:
    """Jupyter sets FORCE_COLOR, which asks for the escape codes of a terminal."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    (output,) = NotebookClient(notebook).execute().cells[0].outputs
    assert output.output_type == "display_data"
    assert re.fullmatch(r"work: 3 of 3 after \d+ s  \[red\]", output.data["text/plain"])
