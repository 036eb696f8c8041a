"""A sweep over any fields of a configuration: every combination of their values, noted in the folder.

FOLDER/sweep.json                        the run that is varied, the values of each field, the number of seeds
FOLDER/learning_rate=0.003/seed0         a run each
"""

from __future__ import annotations

import itertools
import json
import math
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from grok_interp.checksums import is_unaltered, with_sha256
from grok_interp.configs import TrainConfig
from grok_interp.configs.fields import fields_of, with_fields
from grok_interp.files import write_atomically, write_text
from grok_interp.studies.sweep import Sweep

FILE = "sweep.json"
UNCHANGED = "unchanged"  # the condition of a sweep over seeds alone
MOST_RUNS, LONGEST_NAME = 10_000, 200


@dataclass(frozen=True)
class Grid:
    """Every combination of values.

    Args:
        config: the run that is varied.
        varied: dotted field -> its values; none for seeds alone.
        n_seeds: of each combination.

    Example:
        >>> from grok_interp import training_preset
        >>> list(Grid(training_preset("copier-tiny"), {"batch_size": (2, 4), "weight_decay": (0.0,)}, 1).conditions)
        ['batch_size=2,weight_decay=0.0', 'batch_size=4,weight_decay=0.0']
    """

    config: TrainConfig
    varied: Mapping[str, Sequence[object]]
    n_seeds: int

    def __post_init__(self) -> None:
        n_runs = self.n_seeds * math.prod(map(len, self.varied.values()))
        if n_runs > MOST_RUNS:
            raise ValueError(f"a sweep has {MOST_RUNS:,} runs at most, these values and seeds make {n_runs:,}")
        if unknown := set(self.varied) - set(fields_of(self.config)):
            raise ValueError(f"no field {', '.join(sorted(unknown))} to vary")

    @property
    def settings(self) -> dict[str, dict[str, object]]:
        """Name of a condition -> the values of the varied fields. Raises ValueError for two of one name."""
        combinations = [dict(zip(self.varied, each, strict=True)) for each in itertools.product(*self.varied.values())]
        named = {_name(combination): combination for combination in combinations}
        if len(named) < len(combinations):
            raise ValueError("two combinations of these values have one folder name: rename one of the values")
        return named

    @property
    def conditions(self) -> dict[str, TrainConfig]:
        """Name -> configuration. Raises ValueError for a combination that cannot be trained."""
        found: dict[str, TrainConfig] = {}
        for name, values in self.settings.items():
            try:
                found[name] = with_fields(self.config, values)
            except ValueError as error:
                raise ValueError(f"{name} cannot be trained: {error}") from error
        return found

    def sweep(self, folder: Path) -> Sweep:
        """Its runs in a folder. Raises ValueError as `conditions` does.

        Args:
            folder: of the runs.
        """
        return Sweep(Path(folder), self.conditions, self.n_seeds)

    def write(self, folder: Path) -> None:
        """Note it in the folder, in place of what was noted there.

        Args:
            folder: of the runs.
        """
        varied = {name: list(values) for name, values in self.varied.items()}
        noted = {"train": self.config.to_dict(), "varied": varied, "n_seeds": self.n_seeds}
        write_text(Path(folder) / FILE, json.dumps(with_sha256({"sweep": noted}), indent=1) + "\n")

    @contextmanager
    def noted(self, folder: Path) -> Iterator[None]:
        """Inside, it is noted in the folder. If it is refused before a run has begun, the folder is as it was before.

        Args:
            folder: of the runs.
        """
        file, is_new, begun = Path(folder) / FILE, not Path(folder).exists(), self._begun(folder)
        before = file.read_bytes() if file.is_file() else None
        self.write(folder)
        try:
            yield
        except ValueError:
            if self._begun(folder) == begun:
                _put_back(file, before)
                if is_new:
                    shutil.rmtree(folder)
            raise

    def _begun(self, folder: Path) -> set[Path]:
        return {directory for directory in self.sweep(folder).runs if directory.exists()}


def is_grid(folder: Path) -> bool:
    """Was a sweep over fields begun in this folder?

    Args:
        folder: any path.
    """
    return (Path(folder) / FILE).is_file()


def read_grid(folder: Path) -> Grid:
    """The sweep that is noted in a folder.

    Args:
        folder: of a sweep.

    Raises:
        ValueError: for a file that is damaged, or was altered.
    """
    file = Path(folder) / FILE
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if not is_unaltered(record):
            raise ValueError("its SHA-256 is another")
        noted = record["sweep"]
        varied = {name: tuple(map(_value, values)) for name, values in noted["varied"].items()}
        return Grid(TrainConfig.from_dict(noted["train"]), varied, int(noted["n_seeds"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{file} is damaged ({error}): repeat the command of the sweep, it is written anew") from error


def _put_back(file: Path, before: bytes | None) -> None:
    if before is None:
        file.unlink()
    else:
        write_atomically(file, lambda scratch: scratch.write_bytes(before))


def _value(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _name(values: Mapping[str, object]) -> str:
    """learning_rate=0.003,weight_decay=0.1, of characters that any file system has."""
    text = ",".join(f"{field}={_shown(value)}" for field, value in values.items()) or UNCHANGED
    if len(text) > LONGEST_NAME:
        raise ValueError(f"the folder of a combination would have a name of {len(text)} characters: vary less")
    return re.sub(r"[^A-Za-z0-9_.,=+-]", "_", text)


def _shown(value: object) -> str:
    return "+".join(map(str, value)) if isinstance(value, tuple) else str(value)
