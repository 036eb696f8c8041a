"""Sweeps: which runs an experiment needs, what is trained, what is reused; from nothing to claims."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from counting import counting

from grok_interp.cli import main
from grok_interp.cli.listing import run_rows
from grok_interp.configs import ModularConfig, TextConfig, TrainConfig
from grok_interp.runs.checkpoint_files import save_state
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.catalog import studies
from grok_interp.studies.copying import figure_3
from grok_interp.studies.copying.experiments import BASELINE, BASELINES, REGULARIZATION
from grok_interp.studies.copying.figures import FIGURES
from grok_interp.studies.copying.sweep_report import write_sweep_report
from grok_interp.studies.experiment import Experiment
from grok_interp.studies.modular.experiments import BASELINES as MODULAR
from grok_interp.studies.modular.experiments import PHASES
from grok_interp.studies.sweep import Sweep

COPYING_FIGURES = ("copying/fig3", "copying/fig5", "copying/fig7")


def experiment_of(figure: str) -> Experiment:
    experiment = FIGURES[figure].experiment
    assert experiment
    return experiment


@pytest.mark.parametrize("size", BASELINES)
def test_each_experiment_varies_one_thing_of_the_baseline(size) -> None:
    for figure in COPYING_FIGURES:
        experiment = experiment_of(figure)
        differing = [set(BASELINES[size].differences(config)) for config in experiment.conditions(BASELINES[size])]
        of_both_optimizers = 2 if figure == "copying/fig5" and BASELINES[size].optimizer == "muon" else 1
        assert sorted(map(len, differing)) == [0, of_both_optimizers, of_both_optimizers]
        assert set.union(*differing) <= set(experiment.varied)


def test_the_papers_own_factors() -> None:
    batches = [config.batch_size for config in experiment_of("copying/fig3").conditions(BASELINES["paper"])]
    assert batches == [256, 512, 1024]  # of 1,024 tokens, on 8 GPUs: 32, 64, 128 each
    rates = [config.learning_rate for config in experiment_of("copying/fig5").conditions(BASELINES["paper"])]
    assert rates == [1e-4, 2e-4, 4e-4]


def test_both_learning_rates_are_scaled_by_one_factor() -> None:
    found = [
        (config.learning_rate, config.muon_learning_rate)
        for config in experiment_of("copying/fig5").conditions(BASELINES["mini"])
    ]
    assert found == [(3e-3, 0.01), (6e-3, 0.02), (1.2e-2, 0.04)]


def test_a_size_that_a_figure_is_not_trained_at_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for figure in ("copying/diagram", "modular/fig1b"):
        assert main(["reproduce", figure, "--preset", "mini-adamw"]) == 2
        assert f"{figure} is trained at the sizes paper, mini, tiny" in capsys.readouterr().err


@pytest.mark.parametrize("size", MODULAR)
def test_every_cell_of_the_phase_grid_is_a_config_that_can_be_trained(size) -> None:
    grid = PHASES.conditions(MODULAR[size])
    cells = {(each.data.n_id, each.data.alpha) for each in grid if isinstance(each.data, ModularConfig)}
    assert len(cells) == len(grid) >= 4


def test_experiments_share_the_runs_of_the_baseline(tmp_path: Path) -> None:
    runs = [set(experiment_of(figure).sweep(BASELINES["mini"], tmp_path, n_seeds=2).runs) for figure in COPYING_FIGURES]
    assert set.intersection(*runs) == {tmp_path / "baseline" / f"seed{seed}" for seed in range(2)}
    assert len(set.union(*runs)) == 14
    assert REGULARIZATION.sweep(BASELINES["mini"], tmp_path, n_seeds=1).runs.keys() == {
        tmp_path / name / "seed0" for name in ("baseline", "attn_dropout=0.1", "weight_decay=0.1")
    }


def test_only_what_is_missing_is_trained(tiny: TrainConfig, tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, {"one": tiny, "two": replace(tiny, batch_size=2)}, 1)
    run_training(tmp_path / "one" / "seed0", tiny)
    trained: list[Path] = []
    sweep.complete(lambda directory, config: trained.append(directory))
    assert trained == [tmp_path / "two" / "seed0"]


def test_runs_are_grouped_by_shape_and_by_where_they_stand(tiny: TrainConfig, tmp_path: Path) -> None:
    conditions = {
        "one": tiny,
        "faster": replace(tiny, learning_rate=1e-2),
        "dropped": tiny.with_model(attn_dropout=0.1),
    }
    sweep = Sweep(tmp_path, conditions, 3)
    run_training(tmp_path / "one" / "seed0", tiny)
    found = sorted([f"{path.parent.name}/{path.name}" for path in group] for group in sweep.in_ensembles(2))
    assert found == [["faster/seed0", "faster/seed1"], ["one/seed1", "one/seed2"]], "dropout, and one left, train alone"
    save_state(tmp_path / "one" / "seed2" / "resume" / "step_00000007.state", {})
    found = [[f"{path.parent.name}/{path.name}" for path in group] for group in sweep.in_ensembles(8)]
    assert found == [["faster/seed0", "faster/seed1", "faster/seed2"]]


@pytest.mark.slow
def test_a_sweep_is_trained_in_ensembles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["reproduce", "modular/fig1b", "--preset", "tiny", "--seeds", "2", "--folder", str(tmp_path / "sweep")]
    assert main([*command, "--ensemble", "3"]) == 0
    printed = capsys.readouterr()
    assert "8 runs in" in printed.out
    assert printed.err.count("training 3 runs in lockstep: 20 of 20") == 2
    assert printed.err.count("training 2 runs in lockstep: 20 of 20") == 1
    assert all(row["finished"] and row["analyzed"] for row in run_rows(tmp_path / "sweep", on_damage=pytest.fail))
    assert main([*command, "--ensemble", "3", "--jobs", "2"]) == 2
    assert "--jobs 2 or --ensemble 3: one of the two" in capsys.readouterr().err


def test_a_folder_that_holds_another_config_is_refused(tiny: TrainConfig, tmp_path: Path) -> None:
    run_training(tmp_path / "baseline" / "seed0", tiny)
    sweep = BASELINE.sweep(replace(tiny, batch_size=2), tmp_path, n_seeds=1)
    with pytest.raises(ValueError, match="holds a run of another config .batch_size: 4 there, 2 asked"):
        sweep.unfinished()


def test_a_sweep_without_seeds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has 10,000 seeds at most, got 10,001"):
        Sweep(tmp_path, {}, 10_001)
    with pytest.raises(ValueError, match="needs 1 seed or more, got 0"):
        Sweep(tmp_path, {}, 0)


def test_a_sweep_inside_a_run_is_refused(tiny: TrainConfig, tmp_path: Path) -> None:
    run_training(tmp_path / "run", tiny)
    with pytest.raises(ValueError, match="run is a run: give the folder that a sweep's runs lie in"):
        BASELINE.sweep(tiny, tmp_path / "run", n_seeds=1)


def test_runs_below_a_folder_are_listed_and_exported_models_are_not(tiny: TrainConfig, tmp_path: Path) -> None:
    run_training(tmp_path / "sweep" / "baseline" / "seed0", tiny)
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "config.json").write_text("{}")
    found = [row["run"] for row in run_rows(tmp_path, on_damage=pytest.fail)]
    assert found == [str(tmp_path / "sweep" / "baseline" / "seed0")]


def test_runs_on_different_texts_are_not_compared(tiny: TrainConfig, tmp_path: Path) -> None:
    assert isinstance(tiny.data, TextConfig)
    text = Path(tiny.data.source)
    one = run_training(tmp_path / "one", tiny)
    text.write_text(text.read_text() + "# one line more\n")
    two = run_training(tmp_path / "two", replace(tiny, batch_size=2))
    with pytest.raises(ValueError, match="read different texts"):
        figure_3(one, two)


def test_from_nothing_to_the_claims(tmp_path: Path, capsys, monkeypatch) -> None:
    """The real commands: the first figure trains three runs, the next one reuses the baseline, the report tells."""
    monkeypatch.chdir(tmp_path)
    made = []
    for figure in COPYING_FIGURES:
        assert main(["reproduce", figure, "--preset", "tiny", "--seeds", "1", "--device", "cpu"]) == 0
        made.append(capsys.readouterr().out)
    assert "3 runs in runs/copier-tiny, 3 to train" in made[0]
    assert "3 runs in runs/copier-tiny, 2 to train" in made[1]
    assert main(["reproduce", "copying/fig4", "--preset", "tiny", "--seeds", "1", "--device", "cpu"]) == 0
    assert "3 runs in runs/copier-tiny, 0 to train" in capsys.readouterr().out
    runs = [run.directory for run in Run.below(Path("runs/copier-tiny"))]
    with counting() as counts:
        assert main(["report", "runs/copier-tiny", "--threshold", "0.01", "--device", "cpu"]) == 0
    assert len(runs) == 7 and {counts[f"opens of {directory}"] for directory in runs} == {1}
    assert counts["corpora"] == 1, "for the text of the ablations; `reproduce` has stored that of the analyses"
    assert counts["copying inputs"] == 7, "those of each run; the ablations of the baseline are on them too"
    shown = capsys.readouterr().out
    assert "undecided  Copying emerges after the loss has settled" in shown
    folder = Path("runs/copier-tiny")
    assert {file.stem for file in (folder / "figures").iterdir()} == {
        *(f"copying_fig{n}" for n in range(2, 8)),
        "copying_strings",
        "overview",
        "copying_leads",
    }
    claims = pd.read_csv(folder / "tables" / "claims.csv")
    assert set(claims["text"]) == {claim.text for claim in studies()["copying"].claims}
    assert len(claims) == 18 and set(claims["verdict"]) <= {"supported", "not supported", "undecided"}
    curves = pd.read_csv(folder / "tables" / "curves.csv")
    assert set(curves.columns) == {
        "condition",
        "seed",
        "checkpoint",
        "tokens",
        "exact_match",
        "per_token",
        "loss",
        "induction",
    }
    page = (folder / "report.html").read_text()
    assert "Claim by claim" in page and "undecided" in page
    assert "Printable and hexadecimal strings" in page and "Leading indicators" in page
    assert "A head has formed when I(L, H) is above 0.01." in page


def test_a_report_needs_one_experiment_and_names_those_that_are_missing(tmp_path: Path) -> None:
    """As with AdamW, which the claims on learning rates and regularization are tested with."""
    baseline = replace(BASELINES["tiny"], optimizer="adamw", muon_learning_rate=None)
    for directory, config in experiment_of("copying/fig5").sweep(baseline, tmp_path, n_seeds=1).runs.items():
        run_training(directory, config)
    page, claims = write_sweep_report(tmp_path, Run.below(tmp_path))
    assert {claim.source for claim in claims} == {"Figure 2", "Figure 5", "Figure 6", "beyond the paper"}
    table = pd.read_csv(tmp_path / "tables" / "claims.csv")
    assert {"seeds", "seeds_needed", "seeds_needed_half", "runs_trained", "runs_used"} <= set(table.columns)
    trained = table.set_index("source")["runs_trained"]
    assert trained["Figure 5"].tolist() == [3] * 4 and trained["Figure 6"] == 1 and set(table["seeds"]) == {1}
    assert "its claims are not tested: copying/fig3." in page.read_text()


def test_a_report_on_experiments_names_what_is_missing(tmp_path: Path) -> None:
    run_training(tmp_path / "baseline" / "seed0", BASELINES["tiny"])
    with pytest.raises(ValueError, match="no finished seed for copying/fig3, .*grok-interp reproduce copying/fig3"):
        write_sweep_report(tmp_path, Run.below(tmp_path))
