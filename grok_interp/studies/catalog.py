"""Which studies and figures there are, and to which study a run belongs. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence

from grok_interp.configs.data import require_own_kinds
from grok_interp.plugins import STUDY_GROUP, plugins
from grok_interp.runs.run import Run
from grok_interp.studies.copying.study import COPYING
from grok_interp.studies.modular.study import MODULAR
from grok_interp.studies.picture import Picture
from grok_interp.studies.study import Study

OWN: tuple[Study, ...] = (COPYING, MODULAR)


def studies() -> dict[str, Study]:
    """Name -> study: the package's own, then those of other packages.

    Raises ValueError for a plugin that cannot be loaded, and for one with the name, the kind of data or the figures of
    another study.
    """
    own = {study.name: study for study in OWN}
    brought = plugins(STUDY_GROUP, Study, taken=own)
    require_own_kinds(brought.values())
    for name, study in brought.items():
        if foreign := [figure for figure in study.pictures if figure.partition("/")[0] != name]:
            raise ValueError(f"figures of the study {name} must be named {name}/FIGURE, got {', '.join(foreign)}")
    return own | brought


def figures() -> dict[str, Picture]:
    """Full name -> figure, of all studies.

    Example:
        >>> figures()["copying/fig3"].description
        'copying at three batch sizes, against updates and tokens'
    """
    return {name: picture for study in studies().values() for name, picture in study.pictures.items()}


def study_of(run: Run) -> Study:
    """The study that a run belongs to.

    Args:
        run: a run of any study.

    Raises:
        ValueError: for a run on data of no study.

    Example:
        >>> from grok_interp import load_reference
        >>> study_of(load_reference("copier-mini")).name
        'copying'
    """
    for study in OWN:  # other packages are not looked at for a run of these
        if study.has(run):
            return study
    for study in studies().values():
        if study.has(run):
            return study
    raise ValueError(f"{run} belongs to no study: {type(run.config.data).__name__} is the data of none")


def require_runs_of(picture: Picture, runs: Sequence[Run]) -> None:
    """Raises ValueError for more runs than a figure is drawn from, and for runs of another study.

    Args:
        picture: the figure.
        runs: what it is drawn from.
    """
    if len(runs) > 1 and not picture.of_many:
        many = ", ".join(name for name, other in figures().items() if other.of_many)
        raise ValueError(f"{picture.name} is drawn from one run, got {len(runs)}; from many: {many}")
    of = picture.name.partition("/")[0]
    for run in runs:
        if (study := study_of(run)).name != of:
            raise ValueError(f"{picture.name} needs runs of the {of} study, {run} is one of {study.name}")
