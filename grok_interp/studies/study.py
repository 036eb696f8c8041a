"""`Study`: all that the command line, the reports and other packages know of a study. Imports nothing heavy.

A study of another package is an object of a subclass, found by an entry point (CONTRIBUTING.md shows one). Methods
import what they need when they are called, so that `grok-interp --help` stays instant.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from grok_interp.configs.data import DataSource
from grok_interp.runs.run import Run
from grok_interp.studies.claim import Claim
from grok_interp.studies.picture import Picture

if TYPE_CHECKING:
    from grok_interp.plots.page import Page
    from grok_interp.results.analyzer import Analyzer
    from grok_interp.studies.picture import ShowProgress
    from grok_interp.studies.run_results import RunResults

    OnCheckpoint = Callable[[int, int], None]  # (checkpoints done, checkpoints to do)

Results = TypeVar("Results", bound="RunResults")
LAST_PART = 10  # the training loss of a run is the mean of its last tenth


@dataclass(frozen=True)
class FolderReport:
    """The report of a folder of runs.

    Args:
        page: the file that was written.
        rows: what a terminal shows, a column for each key.
        facts: what a program is told, in plain values.
        answer: the result in one sentence.
        legend: what the rows show, in one sentence.
    """

    page: Path
    rows: Sequence[Mapping[str, object]]
    facts: Mapping[str, object]
    answer: str = ""
    legend: str = ""


class Study(DataSource):
    """From data to figures, for runs on one kind of data.

    Attributes:
        name: as of its entry point; its figures are named NAME/FIGURE.
        data: the class of the runs' `config.data`.
        presets: name -> (one line that helps to choose one, the run).
        pictures: full name -> figure, in the order of `grok-interp list figures`.
        claims: what the study's paper claims, and which experiment decides it; `grok-interp list claims`.
        folders: the first part of the names of its presets and of the folders that `reproduce --preset` fills.
        next_figure: the figure that is suggested first after the report of a run that was trained here.
        compared: dotted fields over which `folder_report` compares runs, beside their seeds.
    """

    pictures: Mapping[str, Picture]
    claims: Sequence[Claim] = ()
    folders: str
    next_figure: str
    compared: frozenset[str] = frozenset()

    def has(self, run: Run) -> bool:
        """Is it a run of this study?

        Args:
            run: any.
        """
        return run.trained is not None and isinstance(run.trained.data, self.data)

    @abstractmethod
    def evaluation_inputs(self, run: Run) -> object:
        """What all checkpoints of a run are evaluated on; a function of the run's configuration and data alone.

        Args:
            run: one of this study.
        """

    @abstractmethod
    def analyzers(self, run: Run) -> Sequence[Analyzer]:
        """What `analyze` evaluates, in the order of the fields of its results.

        Args:
            run: one of this study.
        """

    @abstractmethod
    def analyze(self, run: Run, *, device: str = "cpu", on_checkpoint: OnCheckpoint | None = None) -> RunResults:
        """The results at every checkpoint; what is not stored with the run is evaluated.

        Args:
            run: one of this study; it may still be training.
            device: where models run, a torch device.
            on_checkpoint: called with (checkpoints done, checkpoints to do).

        Raises:
            ValueError: for a run without checkpoints or with a damaged one.
        """

    def figure_after_report(self, run: Run) -> str:
        """The figure that is suggested after the report of a run: one that can be drawn of it.

        Args:
            run: one of this study.
        """
        del run
        return self.next_figure

    def analyze_shown(self, run: Run, *, device: str, show: ShowProgress) -> RunResults:
        """`analyze` with its progress shown, on as many threads as a model of this size uses well.

        Args:
            run: one of this study.
            device: where models run, a torch device.
            show: shows the progress of a task.
        """
        return analyze_shown(self.analyze, run, device=device, show=show)

    def store_for_report(self, run: Run, *, device: str) -> None:
        """Evaluate and store what the report of a run shows beside its results; by default nothing.

        Args:
            run: one of this study, analyzed.
            device: where models run, a torch device.
        """
        del run, device

    @abstractmethod
    def report_page(self, run: Run, *, threshold: float | None = None, device: str = "cpu") -> Page:
        """The report of a run, which may still be training; checkpoints that were not analyzed are analyzed.

        Args:
            run: one of this study.
            threshold: what counts as formed or learned; the study's own if None.
            device: where models run, a torch device.
        """

    def require_threshold(self, threshold: float | None) -> None:
        """Raises ValueError for a threshold that its reports cannot use; None, their own, is always one they can.

        Args:
            threshold: as of `report_page`.
        """
        del threshold

    def final_measures(self, run: Run) -> Mapping[str, float]:
        """What a sweep tabulates of an analyzed run: name of a measure -> its value at the last checkpoint.

        Args:
            run: one of this study, finished and analyzed.
        """
        losses = run.metrics["loss"]
        return {"training_loss": float(losses.tail(max(1, len(losses) // LAST_PART)).mean())}

    def folder_report(
        self, folder: Path, runs: Sequence[Run], *, threshold: float | None, device: str, show: ShowProgress
    ) -> FolderReport | None:
        """Write the report of a folder; None where this study does not compare its runs, as by default.

        Args:
            folder: of runs.
            runs: those of this study in it or below it, one or more.
            threshold: as of `report_page`.
            device: where models run, a torch device.
            show: shows the progress of what takes long.
        """
        del folder, runs, threshold, device, show
        return None


def analyze_shown(analyze: Callable[..., Results], run: Run, *, device: str, show: ShowProgress) -> Results:
    """`analyze` a run with its progress shown, on as many threads as a model of this size uses well.

    Args:
        analyze: as `Study.analyze`.
        run: of that study.
        device: where models run, a torch device.
        show: shows the progress of a task.
    """
    from grok_interp.device import choose_threads, threads

    with threads(choose_threads(run.model.n_params)), show("analyzing checkpoints") as advance:
        return analyze(run, device=device, on_checkpoint=advance)


def write_report(run: Run, page: Page, *, on_figure: Callable[[int, int], None] | None = None) -> Path:
    """report.html of a run, and its figures as SVG and PDF in `figures`; the page's path.

    Args:
        run: its folder is written to.
        page: the report.
        on_figure: is told how many figures are done, of how many.
    """
    page.save_figures(run.directory / "figures", on_figure=on_figure)
    return page.write(run.directory / "report.html")
