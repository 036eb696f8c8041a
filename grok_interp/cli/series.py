"""Series of checkpoints from elsewhere, as the command line names them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from grok_interp.cli.given_model import given_model
from grok_interp.places import user_path
from grok_interp.runs.run import Run
from grok_interp.runs.series_run import SeriesRun
from grok_interp.studies.catalog import study_of

if TYPE_CHECKING:
    from grok_interp.runs.series import CheckpointSeries

HUB = "hub:"
NO_SERIES = (
    "no series of checkpoints at {}: expected a run's folder, a folder with checkpoint-500 and the like, files with "
    "{{step}} in their name, as 'ckpts/model_{{step}}.pt', or hub:OWNER/NAME"
)


@dataclass(frozen=True)
class CheckpointOptions:
    """How a series from elsewhere is read.

    Args:
        every: use every n-th checkpoint, counted from the first, and the last.
        skip: steps that are left out of these, for checkpoints that cannot be used.
        revisions: of a hub, names, or a pattern with {step}; by default the names that known suites use.
        max_gb: limit of the download cache, by default 20; the least recently used files are deleted first.
        model: the model that weights are loaded into: FILE.py:NAME, a model or a function that returns one (the file is
            executed), or a preset's name.
    """

    every: int = 1
    skip: tuple[int, ...] = ()
    revisions: tuple[str, ...] = ()
    max_gb: float | None = None
    model: str | None = None

    @property
    def words(self) -> list[str]:
        """Those that name the same checkpoints again; the others are noted with the run."""
        named = {"--every": self.every if self.every != 1 else None, "--skip": self.skip, "--revisions": self.revisions}
        named |= {"--max-gb": self.max_gb, "--model": self.model}
        values = {name: value if isinstance(value, tuple) else (value,) for name, value in named.items() if value}
        return [str(word) for name, given in values.items() for word in (name, *given)]

    @property
    def named_revisions(self) -> tuple[str, ...] | str | None:
        """Names, a pattern, or None where nothing was given. Raises ValueError for a pattern beside others."""
        patterns = [each for each in self.revisions if "{" in each]
        if patterns and len(self.revisions) > 1:
            raise ValueError(
                f"--revisions takes names of revisions, or one pattern; {patterns[0]!r} is a pattern, and "
                f"{len(self.revisions)} were given"
            )
        return patterns[0] if patterns else self.revisions or None


@dataclass(frozen=True)
class SeriesOptions(CheckpointOptions):
    """How a series from elsewhere is read, and what it is evaluated on.

    Args:
        tokenizer: a tokenizer.json; by default the one that comes with the checkpoints.
        bos: id of the first token of each sequence; by default that of the tokenizer.
        text: a text file for the validation loss; without one there is none.
    """

    tokenizer: Path | None = None
    bos: int | None = None
    text: Path | None = None


CheckpointFlags = Annotated[CheckpointOptions, tyro.conf.arg(name="")]
SeriesFlags = Annotated[SeriesOptions, tyro.conf.arg(name="")]
AS_NAMED = CheckpointOptions()
DEFAULTS = SeriesOptions()


def open_analyzed(
    source: str, directory: Path | None, options: SeriesOptions, figures: tuple[str, ...], *, trust_source: bool
) -> Run:
    """What `analyze` is to evaluate. Raises ValueError for a series without a folder for it, or options without one."""
    if directory:
        if trust_source:
            raise ValueError(f"--trust-source is for runs, and {source} is a series of checkpoints: leave it out")
        run = open_series_run(source, directory, options)
        pictures = study_of(run).pictures
        if unknown := [name for name in figures if name not in pictures]:
            raise ValueError(f"no figure {', '.join(unknown)} of a series; there are {', '.join(pictures)}")
        return run
    if source.startswith(HUB) or "{" in source or next(Path(source).glob("checkpoint-*"), None):
        raise ValueError(f"{source} is a series of checkpoints from elsewhere: give --run DIR, where results are kept")
    if options != DEFAULTS or figures:
        raise ValueError(f"options of a series from elsewhere need --run DIR, and {source} is a run: leave them out")
    return Run.open(source, trust_source=trust_source)


def open_series_run(source: str, directory: Path, options: SeriesOptions) -> SeriesRun:
    """The run in a folder for the results of a series that was named. Raises ValueError where there is no series."""
    from grok_interp.studies.copying.series_inputs import note_inputs

    for file in (options.tokenizer, options.text):
        if file and not file.is_file():
            raise ValueError(f"no file {file}: give --tokenizer and --text files")
    series = series_at(source, options, with_models=True)
    run = SeriesRun.of_series(directory, series, source=source, options=options.words)
    note_inputs(run, tokenizer=options.tokenizer, bos=options.bos, text=options.text)
    return run


def series_at(source: str, options: CheckpointOptions = AS_NAMED, *, with_models: bool = False) -> CheckpointSeries:
    """The series of that name. Raises ValueError where there is none.

    Args:
        source: hub:OWNER/NAME, a pattern of files or folders with {step}, or Trainer's output_dir.
        options: how it is read.
        with_models: its models will be loaded, not only weights: files of weights need `options.model`.
    """
    from grok_interp.runs.step_patterns import chosen_steps

    if options.every < 1:
        raise ValueError(f"--every must be 1 or more, got {options.every}")
    if options.max_gb is not None and not options.max_gb > 0:
        raise ValueError(f"--max-gb must be above 0, got {options.max_gb}")
    _refuse_unused(source, options)
    if source.startswith(HUB):
        from grok_interp.runs.hub_series import CACHE_GB, ON_THE_COMMAND_LINE, hub_series

        return hub_series(
            source.removeprefix(HUB),
            revisions=options.named_revisions,
            every=options.every,
            skip=options.skip,
            keywords=ON_THE_COMMAND_LINE,
            max_gb=CACHE_GB if options.max_gb is None else options.max_gb,
        )
    found = _local(source, options, with_models)
    chosen = chosen_steps(found.paths, every=options.every, skip=options.skip, keyword="--skip {}")
    return replace(found, paths=chosen, there=tuple(found.paths))


def _refuse_unused(source: str, options: CheckpointOptions) -> None:
    """Raises ValueError for an option that would change nothing."""
    if source.startswith(HUB):
        _refuse_model(source, options)
    elif options.revisions:
        raise ValueError(f"--revisions are those of a hub, and {source} is none: leave it out, or name hub:OWNER/NAME")
    elif options.max_gb is not None:
        raise ValueError(f"--max-gb limits downloads from a hub, and {source} is none: leave it out")


def _refuse_model(source: str, options: CheckpointOptions) -> None:
    if options.model is not None:
        raise ValueError(
            f"--model is what files of weights are loaded into, and the checkpoints of {source} have a config.json: "
            "leave it out"
        )


def _local(source: str, options: CheckpointOptions, with_models: bool) -> Any:
    from grok_interp.runs.series import CheckpointSeries

    place = user_path(source)
    if "{" not in source:
        if not next(place.glob("checkpoint-*"), None):
            raise ValueError(NO_SERIES.format(source))
        _refuse_model(source, options)
        return CheckpointSeries.from_huggingface_folder(place)
    found: Any = CheckpointSeries.from_files(place)
    if next(iter(found.paths.values())).is_dir():
        _refuse_model(source, options)
        return CheckpointSeries.from_huggingface_folder(place.parent, pattern=place.name)
    if options.model is not None:
        return CheckpointSeries.from_files(place, model=given_model(options.model))
    if with_models:
        raise ValueError(
            f"{source} are files of weights: give --model, what they are loaded into: FILE.py:NAME (a model, or a "
            "function that returns one; a plain torch model in a TorchAdapter), or a preset of `grok-interp list "
            "presets`"
        )
    return found
