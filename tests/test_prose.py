"""What a reader sees is in plain English. `make check` runs this, too."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WRITE_INSTEAD = {
    r"\blooked into\b": "evaluated",
    r"\btaken away\b": "ablated",
    r"\bgo(?:es)? on where\b": "resumes",
    r"\bnobody listens\b": "no hook is attached",
    r"\bare no distribution\b": "do not sum to 1",
    r"\bshare of (?:its|the) (?:way|variance|windows)\b": "fraction of",
    r"\brepeats knob\b": "training windows contain synthetic repeats",
    r"\basks? none twice\b": "results are cached",
    r"\ba line a head\b": "one line per head",
    r"\b(?:nats|steps|seconds) an? (?:answer|run|step)\b": "per answer, per run, per step",
    r"\bby heart\b": "memorized",
    r"\bstands? in (?:the|a) (?:file|folder|log|place)\b": "is in, is stored in, replaces",
    r"\bprobes\b": "evaluation inputs",
}


def prose_of(notebook: Path) -> str:
    return "\n".join(
        cell.source for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "markdown"
    )


def pages() -> dict[str, str]:
    """Everything that is read: pages, notebooks, and the package with its docstrings and messages."""
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "grok_interp").rglob("*.py")]
    read = {str(path.relative_to(ROOT)): path.read_text() for path in files if "_build" not in path.parts}
    return read | {path.name: prose_of(path) for path in NOTEBOOKS}


@pytest.mark.parametrize("phrase", WRITE_INSTEAD)
def test_words_that_only_we_used_do_not_come_back(phrase: str) -> None:
    found = [name for name, text in pages().items() if re.search(phrase, " ".join(text.split()), re.IGNORECASE)]
    assert found == [], f"write: {WRITE_INSTEAD[phrase]}"


def test_the_prose_of_notebooks_is_spelled_right() -> None:
    text = "\n".join(map(prose_of, NOTEBOOKS))
    command = [sys.executable, "-m", "codespell_lib", "-"]
    found = subprocess.run(command, input=text, capture_output=True, text=True, cwd=ROOT, check=False)
    assert len(text) > 10_000 and (found.returncode, found.stdout) == (0, "")
    british = "color"[:4] + "ur"
    wrong = subprocess.run(command, input=british, capture_output=True, text=True, cwd=ROOT, check=False)
    assert f"{british} ==> color" in wrong.stdout
