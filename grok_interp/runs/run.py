"""`Run`: a folder with a training configuration, checkpoints, metrics and results, opened once.

    config.json                             what is trained, the hash of its data, precision and threads
    metrics.jsonl                           one line per update: step, tokens, loss, grad_norm, learning_rate, seconds
    checkpoints/step_00000128.safetensors   weights only
    resume/step_00000125.state              weights, optimizer and step; the last two are kept
    results/                                what was evaluated
    report.html, figures/                   what was drawn

Opening reads config.json and nothing else; torch is imported when a model is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grok_interp.configs import ModelConfig, TrainConfig
from grok_interp.device import models_at_once
from grok_interp.results.analyzer import Analyzer, Found
from grok_interp.results.store import ResultStore
from grok_interp.runs.metrics import COLUMNS, metric_rows
from grok_interp.runs.record import kept_steps, parsed_record, read_record, write_record
from grok_interp.runs.saved_checkpoints import SavedCheckpoints
from grok_interp.runs.series_record import ModelSizes, SeriesRecord
from grok_interp.runs.trusted_sources import name_source, open_data, require_no_links_out

if TYPE_CHECKING:
    import pandas as pd

    from grok_interp.models.transformer import Transformer
    from grok_interp.training.batches import Batches
    from grok_interp.training.execution import Execution


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A training run on disk. Iterating yields its (step, model) pairs, so every analyzer accepts it.

    Args:
        directory: its folder.
        record: the content of config.json: `train`, and what is recorded beside it.
        trained: what is trained; None for checkpoints from elsewhere.

    Example:
        >>> from grok_interp import load_reference
        >>> run = load_reference("copier-mini")
        >>> run.steps[-1], run.config.model.n_layers, run.is_finished
        (4000, 3, True)
    """

    directory: Path
    record: Mapping[str, Any]
    trained: TrainConfig | None
    _made: dict[Any, Any] = field(default_factory=dict, init=False)  # see `once_per_run`

    @classmethod
    def open(cls, directory: Path | str, *, trust_source: bool = False) -> Run:
        """The run in a folder, from which it reads nothing outside the folder that you have not named.

        Args:
            directory: its folder.
            trust_source: name what its config.json and its links name: it is read, now and later.

        Raises:
            ValueError: where there is no run, for a config.json that is not valid, and for links that lead out.
        """
        record, config = read_record(directory)
        require_no_links_out(Path(directory), trust=trust_source)
        if isinstance(config, SeriesRecord):
            from grok_interp.runs.series_run import SeriesRun

            return SeriesRun(Path(directory), record, None)
        if trust_source:
            name_source(config)
        return cls(Path(directory), record, config)

    @classmethod
    def create(cls, directory: Path, config: TrainConfig, *, data: Batches | None = None, **noted: Any) -> Run:
        """A new run without checkpoints. config.json has the hash of its data, and what else is `noted`.

        Args:
            directory: its folder, which is made.
            config: the training run.
            data: what it trains on, if it is open already.
            noted: further entries of config.json.
        """
        of_data = {"data": {"hash": data.hash, "description": data.description}} if data else {}
        record: dict[str, Any] = {"train": config.to_dict(), **noted, **of_data}
        name_source(config)
        write_record(Path(directory), record)
        run = cls.open(directory)
        if data:
            run.__dict__["data"] = data  # as the cached property: it is open already
        return run

    @classmethod
    def write(cls, directory: Path, config: TrainConfig, checkpoints: Iterable[tuple[int, Transformer]]) -> Run:
        """Keep what `train(config)` yields. To resume after an interruption, use `run_training`.

        Args:
            directory: its folder, which is made.
            config: the training run; its data is opened, and its hash noted.
            checkpoints: (step, model) pairs; each is saved as it comes.
        """
        name_source(config)
        run = cls.create(directory, config, data=open_data(config, Path(directory), None))
        for step, model in checkpoints:
            run.checkpoints.save(step, model)
        return run

    @classmethod
    def below(
        cls, folder: Path, *, on_damage: Callable[[Path, str], object] | None = None, trust_source: bool = False
    ) -> list[Run]:
        """Every run in a folder or below it, sorted by path.

        Args:
            folder: is searched; what is in it may be anybody's.
            on_damage: called with the folder and the reason of each run that cannot be opened; all others are returned.
            trust_source: see `open`.
        """
        runs: list[Run] = []
        for file in sorted(Path(folder).rglob("config.json")):
            try:
                if parsed_record(file.parent) is not None:
                    runs.append(cls.open(file.parent, trust_source=trust_source))
            except (OSError, ValueError) as error:
                if on_damage:
                    on_damage(file.parent, str(error))
        return runs

    @property
    def config(self) -> TrainConfig:
        """Raises ValueError for a `SeriesRun`."""
        if self.trained is None:
            raise ValueError(f"{self} has checkpoints from elsewhere: this needs a run that was trained here")
        return self.trained

    @property
    def model(self) -> ModelConfig | ModelSizes:
        return self.config.model

    @cached_property
    def checkpoints(self) -> SavedCheckpoints:
        return SavedCheckpoints(self.directory / "checkpoints", self.config.model, kept_steps(self.record, self.config))

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps of the checkpoints on disk, sorted."""
        return self.checkpoints.steps

    @property
    def is_finished(self) -> bool:
        """Has it reached its last step?"""
        return self.config.n_steps in self.steps

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[tuple[int, Transformer]]:
        return iter(self.checkpoints)

    def load(self, step: int) -> Transformer:
        """The model at a step, in eval mode. Raises ValueError for a step without a checkpoint.

        Args:
            step: of a checkpoint.
        """
        return self.checkpoints.load(step)

    def at(self, steps: Iterable[int], *, device: str = "cpu") -> Iterator[tuple[int, Transformer]]:
        """(step, model) of the steps given, each model on `device`, a torch device.

        Args:
            steps: of checkpoints.
            device: a torch device.
        """
        return self.checkpoints.at(steps, device=device)

    @cached_property
    def data(self) -> Batches:
        """What it trains on. Raises ValueError when that has changed, and for text that this user has not named."""
        return open_data(self.config, self.directory, self.record.get("data", {}).get("hash"))

    @cached_property
    def results(self) -> ResultStore:
        return ResultStore(self.directory / "results")

    def evaluate(
        self,
        analyzers: Sequence[Analyzer[Found]],
        *,
        steps: Sequence[int] | None = None,
        device: str = "cpu",
        on_checkpoint: Callable[[int, int], None] | None = None,
    ) -> list[Found]:
        """The result of each analyzer at these steps; only what is not stored is evaluated, and stored.

        Args:
            analyzers: each checkpoint is loaded once for all of them.
            steps: of checkpoints; all there are if None.
            device: where models run, a torch device.
            on_checkpoint: called with (checkpoints done, checkpoints to do).

        Raises:
            ValueError: for a run without checkpoints and for a damaged one; what was evaluated before it is stored.
        """
        if not (steps := self.steps if steps is None else steps):
            raise ValueError(f"{self} has no checkpoints yet: train it first, with the same directory")
        at_once = models_at_once(self.model.n_params, device) if self.trained else 1  # others are loaded into one model
        options: dict[str, Any] = dict(steps=steps, device=device, at_once=at_once, on_checkpoint=on_checkpoint)
        found = self.results.evaluate(analyzers, self.checkpoints, **options)
        return [result.with_training(self.trained) for result in found]

    @property
    def data_hash(self) -> str:
        """Of what it was trained on; the data is opened only where none was noted."""
        return self.record["data"]["hash"] if "data" in self.record else self.data.hash

    @property
    def data_description(self) -> str:
        return self.record["data"]["description"] if "data" in self.record else self.data.description

    @property
    def execution(self) -> Execution | None:
        from grok_interp.training.execution import Execution

        return Execution(**self.record["execution"]) if "execution" in self.record else None

    @property
    def findings(self) -> tuple[str, ...]:
        """What an audit found in checkpoints from elsewhere, one line each."""
        return ()

    @property
    def metrics(self) -> pd.DataFrame:
        """One row per update: step, tokens, loss (nats), grad_norm, learning_rate, seconds; no damaged ones."""
        import pandas as pd

        return pd.DataFrame(metric_rows(self.directory / "metrics.jsonl"), columns=pd.Index(COLUMNS))

    def __str__(self) -> str:
        return str(self.directory)

    def __repr__(self) -> str:
        return f"Run.open({str(self)!r})"
