"""A figure: described once, drawn from the runs that it takes, its runs trained by its experiment."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import pytest

from grok_interp.configs import TrainConfig
from grok_interp.plots import TRAINING_STEP, Axis, Drawing, Line, Panel
from grok_interp.presets import training_preset
from grok_interp.progress import Advance, silent
from grok_interp.runs.run import Run
from grok_interp.studies import copying, modular
from grok_interp.studies.catalog import figures, studies
from grok_interp.studies.experiment import Experiment
from grok_interp.studies.picture import Picture, Pictures, ShowProgress

TINY = training_preset("modular-tiny")
RATES = Experiment(("learning_rate",), lambda run: [run, replace(run, learning_rate=1e-3)], {"tiny": TINY})


def drawn(n_runs: int) -> Drawing:
    return Drawing([Panel(TRAINING_STEP, Axis(f"of {n_runs}"), [Line([0], [0], "", "black")])])


@pytest.fixture
def pictures() -> Pictures:
    """One of a run, with an experiment; one of several, with something to prepare."""
    found = Pictures("waves")

    @found.of_run("one", "of one run", experiment=RATES)
    def one(run: Run, *, device: str = "cpu") -> Drawing:
        return drawn(1)

    def prepare(run: Run, device: str, show: ShowProgress) -> None:
        with show(f"preparing {run.directory.name} on {device}") as advance:
            advance(1, 1)

    @found.of_runs("many", "of several runs", prepare=prepare)
    def many(*runs: Run, device: str = "cpu") -> Drawing:
        return drawn(len(runs))

    return found


def run_of(directory: Path, config: TrainConfig = TINY) -> Run:
    return Run.create(directory, config)


def test_figures_keep_their_order_and_have_full_names(pictures: Pictures) -> None:
    assert list(pictures) == ["waves/one", "waves/many"]
    assert [picture.of_many for picture in pictures.values()] == [False, True]


def test_a_figure_is_drawn_from_as_many_runs_as_it_takes(pictures: Pictures, tmp_path: Path) -> None:
    runs = [run_of(tmp_path / name) for name in ("a", "b")]
    assert pictures["waves/many"].draw(runs).panels[0].y.label == "of 2"
    assert pictures["waves/one"].draw(runs[:1]).panels[0].y.label == "of 1"
    with pytest.raises(ValueError, match="waves/one is drawn from one run, got 2"):
        pictures["waves/one"].draw(runs)


def test_what_takes_long_is_prepared_for_each_run_with_its_progress(pictures: Pictures, tmp_path: Path) -> None:
    shown: list[str] = []

    @contextmanager
    def show(task: str) -> Iterator[Advance]:
        shown.append(task)
        with silent(task) as advance:
            yield advance

    pictures["waves/many"].draw([run_of(tmp_path / name) for name in ("a", "b")], device="meta", show=show)
    assert shown == ["preparing a on meta", "preparing b on meta"]


def test_an_experiment_names_the_runs_of_a_figure(pictures: Pictures, tmp_path: Path) -> None:
    sweep = pictures["waves/one"].sweep("tiny", tmp_path, n_seeds=3)
    assert list(sweep.runs) == [tmp_path / "baseline" / "seed0", tmp_path / "learning_rate=0.001" / "seed0"]
    with pytest.raises(ValueError, match="waves/one is trained at the sizes tiny, got --preset paper"):
        pictures["waves/one"].sweep("paper", tmp_path, n_seeds=3)
    with pytest.raises(ValueError, match="waves/many is drawn from your own runs: give --run DIR instead of --preset"):
        pictures["waves/many"].sweep("tiny", tmp_path, n_seeds=3)


def test_two_figures_of_one_name_are_refused(pictures: Pictures) -> None:
    with pytest.raises(ValueError, match="two figures are named waves/one: rename one of them"):
        pictures.of_run("one", "again")(lambda run, /, *, device: drawn(1))


@pytest.mark.parametrize("name", figures())
def test_every_figure_says_in_a_line_what_it_shows_and_can_be_trained(name: str) -> None:
    picture: Picture = figures()[name]
    assert picture.name == name and 20 < len(picture.description) < 80 and "\n" not in picture.description
    assert picture.experiment and "tiny" in picture.experiment.baselines


@pytest.mark.parametrize("name", studies())
def test_a_study_suggests_a_figure_of_its_own_and_its_presets_are_on_its_data(name: str) -> None:
    study = studies()[name]
    assert study.next_figure in study.pictures
    assert study.presets and all(isinstance(run.data, study.data) for _, run in study.presets.values())
    assert all(preset.startswith(f"{study.folders}-") for preset in study.presets)


@pytest.mark.parametrize("study", [copying, modular])
def test_each_figure_is_a_name_of_its_study_and_no_module_takes_that_name(study: ModuleType) -> None:
    """A module that is imported would take the figure's place."""
    figures_of_study = study.FIGURES.functions
    assert len(figures_of_study) == len(study.FIGURES) and set(figures_of_study) <= set(study.__all__)
    assert {module.name for module in iter_modules(study.__path__)} & set(study.__all__) == set()
