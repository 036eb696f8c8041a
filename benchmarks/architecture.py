"""The size of the code and the time of a second report, one row for each checkout given: before and after.

git worktree add /tmp/before COMMIT
python benchmarks/architecture.py /tmp/before .

The report is of an analyzed run of copier-tiny. Its time is CPU time, imports included, as a user waits for it.
"""

from __future__ import annotations

import ast
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from side_by_side import print_header, print_row

ROUNDS = 3  # of the report; the smallest counts


def main(checkouts: Sequence[Path]) -> None:
    print_header(
        ["checkout", "modules", "lines", "longest module", "longest function", "first report", "second report"]
    )
    for checkout in checkouts:
        files = sorted((checkout / "grok_interp").rglob("*.py"))
        lines = [len(file.read_text().splitlines()) for file in files]
        functions = [lines_of(node) for file in files for node in ast.walk(ast.parse(file.read_text()))]
        first, second = report_seconds(checkout)
        counts = [len(files), sum(lines), max(lines), max(functions)]
        print_row([checkout.name or "here", *(f"{n:,}" for n in counts), f"{first:.1f} s", f"{second:.1f} s"])


def lines_of(node: ast.AST) -> int:
    """Of a function without its docstring; of anything else 0."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return 0
    first, has_docstring = node.body[0], ast.get_docstring(node) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0
    return (node.end_lineno or 0) - node.lineno + 1 - docstring


def report_seconds(checkout: Path) -> tuple[float, float]:
    """CPU seconds of the first and of a later report of an analyzed run."""
    with tempfile.TemporaryDirectory() as folder:
        text, run = Path(folder, "text.txt"), str(Path(folder, "run"))
        text.write_text("".join(Path(ast.__file__).read_text() for _ in range(2)))
        environment = {
            **os.environ,
            "PYTHONPATH": str(checkout.absolute()),
            "GROK_INTERP_CACHE": folder,
            "OMP_NUM_THREADS": "1",
        }

        def seconds(*arguments: str) -> float:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            command = [sys.executable, "-m", "grok_interp.cli", *arguments]
            subprocess.run(command, check=True, capture_output=True, env=environment, cwd=folder)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        seconds("train", "copier-tiny", "--run", run, "--data.source", str(text))
        seconds("analyze", run)
        first = seconds("report", run)
        return first, min(seconds("report", run) for _ in range(ROUNDS))


if __name__ == "__main__":
    main([Path(each) for each in sys.argv[1:]] or [Path()])
