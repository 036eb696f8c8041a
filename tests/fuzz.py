"""Odd command lines and odd files, given to `main` in this process: no traceback, no input above 10 s of CPU time.

    python tests/fuzz.py --seconds 600 --seed 0     prints a table; exits with 1 if something failed

Of a failure the shortest input that fails is printed, with a command that repeats it on the files that are kept for it.
Trainings are interrupted after a few updates, as by Ctrl-C, so that a large --n-steps is no slow input. The report of a
modular run draws for 7 s by itself and is not among the commands.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import resource
import shlex
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from fuzz_inputs import Input, inputs
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from grok_interp import presets

CODES = (0, 2, 3, 4, 6, 130)  # documented in docs/guarantees.md
CPU_SECONDS, WATCH_SECONDS, MOST_UPDATES, MOST_MEMORY = 10, 1.0, 30, 6 * 2**30
INPUTS_PER_ROUND = 10
SYLLABLES = ("ba", "ke", "lo", "mi", "nu", "ra", "si", "to")
COMMANDS = tuple(
    tuple(words.split())
    for words in (
        "train copier-tiny --run new",
        "train modular-tiny --run new",
        "train copier-tiny --run run",
        "demo new",
        "analyze run",
        "analyze files/model_{step}.safetensors --run new --model copier-tiny",
        "report run",
        "watch run",
        "reproduce copying/fig6 --run run",
        "reproduce modular/fig3 --run modular",
        "reproduce copying/fig3 --preset tiny --folder new",
        "sweep modular-tiny --vary learning_rate=0.003,0.006 --folder new --dry-run",
        "audit run",
        "list runs",
        "doctor",
    )
)


class Failed(Exception):
    """Of one input; the message says how."""


class TooSlow(BaseException):
    """Passes through what catches exceptions."""


@dataclass
class Tally:
    """Of one kind of input."""

    codes: Counter[int] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)  # what failed -> the shortest input
    slowest: tuple[float, str] = (0.0, "")


def use_small_presets(folder: Path) -> None:
    """Every preset that is trained here is tiny, and on the small text of the working folder."""
    description, tiny = presets.DESCRIBED["copier-tiny"]
    tiny = replace(tiny, data=replace(tiny.data, source=str(folder / "text")), n_steps=4, warmup_steps=0)
    tiny = replace(tiny, checkpoint_steps=(0, 2))
    modular = replace(presets.DESCRIBED["modular-tiny"][1], n_steps=4, warmup_steps=0, checkpoint_steps=(0, 2))
    presets.DESCRIBED |= {name: (description, tiny) for name in ("copier-tiny", "copier-mini", "copier-deep")}
    presets.DESCRIBED |= {name: (description, modular) for name in ("modular-tiny", "modular-p11")}


def make_template(folder: Path) -> None:
    """Two small runs with results, a series from elsewhere with results, and the text, in a working folder."""
    (folder / "text").mkdir(parents=True)
    for number, name in enumerate("abc"):
        words = (SYLLABLES[(number + i * i) % 8] + SYLLABLES[i % 7] for i in range(2_000))
        (folder / "text" / f"{name}.txt").write_text(" ".join(words))
    for run, preset in (("run", "copier-tiny"), ("modular", "modular-tiny")):
        require(["train", preset, "--run", run], ["report", run])
    (folder / "files").mkdir()
    for step in (0, 2, 4):
        shutil.copy(
            folder / "run" / "checkpoints" / f"step_{step:08}.safetensors", folder / f"files/model_{step}.safetensors"
        )
    require(["analyze", "files/model_{step}.safetensors", "--run", "series", "--model", "copier-tiny"])


def require(*commands: list[str]) -> None:
    for command in commands:
        code, text = result_of(command)
        assert code == 0, f"{command}: {text}"


def options_of(command: tuple[str, ...]) -> tuple[str, ...]:
    """What the help of its verb names."""
    _, text = result_of([*command[: 2 if command[0] in ("train", "sweep") else 1], "--help"])
    found = sorted(set(re.findall(r"--[a-z][a-z.-]*[a-z]", text)) - {"--help"})
    return tuple(found) or ("--help",)


def result_of(words: list[str] | tuple[str, ...]) -> tuple[int, str]:
    """(exit code, what was printed). A traceback passes through."""
    from grok_interp.cli import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            code = main(list(words))
        except SystemExit as end:  # of the parser
            code = end.code if isinstance(end.code, int) else 1
    return code, printed.getvalue()


@contextlib.contextmanager
def limits(words: tuple[str, ...]) -> Iterator[None]:
    """Of CPU time; `watch` is ended as a user ends it."""

    def too_slow(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, too_slow), signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    if words[0] == "watch":
        signal.setitimer(signal.ITIMER_REAL, WATCH_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGPROF, before[0])
        signal.signal(signal.SIGALRM, before[1])


def interrupting_trainings() -> None:
    """A training is interrupted after some updates."""
    from grok_interp.training import loop

    learn_batch = loop.learn_batch

    def limited(state: Any, *rest: Any) -> Any:
        if state.step >= MOST_UPDATES:
            raise KeyboardInterrupt
        return learn_batch(state, *rest)

    loop.learn_batch = limited


def renew(template: Path, work: Path) -> None:
    """The working folder as it was; its path is always the same, because runs name their text by it."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(template, work, symlinks=True)
    os.chdir(work)


def make_changes(of: Input, folder: Path) -> None:
    for change in of.changes:
        with contextlib.suppress(OSError, ValueError, KeyError, IndexError):  # another change took it away
            change.act(folder / change.file)


def check(given_input: Input, tally: Tally) -> None:
    """Raises Failed for a traceback, an undocumented exit code, an error without a message, and a slow input."""
    begun = time.process_time()
    try:
        with limits(given_input.words):
            code, text = result_of(given_input.words)
    except TooSlow as error:
        raise Failed(
            f"more than {CPU_SECONDS} s of CPU time\n{''.join(traceback.format_tb(error.__traceback__)[-8:])}"
        ) from None
    except BaseException as error:
        raise Failed("".join(traceback.format_exception(error))) from None
    finally:
        shown = shlex.join(given_input.words) + "".join(f"; {change}" for change in given_input.changes)
        tally.slowest = max(tally.slowest, (time.process_time() - begun, shown[:150]))
    if code not in CODES:
        raise Failed(f"exit code {code}: {text[-300:]}")
    if code and not text.strip():
        raise Failed(f"exit code {code} without a message")
    tally.codes[code] += 1


def fuzz(kind: str, strategy: SearchStrategy[Input], number: int, tally: Tally, folder: Path, until: float) -> None:
    """One round of inputs of a kind; a failure is shortened, and kept with its files."""
    template, work = folder / "template", folder / "work"
    last: list[tuple[Input, str]] = []

    def attempt(drawn: Input) -> None:
        if time.monotonic() > until and not last:
            return
        renew(template, work)
        make_changes(drawn, work)
        try:
            check(drawn, tally)
        except Failed as error:
            if signature(str(error)) in tally.failures:
                return
            last.append((drawn, str(error)))
            raise

    searched = seed(number)(given(strategy)(attempt))
    searched = settings(
        max_examples=INPUTS_PER_ROUND,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )(searched)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            searched()
    except Failed:
        found, message = last[-1]
        kept = folder / "failures" / f"{kind.replace(' ', '_')}_{len(tally.failures)}"
        shutil.copytree(template, kept, symlinks=True)
        make_changes(found, kept)
        repeat = f"cd {kept} && GROK_INTERP_CACHE={kept / 'cache'} grok-interp {shlex.join(found.words)}"
        tally.failures[signature(message)] = f"{kind}: {found.changes or ''}\n{message[-1500:]}\nrepeat: {repeat}\n"
        sys.stderr.write(tally.failures[signature(message)])


def signature(message: str) -> str:
    """Where it failed: the innermost line of the package."""
    lines = re.findall(r"grok_interp/[\w/]+\.py\", line \d+", message)
    return lines[-1] if lines else message[:60]


def run(folder: Path, *, seconds: float, first_seed: int, only: str = "") -> dict[str, Tally]:
    """Fuzz each kind in turn until the time is over; kind -> what came of it."""
    work, template = folder / "work", folder / "template"
    os.environ |= {"GROK_INTERP_CACHE": str(work / "cache"), "HF_HUB_OFFLINE": "1", "COLUMNS": "100"}
    use_small_presets(work)
    work.mkdir(parents=True)
    os.chdir(work)
    make_template(work)
    options = {command: options_of(command) for command in COMMANDS}
    interrupting_trainings()
    shutil.copytree(work, template)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    kinds = {kind: each for kind, each in inputs(template, options).items() if only in ("", kind)}
    tallies = {kind: Tally() for kind in kinds}
    begun, number = time.monotonic(), 0
    while time.monotonic() < begun + seconds:
        for kind, strategy in kinds.items():
            fuzz(kind, strategy, first_seed * 10_000 + number, tallies[kind], folder, begun + seconds)
        number += 1
    return tallies


def table(tallies: dict[str, Tally]) -> str:
    lines = [
        f"{'input':12}{'tried':>7}" + "".join(f"{f'exit {code}':>10}" for code in CODES) + "  failed  slowest, CPU s"
    ]
    for kind, tally in tallies.items():
        counts = "".join(f"{tally.codes[code]:10}" for code in CODES)
        seconds, words = tally.slowest
        tried = tally.codes.total() + len(tally.failures)
        lines.append(f"{kind:12}{tried:7}{counts}{len(tally.failures):8}  {seconds:.1f}: {words!r}")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="one kind of input")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "grok_interp_fuzz")
    options = parser.parse_args()
    torch.set_num_threads(1)
    shutil.rmtree(options.keep, ignore_errors=True)
    tallies = run(options.keep.resolve(), seconds=options.seconds, first_seed=options.seed, only=options.only)
    sys.stdout.write(table(tallies))
    return int(any(tally.failures for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
