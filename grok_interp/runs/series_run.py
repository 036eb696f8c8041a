"""`SeriesRun`: the results of a series of checkpoints that another training made, in a run's folder.

config.json refers to the series: its source as it was named, the checksum and the config of each checkpoint, the sizes
of the models. Results are stored under both: after a repair of the config they are computed again.
The source is opened by whoever names it (`grok-interp analyze SOURCE --run DIR`). A folder that is only opened reads
nothing but itself: no network, no path that its config.json names.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grok_interp.results.analyzer import Analyzer, Found
from grok_interp.runs.record import is_run, write_record
from grok_interp.runs.run import Run
from grok_interp.runs.series import CheckpointSeries
from grok_interp.runs.series_record import LONGEST, ModelSizes, SeriesRecord, result_names

if TYPE_CHECKING:
    from torch import Tensor

    from grok_interp.runs.audit import Audit

NO_TRAINING = "training data that is not known"


class NotEvaluatedError(ValueError):
    """A model is needed, and its series was not named."""


@dataclass(frozen=True)
class NotedSeries(CheckpointSeries):
    """A series whose steps and checksums are noted.

    Args:
        checksums: step -> what results are stored under, in the order of steps.
        opened: the series itself, where it was named.
        remedy: what to do where a model is needed and it was not named.
    """

    checksums: Mapping[int, str]
    opened: CheckpointSeries | None
    remedy: str

    @property
    def steps(self) -> tuple[int, ...]:
        return tuple(self.checksums)

    def checksum(self, step: int) -> str:
        return self.checksums[step]

    def load(self, step: int) -> Any:
        return self._opened([step]).load(step)

    def at(self, steps: Iterable[int], *, device: str = "cpu") -> Iterator[tuple[int, Any]]:
        wanted = list(steps)
        return self._opened(wanted).at(wanted, device=device) if wanted else iter(())

    def _opened(self, steps: Sequence[int]) -> CheckpointSeries:
        if self.opened is None:
            which = f"step {steps[0]}" if len(steps) == 1 else f"{len(steps)} steps"
            raise NotEvaluatedError(f"not evaluated at {which}: {self.remedy}")
        return self.opened


@dataclass(frozen=True, eq=False, repr=False)
class SeriesRun(Run):
    """A run whose checkpoints are elsewhere.

    Args:
        series: the checkpoints; None where they were not named, and only stored results can be read.
    """

    series: CheckpointSeries | None = None

    @classmethod
    def of_series(
        cls, directory: Path | str, series: CheckpointSeries, *, source: str, options: Sequence[str] = ()
    ) -> SeriesRun:
        """The run in a folder for the results of a series; a new one, or the one that refers to the same source.

        Args:
            directory: its folder.
            series: the checkpoints. The first is loaded to read its sizes, if that was not done before.
            source: how the series is named, in reports and in commands to repeat.
            options: further words of that command.

        Raises:
            ValueError: for a folder that holds anything else.
        """
        directory, before = Path(directory), None
        if is_run(directory):
            before = Run.open(directory)
            if not isinstance(before, SeriesRun) or before.source.source != source:
                what = f"the results of {before.source.source}" if isinstance(before, SeriesRun) else "another run"
                raise ValueError(f"{directory} holds {what}: give --run another directory for {source}")
        elif directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise ValueError(f"{directory} holds files but no run: give --run a new or an empty directory")
        checksums = {step: series.checksum(step) for step in series.steps}
        configs = {step: named for step in series.steps if (named := series.config_hash(step))}
        first = next(iter(result_names(checksums, configs).items()))  # its sizes are noted
        known = before is not None and next(iter(before.source.result_names.items())) == first
        noted = SeriesRecord(
            source=source,
            options=tuple(options),
            checksums=checksums,
            model=before.source.model if before and known else sizes_of_series(series),
            tokens_per_step=series.tokens_per_step,
            findings=_findings_of_files(series),
            configs=configs,
        )
        record = {"series": noted.to_dict()}
        write_record(directory, record)
        return cls(directory, json.loads(json.dumps(record)), None, series)

    @cached_property
    def source(self) -> SeriesRecord:
        """What config.json says of the series."""
        return SeriesRecord.from_dict(self.record["series"])

    @property
    def model(self) -> ModelSizes:
        return self.source.model

    @cached_property
    def checkpoints(self) -> NotedSeries:  # pyright: ignore[reportIncompatibleVariableOverride]
        return NotedSeries(self.source.result_names, self.series, f"`{self.command()}` does it")

    def command(self, *more: str) -> str:
        """The command that evaluates what is missing, with further words."""
        words = ["grok-interp", "analyze", self.source.source, "--run", str(self), *self.source.options, *more]
        return shlex.join(words)

    @property
    def is_finished(self) -> bool:
        return True

    @property
    def data_hash(self) -> str:
        return f"series {self.source.source}"

    @property
    def data_description(self) -> str:
        return NO_TRAINING

    def evaluate(
        self,
        analyzers: Sequence[Analyzer[Found]],
        *,
        steps: Sequence[int] | None = None,
        device: str = "cpu",
        on_checkpoint: Callable[[int, int], None] | None = None,
    ) -> list[Found]:
        """As `Run.evaluate`, and a sketch of the weights is noted, for `audit`.

        Where the series was not named, at the steps that have been evaluated.

        Raises:
            NotEvaluatedError: if the series was not named, and nothing, or not every step given, has been evaluated.
        """
        from grok_interp.runs.weight_sketches import SKETCHES

        if steps is None:
            steps = self.steps if self.series else self.evaluated(analyzers)
        noted: list[Analyzer] = [SKETCHES] if self.series and SKETCHES not in analyzers else []
        found = super().evaluate([*analyzers, *noted], steps=steps, device=device, on_checkpoint=on_checkpoint)
        return found[: len(analyzers)]

    def evaluated(self, analyzers: Sequence[Analyzer]) -> tuple[int, ...]:
        """The steps whose results are stored. Raises NotEvaluatedError if there is none."""
        missing = {step for each in analyzers for step in self.results.missing(each, self.checkpoints, self.steps)}
        if not (found := tuple(step for step in self.steps if step not in missing)):
            raise NotEvaluatedError(f"{self} has no results of this kind yet: `{self.command()}` evaluates it")
        return found

    @cached_property
    def audit(self) -> Audit:
        """Faults of the series, from what was noted when it was named and evaluated; nothing is loaded then."""
        from grok_interp.runs.audit import audit_of_sketches
        from grok_interp.runs.findings import Finding
        from grok_interp.runs.weight_sketches import SKETCHES

        (sketches,) = self.evaluate([SKETCHES])
        noted = sketches.each
        found = audit_of_sketches({step: self.source.checksums[step] for step in noted}, noted)
        of_files = (Finding(*each) for each in self.source.findings)
        return replace(found, findings=(*of_files, *found.findings))

    @property
    def findings(self) -> tuple[str, ...]:
        return tuple(map(str, self.audit.findings))


def _findings_of_files(series: CheckpointSeries) -> tuple[tuple[str, tuple[int, ...], str], ...]:
    from grok_interp.runs.audit import findings_of_files

    return tuple((each.kind, each.steps, each.message[:LONGEST]) for each in findings_of_files(series))


def sizes_of_series(series: CheckpointSeries) -> ModelSizes:
    """Those of its first checkpoint, which is loaded."""
    n_params = _n_params(series.weights(series.steps[0]))
    model = series.load(series.steps[0])
    cfg = model.cfg
    sizes = {name: int(getattr(cfg, name)) for name in ("n_layers", "n_heads", "d_model", "d_vocab", "n_ctx")}
    name = getattr(cfg, "model_name", None) or type(model).__name__
    return ModelSizes(architecture=str(name), n_params=n_params, **sizes)


def _n_params(weights: Mapping[str, Tensor]) -> int:
    """Of what is stored, tied weights once: a bridge has biases and copies that its checkpoint does not have."""
    return sum({each.data_ptr(): each.numel() for each in weights.values()}.values())
