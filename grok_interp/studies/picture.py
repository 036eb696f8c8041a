"""`Picture`: a figure that `grok-interp reproduce` draws, described where it is drawn. Imports nothing heavy.

    FIGURES = Pictures("copying")

    @FIGURES.of_runs("fig3", "copying at three batch sizes", experiment=BATCH_SIZE)
    def figure_3(*runs: Run, device: str = "cpu") -> Drawing: ...

The module of the figures is imported by `grok-interp --help`, so a figure imports what it draws with when it is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

from grok_interp.arguments import checked
from grok_interp.runs.run import Run
from grok_interp.studies.experiment import Experiment
from grok_interp.studies.flagged import flagged

if TYPE_CHECKING:
    from grok_interp.plots.drawing import Drawing
    from grok_interp.progress import Advance
    from grok_interp.studies.sweep import Sweep


class ShowProgress(Protocol):
    """Shows the progress of a task while it is open: `progress.progress`, or `progress.silent`."""

    def __call__(self, task: str, /) -> AbstractContextManager[Advance]: ...


class Prepare(Protocol):
    """Evaluates and stores what a figure needs; models run on `device`."""

    def __call__(self, run: Run, device: str, show: ShowProgress, /) -> None: ...


class OfRun(Protocol):
    """Draws one analyzed run; models run on `device`."""

    def __call__(self, run: Run, /, *, device: str) -> Drawing: ...


class OfRuns(Protocol):
    """Draws analyzed runs of one study; models run on `device`."""

    def __call__(self, *runs: Run, device: str) -> Drawing: ...


DrawsRun = TypeVar("DrawsRun", bound=OfRun)
DrawsRuns = TypeVar("DrawsRuns", bound=OfRuns)
Options = ParamSpec("Options")


@dataclass(frozen=True)
class Picture:
    """A figure of a study.

    Args:
        name: STUDY/FIGURE, "copying/fig3".
        description: one line that helps to choose a figure.
        drawn_by: draws it.
        of_many: drawn from one run or more; otherwise from one.
        experiment: the runs that `reproduce --preset` trains for it; None for a figure of given runs only.
        prepare: evaluates and stores what takes long, with progress, before the figure is drawn; called with the run,
            the device and what shows the progress of a task.
    """

    name: str
    description: str
    drawn_by: OfRuns
    of_many: bool
    experiment: Experiment | None = None
    prepare: Prepare | None = None

    def draw(self, runs: Sequence[Run], *, device: str = "cpu", show: ShowProgress | None = None) -> Drawing:
        """The figure of analyzed runs of its study; its title says what an audit found in their checkpoints.

        Args:
            runs: one, or several where the figure is `of_many`.
            device: where models run, a torch device.
            show: shows the progress of what takes long; nothing is shown if None.

        Raises:
            ValueError: for several runs of a figure that is drawn from one.
        """
        if len(runs) > 1 and not self.of_many:
            raise ValueError(f"{self.name} is drawn from one run, got {len(runs)}")
        for run in runs:
            if self.prepare and show:
                self.prepare(run, device, show)
        drawing = self.drawn_by(*runs, device=device)
        return flagged(drawing, [each for run in runs for each in run.findings])

    def sweep(self, size: str, folder: Path, *, n_seeds: int) -> Sweep:
        """The runs that it is drawn from, in a folder; one seed where it is drawn from one run.

        Args:
            size: of the experiment's baseline.
            folder: of the runs.
            n_seeds: how many of each condition.

        Raises:
            ValueError: for a size that its experiment has not, and for a figure without an experiment.
        """
        if self.experiment is None:
            raise ValueError(f"{self.name} is drawn from your own runs: give --run DIR instead of --preset")
        if size not in (baselines := self.experiment.baselines):
            raise ValueError(f"{self.name} is trained at the sizes {', '.join(baselines)}, got --preset {size}")
        return self.experiment.sweep(baselines[size], folder, n_seeds=n_seeds if self.of_many else 1)


class Pictures(dict[str, Picture]):
    """The figures of a study by their full names, "copying/fig3", in the order in which they are described.

    Attributes:
        study: name of the study.
        functions: name of a function -> the function that draws a figure, with all its options.
    """

    def __init__(self, study: str) -> None:
        super().__init__()
        self.study = study
        self.functions: dict[str, Callable[..., Drawing]] = {}

    def of_run(
        self, name: str, description: str, *, experiment: Experiment | None = None, prepare: Prepare | None = None
    ) -> Callable[[DrawsRun], DrawsRun]:
        """Marks a function of one run as a figure.

        Args:
            name: without that of the study.
            description: one line that helps to choose a figure.
            experiment: the runs that `reproduce --preset` trains for it; None for a figure of given runs
                only.
            prepare: as in `Picture`.
        """

        def marked(draw: DrawsRun) -> DrawsRun:
            draw = checked(draw)  # pyright: ignore[reportAssignmentType]

            def drawn_by(*runs: Run, device: str) -> Drawing:
                return draw(runs[0], device=device)

            self._add(Picture(f"{self.study}/{name}", description, drawn_by, False, experiment, prepare), draw)
            return draw

        return marked

    def of_runs(
        self, name: str, description: str, *, experiment: Experiment | None = None, prepare: Prepare | None = None
    ) -> Callable[[DrawsRuns], DrawsRuns]:
        """Marks a function of one run or more as a figure.

        Args:
            name: without that of the study.
            description: one line that helps to choose a figure.
            experiment: the runs that `reproduce --preset` trains for it; None for a figure of given runs
                only.
            prepare: as in `Picture`.
        """

        def marked(draw: DrawsRuns) -> DrawsRuns:
            draw = _of_one_run_or_more(checked(draw))  # pyright: ignore[reportAssignmentType]
            self._add(Picture(f"{self.study}/{name}", description, draw, True, experiment, prepare), draw)
            return draw

        return marked

    def _add(self, picture: Picture, draw: Callable[..., Drawing]) -> None:
        if picture.name in self:
            raise ValueError(f"two figures are named {picture.name}: rename one of them")
        self[picture.name] = picture
        self.functions[draw.__name__] = draw  # pyright: ignore[reportAttributeAccessIssue]


def _of_one_run_or_more(draw: Callable[Options, Drawing]) -> Callable[Options, Drawing]:
    @wraps(draw)
    def drawn(*runs: Options.args, **options: Options.kwargs) -> Drawing:
        if not runs:
            raise ValueError("runs must be one run or more, got none: use Run.open(folder)")
        return draw(*runs, **options)

    return drawn
