"""Sweeps over any fields: cells, the real command, failures that are kept, resuming, the table."""

import math
from pathlib import Path

import numpy as np
import pytest

from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.engines.engine import FailedCellsError, attempted
from grok_interp.plots.marks import Limits
from grok_interp.presets import training_preset
from grok_interp.runs.metrics import last_step
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.grid import Grid, is_grid, read_grid
from grok_interp.studies.grid_report import _answer, _drawing
from grok_interp.studies.sweep import failure_of
from grok_interp.studies.sweep_progress import runs_progress
from grok_interp.studies.sweep_table import OverSeeds, SweptRun, shown_cells, table_of_cells

MODULAR = training_preset("modular-tiny")
CELLS = [f"learning_rate={rate},weight_decay={decay}" for rate in (0.003, 0.006) for decay in (0.0, 0.1)]


def modular(folder: Path, *words: str) -> list[str]:
    return ["sweep", "modular-tiny", "--n-steps", "4", "--warmup-steps", "0", "--folder", str(folder), *words]


def test_every_combination_is_a_cell() -> None:
    grid = Grid(MODULAR, {"learning_rate": (0.003, 0.006), "weight_decay": (0.0, 0.1)}, 2)
    assert list(grid.conditions) == CELLS
    assert [(each.learning_rate, each.weight_decay) for each in grid.conditions.values()] == [
        (0.003, 0.0),
        (0.003, 0.1),
        (0.006, 0.0),
        (0.006, 0.1),
    ]
    runs = grid.sweep(Path("folder")).runs
    assert len(runs) == 8
    assert {(config.init_seed, config.data_seed) for config in runs.values()} == {(0, 0), (1, 1)}


def test_seeds_alone_are_one_cell() -> None:
    assert Grid(MODULAR, {}, 3).conditions == {"unchanged": MODULAR}


def test_names_of_cells_are_names_of_folders(tiny: TrainConfig) -> None:
    grid = Grid(tiny, {"data.source": ("a/b c.txt",), "betas": ((0.9, 0.95),)}, 1)
    assert list(grid.conditions) == ["data.source=a_b_c.txt,betas=0.9+0.95"]
    with pytest.raises(ValueError, match="two combinations of these values have one folder name"):
        _ = Grid(tiny, {"data.source": ("a/b", "a_b")}, 1).conditions
    with pytest.raises(ValueError, match="a name of 312 characters: vary less"):
        _ = Grid(tiny, {"data.source": ("x" * 300,)}, 1).conditions


def test_cells_that_cannot_be_trained_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="batch_size=0 cannot be trained: TrainConfig: batch_size must be at least 1"):
        _ = Grid(MODULAR, {"batch_size": (8, 0)}, 1).conditions
    with pytest.raises(ValueError, match="10,000 runs at most, these values and seeds make 10,001"):
        Grid(MODULAR, {"batch_size": (4,)}, 10_001)


def test_a_grid_is_read_back_and_an_altered_one_is_refused(tmp_path: Path) -> None:
    grid = Grid(MODULAR, {"betas": ((0.9, 0.95), (0.9, 0.99)), "micro_batch_size": (None, 2)}, 2)
    assert not is_grid(tmp_path)
    grid.write(tmp_path)
    assert is_grid(tmp_path) and read_grid(tmp_path) == grid
    file = tmp_path / "sweep.json"
    file.write_text(file.read_text().replace('"n_seeds": 2', '"n_seeds": 3'))
    with pytest.raises(ValueError, match="sweep.json is damaged .its SHA-256 is another.: repeat the command"):
        read_grid(tmp_path)


def test_the_last_step_of_a_log(tmp_path: Path, tiny: TrainConfig) -> None:
    assert last_step(tmp_path / "none.jsonl") == 0
    run = run_training(tmp_path / "run", tiny)
    file = run.directory / "metrics.jsonl"
    assert last_step(file) == 20
    file.write_bytes(file.read_bytes()[:-7])
    assert last_step(file) == 19, "the last line is cut short"


def test_progress_is_the_updates_of_all_runs(tmp_path: Path, tiny: TrainConfig) -> None:
    run_training(tmp_path / "one", tiny)
    told: list[tuple] = []
    runs = {name: (tmp_path / name, tiny) for name in ("one", "two")}
    with runs_progress(runs, lambda *progress: told.append(progress)) as note:
        note(attempted(lambda cell: cell, "one", 1))
        while not told:
            pass
        note(attempted(lambda cell: 1 // cell, "two", 0))
    assert told[0] == (20, 40, "updates; 1 of 2 runs")
    assert told[-1] == (40, 40, "updates; 2 of 2 runs, 1 failed")


def test_a_failure_says_what_and_where() -> None:
    outcome = attempted(lambda cell: 1 // cell, "cell", 0)
    assert (outcome.name, outcome.made, outcome.failure) == (
        "cell",
        None,
        "ZeroDivisionError: integer division or modulo by zero",
    )
    assert "test_sweep_grid.py" in outcome.details
    assert attempted(int, "cell", "x").failure == "invalid literal for int() with base 10: 'x'"


def test_a_message_lists_the_first_failures() -> None:
    failures = {f"seed{seed}": "why" for seed in range(10)}
    lines = str(FailedCellsError(failures, 12)).splitlines()
    assert lines[0] == "10 of 12 failed, the others are finished; the same command tries again:"
    assert lines[1:] == [*(f"  seed{seed} failed: why" for seed in range(8)), "  and 2 more"]


def test_intervals_are_over_the_finished_seeds() -> None:
    runs = [SweptRun("one", seed, "finished", "", {}, {"loss": float(seed)}) for seed in (1, 2, 3)]
    runs += [SweptRun("two", 0, "finished", "", {}, {"loss": 5.0}), SweptRun("two", 1, "failed", "why", {})]
    one, two = table_of_cells(runs)
    assert (one["seeds"], one["status"], two["status"]) == (3, "finished", "1 finished, 1 failed")
    mean, low, high = one["loss"]
    assert mean == 2 and math.isclose(high - 2, 4.303 / math.sqrt(3), rel_tol=1e-3) and math.isclose(2 - low, high - 2)
    assert [row["loss"] for row in shown_cells([one, two])] == ["2 [-0.484, 4.48]", "5"]


def test_seeds_that_agree_have_no_interval_of_width_0() -> None:
    measures = ({"exact_match": 0.0, "loss": 1.1}, {"exact_match": 0.0, "loss": 1.2}, {"exact_match": 0.0, "loss": 1.3})
    (cell,) = table_of_cells([SweptRun("one", seed, "finished", "", {}, each) for seed, each in enumerate(measures)])
    assert cell["exact_match"][0] == 0 and np.isnan(cell["exact_match"][1:]).all()
    shown = shown_cells([cell])[0]
    assert shown["exact_match"] == "0 (all 3 seeds agree)" and shown["loss"] == "1.2 [0.952, 1.45]"


@pytest.mark.parametrize(
    ("values", "limits"),
    [((0.0, 0.0), (0, 1)), ((0.4, 0.4), (0, 1)), ((0.0, 0.1), (None, None)), ((3, 3), (None, None))],
)
def test_an_accuracy_that_all_cells_share_is_drawn_from_0_to_1(values: tuple[float, ...], limits: Limits) -> None:
    cells = [{"cell": str(i), "exact_match": OverSeeds.of(np.array([value]))} for i, value in enumerate(values)]
    (panel,) = _drawing(cells).panels
    assert panel.y.limits == limits


def test_a_dry_run_lists_the_cells_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--vary", "learning-rate=0.003,0.006", "--vary", "weight_decay=0,0.1", "--seeds", "2", "--dry-run"]
    assert main(modular(tmp_path / "sweep", *words)) == 0
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()[1:5]] == CELLS
    assert printed.count("not begun") == 4 and "4 cells, 8 runs of 4 updates" in printed
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--vary", "lerning_rate=1"], "close to it: learning_rate"),
        (["--vary", "batch_size=2", "--vary", "batch-size=4"], "--vary batch_size is given twice"),
        (["--seeds", "0"], "needs 1 seed or more, got 0"),
        (["--jobs", "0"], "--jobs needs 1 process or more, got 0"),
    ],
)
def test_what_cannot_be_swept_is_refused(words: list[str], message: str, tmp_path: Path, capsys) -> None:
    assert main(modular(tmp_path / "sweep", *words)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "sweep").exists()


def test_the_message_goes_when_the_run_is_finished(tiny: TrainConfig, tmp_path: Path) -> None:
    sweep = Grid(tiny, {"batch_size": (2, 4)}, 1).sweep(tmp_path / "sweep")
    faulty = {"batch_size=2"}

    def train(directory: Path, config: TrainConfig) -> None:
        if directory.parent.name in faulty:
            raise OSError(28, "No space left on device")
        run_training(directory, config)

    with pytest.raises(FailedCellsError, match="1 of 2 failed") as raised:
        sweep.complete(train)
    assert raised.value.failures == {"batch_size=2/seed0": "OSError: [Errno 28] No space left on device"}
    faulty.clear()
    sweep.complete(train)
    assert not failure_of(tmp_path / "sweep" / "batch_size=2" / "seed0")
    assert all(Run.open(directory).is_finished for directory in sweep.runs)


def refused() -> None:
    raise ValueError("no engine here")


def test_a_sweep_that_is_refused_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    folder, first, second = tmp_path / "sweep", Grid(MODULAR, {}, 1), Grid(MODULAR, {}, 2)
    with pytest.raises(ValueError, match="no engine here"), first.noted(folder):
        refused()
    assert list(tmp_path.iterdir()) == []
    folder.mkdir()
    (folder / "notes.txt").touch()
    with pytest.raises(ValueError, match="no engine here"), first.noted(folder):
        refused()
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]
    first.write(folder)
    with pytest.raises(ValueError, match="no engine here"), second.noted(folder):
        refused()
    assert read_grid(folder) == first


def test_a_sweep_that_fails_after_a_run_has_begun_stays_noted(tmp_path: Path) -> None:
    grid = Grid(MODULAR, {}, 1)
    with pytest.raises(ValueError, match="no engine here"), grid.noted(tmp_path):
        next(iter(grid.sweep(tmp_path).runs)).mkdir(parents=True)
        refused()
    assert read_grid(tmp_path) == grid


def test_the_page_of_a_sweep_answers_from_which_value_to_which_measures_vary() -> None:
    def run(cell: str, seed: int, loss: float, status: str = "finished") -> SweptRun:
        measures = {"exact_match": 0.0, "loss": loss} if status == "finished" else {}
        return SweptRun(cell, seed, status, "", {}, measures)

    runs = [run("rate=1", 0, 4.8), run("rate=1", 1, 5.0), run("rate=2", 0, 3.5), run("rate=3", 0, 0, "not begun")]
    assert _answer(table_of_cells(runs)) == (
        "At the last checkpoint: exact match 0 in every cell with a finished run; loss 3.5 (rate=2) to 4.9 "
        "[3.63, 6.17] (rate=1). Brackets: 95% t-interval over seeds."
    )
    assert _answer(table_of_cells(runs[-1:])) == ""
