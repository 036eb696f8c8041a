"""`reproduce`: the figures of the papers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from grok_interp.cli.engines import HERE, EngineFlags, EngineOptions
from grok_interp.cli.options import READABLE, OutputFlags, TrustSource
from grok_interp.cli.output import Output, command
from grok_interp.runs.run import Run
from grok_interp.studies.catalog import figures, require_runs_of, studies
from grok_interp.studies.picture import Picture

if TYPE_CHECKING:
    from grok_interp.engines.engine import Engine


def reproduce(
    figure: Annotated[Literal[tuple(figures())], tyro.conf.Positional],  # pyright: ignore[reportInvalidTypeForm]
    /,
    *,
    run: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction] = (),
    preset: str | None = None,
    seeds: int = 3,
    folder: Path | None = None,
    engine: EngineFlags = HERE,
    ensemble: int = 1,
    out: Path | None = None,
    device: str = "auto",
    trust_source: TrustSource = False,
    output: OutputFlags = READABLE,
) -> None:
    """Draw one figure of a paper, as SVG and PDF: from your own runs, or from a preset, training what is missing.

    Args:
        figure: the figure; `grok-interp list figures` describes each.
        run: a run's folder; those that compare runs take several (--run once for each).
        preset: instead of --run, train the figure's runs at this size, each with several seeds, or take those that are
            there: paper, mini, tiny, or mini-adamw, which is mini without Muon. After an interruption the same command
            resumes.
        seeds: how many seeds of each run, with --preset.
        folder: the folder of the preset's runs; runs/copier-mini if not given, and so on.
        engine: where runs are trained.
        ensemble: runs trained in lockstep in one process, where they differ in seeds and data only. Faster on a GPU,
            and for tiny models.
        out: output path without suffix; by default figures/NAME in the folder of the run, or of the runs.
        device: auto, cpu, cuda or cuda:N.
    """
    from grok_interp.cli.with_progress import runs_for

    if bool(run) == bool(preset):
        raise ValueError("reproduce needs --run DIR, or --preset SIZE to train the runs: one of the two")
    runs = [Run.open(directory, trust_source=trust_source) for directory in run]
    picture = figures()[figure]
    if preset:
        folder = folder or Path("runs") / f"{studies()[figure.partition('/')[0]].folders}-{preset}"
        where = _chosen(engine, ensemble, device, folder)
        runs = runs_for(
            picture, preset, folder, seeds=seeds, engine=where, n_members=ensemble, device=device, output=output
        )
    require_runs_of(picture, runs)
    out = out or _place(folder or runs[0].directory, figure)
    files = _draw(picture, runs, out, device, output)
    compared = preset and picture.experiment and picture.experiment.varied
    facts = {"figure": figure, "runs": runs, "files": files}
    output.finish(facts, made=files, then=command("grok-interp", "report", folder if compared else runs[0]))


def is_drawn(run: Run, figure: str) -> bool:
    """Is there a file of this figure in the run's folder?"""
    return _place(run.directory, figure).with_suffix(".svg").is_file()


def _place(folder: Path, figure: str) -> Path:
    """Of a figure's files, without suffix."""
    return folder / "figures" / figure.replace("/", "_")


def _chosen(engine: EngineOptions, n_members: int, device: str, folder: Path) -> Engine:
    """Raises ValueError for options that do not fit."""
    if n_members != 1 and engine != HERE:
        given = f"--jobs {engine.jobs}" if engine == EngineOptions(jobs=engine.jobs) else f"--engine {engine.engine}"
        raise ValueError(f"{given} or --ensemble {n_members}: one of the two")
    if n_members < 1:
        raise ValueError(f"--ensemble needs 1 run or more, got {n_members}")
    return engine.chosen(device, folder)


def _draw(picture: Picture, runs: Sequence[Run], out: Path, device: str, output: Output) -> list[Path]:
    """The files that were written."""
    from grok_interp.cli.with_progress import analyze_run
    from grok_interp.device import choose_device
    from grok_interp.plots.paper import save_figure

    for run in runs:
        analyze_run(run, device, output)
    files = save_figure(picture.draw(runs, device=choose_device(device), show=output.progress), out)
    for file in files:
        output.say(file)
    return files
