"""Mutation testing: every mutant of the kernels in statistics/ and data/, and a seeded sample of those in analysis/.

    python tests/mutants.py            tries what was not tried yet, in the folder mutants; the same command resumes
    python tests/mutants.py --report   what is known so far: score with its 95% interval, and the survivors

mutmut makes the mutants, and runs for each the tests that call the function it is in, until one fails.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

KERNELS, SAMPLED = ("statistics", "data"), "analysis"
N_SAMPLED, SEED = 300, 0
FOLDER = Path("mutants")
SURVIVED, UNTESTED = 0, 33  # mutmut's codes; all others are kinds of failing tests
Z = 1.96  # of a 95% interval


def outcomes() -> dict[str, int | None]:
    """Mutant -> its code; None where it was not tried yet."""
    found: dict[str, int | None] = {}
    for file in sorted(FOLDER.rglob("*.py.meta")):
        found |= json.loads(file.read_text())["exit_code_by_key"]
    return dict(sorted(found.items()))


def wanted(names: list[str]) -> list[str]:
    """All mutants of the kernels, and the sample of the others."""
    kernels = [name for name in names if name.split(".")[1] in KERNELS]
    others = [name for name in names if name.split(".")[1] == SAMPLED]
    return kernels + sorted(random.Random(SEED).sample(others, min(N_SAMPLED, len(others))))


def interval(n_killed: int, n: int) -> tuple[float, float]:
    """Wilson's 95% interval of a fraction."""
    middle, width = n_killed + Z**2 / 2, Z * math.sqrt(n_killed * (n - n_killed) / n + Z**2 / 4)
    return (middle - width) / (n + Z**2), (middle + width) / (n + Z**2)


def lines(found: dict[str, int | None]) -> Iterator[str]:
    """A line for each folder, then the survivors."""
    chosen = wanted(list(found))
    for folder in (*KERNELS, SAMPLED):
        codes = [found[name] for name in chosen if name.split(".")[1] == folder]
        tried = [code for code in codes if code is not None]
        killed = sum(code not in (SURVIVED, UNTESTED) for code in tried)
        score = "{:.1%} [{:.1%}, {:.1%}]".format(killed / len(tried), *interval(killed, len(tried))) if tried else "-"
        yield f"{folder:12}{len(codes):6} mutants {len(tried):6} tried {killed:6} killed   {score}"
    yield from (f"survived: {name}" for name in chosen if found[name] in (SURVIVED, UNTESTED))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", action="store_true")
    mutmut = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", "2"]
    if not parser.parse_args().report:
        if not outcomes():  # the first call makes all mutants, and tries few
            subprocess.run([*mutmut, "grok_interp.statistics.*"], check=True)
        found = outcomes()
        if missing := [name for name in wanted(list(found)) if found[name] is None]:
            subprocess.run([*mutmut, *missing], check=True)
    sys.stdout.write("\n".join(lines(outcomes())) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
