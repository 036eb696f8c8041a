"""Random damage to every kind of file that is trusted: is it refused, made again, named by `audit`, or harmless?

    python tests/damage.py 1000 --seed 0      prints a line per kind; exits with 1 if a change went unnoticed

A damage is one flipped bit, one or two other bytes, or a file cut short. Unnoticed is what gives other values than
before without an error that names the file and without a line of `audit`.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from grok_interp.analysis.loss import PositionLoss
from grok_interp.configs import TextConfig
from grok_interp.data.corpus import open_corpus
from grok_interp.places import cache_directory
from grok_interp.presets import training_preset
from grok_interp.runs.checkpoint_files import load_state
from grok_interp.runs.damage import damaged_files
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.copying.copying_results import CopyingResults, evaluation_inputs
from grok_interp.studies.copying.evaluation_text import EvaluationText

N_WINDOWS, MOST_CHANGED = 4, 2
OUTCOMES = ("refused", "named by audit", "made again or harmless", "UNNOTICED")
SYLLABLES = ("ba", "ke", "lo", "mi", "nu", "ra", "si", "to")


@dataclass(frozen=True)
class Kind:
    """Files of one kind, and the values that are read from them."""

    files: tuple[Path, ...]
    values: Callable[[], Any]


def kinds_in(folder: Path) -> dict[str, Kind]:
    """A small analyzed run on text with a BPE vocabulary, and what is read from each kind of its files."""
    (folder / "text").mkdir()
    draw = random.Random(1)
    for number in range(12):
        (folder / "text" / f"{number}.txt").write_text(
            " ".join("".join(draw.choices(SYLLABLES, k=3)) for _ in range(400))
        )
    tiny = training_preset("copier-tiny")
    config = replace(
        tiny,
        data=replace(tiny.data, source=str(folder / "text"), vocabulary="bpe"),
        model=replace(tiny.model, d_vocab=300),
        n_steps=6,
        warmup_steps=0,
        checkpoint_steps=(0, 3),
    )
    assert isinstance(config.data, TextConfig)
    source = config.data
    run = run_training(folder / "run", config, resume_seconds=0)
    inputs = evaluation_inputs(run, n_samples=2, n_windows=N_WINDOWS)
    analyzers = CopyingResults.analyzers(inputs)
    results = run.evaluate(analyzers)
    loss = next(each for each in results if isinstance(each, PositionLoss))
    loss.save(folder / "loss.nc")
    state = run.directory / "resume"

    def opened() -> Run:
        return Run.open(run.directory)

    def corpus() -> Any:
        found = open_corpus(source, 300)
        text = found.vocabulary.show(range(300))
        return found.manifest, found.training.tolist(), found.validation.tolist(), found.leaks.tolist(), text

    def text() -> Any:
        kept = EvaluationText(opened())
        windows = kept.windows(N_WINDOWS)
        return windows.tokens.tolist(), windows.n_dropped, kept.held_out, kept.vocabulary.show(range(300))

    return {
        "config.json": Kind((run.directory / "config.json",), lambda: (opened().record, opened().config)),
        "metrics.jsonl": Kind((run.directory / "metrics.jsonl",), lambda: opened().metrics.to_dict("records")),
        "checkpoints": Kind(
            tuple(sorted((run.directory / "checkpoints").glob("*.safetensors"))),
            lambda: [[p.tolist() for p in model.parameters()] for _, model in opened()],
        ),
        "resume points": Kind(
            tuple(sorted(state.glob("*.state"))),
            lambda: [repr(load_state(file, torch.device("cpu"))) for file in sorted(state.glob("*.state"))],
        ),
        "results": Kind(
            tuple(sorted((run.directory / "results").glob("*.nc.gz"))),
            lambda: [each.to_frame().to_csv() for each in opened().evaluate(analyzers)],
        ),
        "saved results": Kind((folder / "loss.nc",), lambda: PositionLoss.load(folder / "loss.nc").to_frame().to_csv()),
        "evaluation text": Kind(
            tuple(run.directory / "results" / name for name in ("evaluation_text.safetensors", "tokenizer.json")), text
        ),
        "corpus in the cache": Kind(
            tuple(file for file in sorted((cache_directory() / "corpora").glob("*/*")) if file.is_file()), corpus
        ),
    }


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Another content: cut short, or with a bit or some bytes changed."""
    if not content or draw.random() < 0.25:
        return content[: draw.randrange(max(len(content), 1))]
    changed = bytearray(content)
    if draw.random() < 0.5:
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    else:
        first = draw.randrange(len(changed))
        for at in range(first, min(first + draw.randint(1, MOST_CHANGED), len(changed))):
            changed[at] = draw.randrange(256)
    return bytes(changed)


def outcome(kind: Kind, file: Path, expected: Any, run: Path) -> str:
    """What becomes of the damage to a file when its values are read. A traceback passes through."""
    named = [str(each) for each in damaged_files(Run.open(run))] if (run / "config.json") != file else []
    try:
        found = kind.values()
    except ValueError as error:
        assert str(file.name) in str(error) or str(file.parent) in str(error), f"the file is not named: {error}"
        return OUTCOMES[0]
    if found == expected:
        return OUTCOMES[2]
    return OUTCOMES[1] if any(str(file) in each or str(file.parent) in each for each in named) else OUTCOMES[3]


def damage_table(folder: Path, *, n: int, seed: int, only: str = "") -> Mapping[str, Counter[str]]:
    """Kind of file -> outcome -> how often, of `n` damages in turn over the kinds, or to one kind."""
    draw = random.Random(seed)
    kinds = {name: kind for name, kind in kinds_in(folder).items() if only in ("", name)}
    expected = {name: kind.values() for name, kind in kinds.items()}
    table: dict[str, Counter[str]] = {name: Counter() for name in kinds}
    for number in range(n):
        name = list(kinds)[number % len(kinds)]
        file = draw.choice(kinds[name].files)
        content = file.read_bytes()
        file.write_bytes(damaged(content, draw))
        try:
            table[name][outcome(kinds[name], file, expected[name], folder / "run")] += 1
        finally:
            file.write_bytes(content)
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GROK_INTERP_CACHE"] = str(Path(folder) / "cache")
        torch.set_num_threads(1)
        table = damage_table(Path(folder), n=options.n, seed=options.seed)
    columns = ("damages", *OUTCOMES)
    lines = [f"{'file':22}" + "".join(f"{column:>24}" for column in columns)]
    for name, counts in table.items():
        lines.append(f"{name:22}" + "".join(f"{n:24}" for n in (counts.total(), *(counts[each] for each in OUTCOMES))))
    sys.stdout.write("\n".join(lines) + "\n")
    return int(any(counts[OUTCOMES[-1]] for counts in table.values()))


if __name__ == "__main__":
    sys.exit(main())
