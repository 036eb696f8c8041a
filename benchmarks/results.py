"""Run the short form of every benchmark, one after the other, and write measured.md beside them.

python benchmarks/results.py [--long]

RESULTS.md is written by hand: tables of measured.md, and of scripts that run elsewhere, with their date and machine.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
TOPICS = (
    "training_step",
    "demo_step",
    "ensemble",
    "overheads",
    "induction_scores",
    "copying_accuracy",
    "kshot_grids",
    "algorithms",
    "growth",
)
PACKAGES = ("torch", "transformer-lens", "transformers")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--long", action="store_true", help="the long forms: paper sizes, more rounds, an hour")
    options = [] if arguments.parse_args().long else ["--short"]
    sections = [_head(options)]
    for topic in TOPICS:
        print(f"{topic} ...", file=sys.stderr)
        command = [sys.executable, str(HERE / f"{topic}.py"), *options]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        sections.append(f"## {topic}\n\n{printed.strip()}\n")
    (HERE / "measured.md").write_text("\n".join(sections))
    print(HERE / "measured.md")


def _head(options: list[str]) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        "# Benchmarks\n\n"
        f"{datetime.date.today()}, {platform.machine()} CPU, Python {platform.python_version()}, {versions}; "
        f"`python benchmarks/results.py{'' if options else ' --long'}`. Each row runs us and the peer in one process, "
        "alternating, after a check that their answers agree.\n"
    )


if __name__ == "__main__":
    main()
