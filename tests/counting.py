"""Counts what is opened, built, loaded and computed while something is done."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from grok_interp.models.transformer import Transformer
from grok_interp.runs import run as opening
from grok_interp.runs.saved_checkpoints import SavedCheckpoints
from grok_interp.studies.copying import copying_results as copying
from grok_interp.studies.modular import modular_inputs as modular
from grok_interp.training import batches

COUNTED = {  # what is counted -> where it is looked up
    "corpora": (batches, "open_corpus"),
    "tasks": (batches.ModularTasks, "draw"),
    "copying inputs": (copying.CopyingInputs, "build"),
    "modular inputs": (modular, "draw_contexts"),
    "loads": (SavedCheckpoints, "load"),
    "forward passes": (Transformer, "forward"),
}


@contextmanager
def counting() -> Iterator[Counter[str]]:
    found: Counter[str] = Counter()

    def counted(name: str, function: Any) -> Any:
        def count(*args: Any, **options: Any) -> Any:
            found[name] += 1
            return function(*args, **options)

        return count

    def load(series: SavedCheckpoints, step: int) -> Transformer:
        found[f"loads of step {step}"] += 1
        return loaded(series, step)

    def read_record(directory: Path) -> Any:
        found[f"opens of {directory}"] += 1
        return opened(directory)

    loaded, opened = SavedCheckpoints.load, opening.read_record
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SavedCheckpoints, "load", load)
        patch.setattr(opening, "read_record", read_record)
        for name, (owner, attribute) in COUNTED.items():
            patch.setattr(owner, attribute, counted(name, getattr(owner, attribute)))
        yield found
