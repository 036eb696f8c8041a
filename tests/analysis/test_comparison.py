"""Runs side by side: what may differ, what may not, and which numbers stand where."""

from dataclasses import replace

import ground_truth
import numpy as np
import pytest
from training_truth import curves_of_runs

from grok_interp.analysis.comparison import TrainingCurves, condition_of, final, training_curves
from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.analysis.induction import InductionScores
from grok_interp.analysis.loss import PositionLoss
from grok_interp.configs import TrainConfig
from grok_interp.plots import on_paper
from grok_interp.plots.pictures.conditions import conditions
from grok_interp.plots.pictures.copying_and_loss import copying_and_loss
from grok_interp.presets import training_preset

BASE = training_preset("copier-tiny")


def run(config: TrainConfig = BASE, *, steps: tuple[int, ...] = (0, 10, 20), copied: float = 1.0) -> tuple:
    """Suffixes of two characters: the first is right in every sample, the second in a share of them."""
    correct = np.zeros((len(steps), 4, 1, 2))
    correct[..., 0] = 1
    correct[:, : round(4 * copied), :, 1] = 1
    coords = {"checkpoint": list(steps)}
    accuracy = CopyingAccuracy.of_arrays({"correct": correct}, coords)
    loss = PositionLoss.of_arrays({"loss": np.tile([3.0, 5.0], (len(steps), 1))}, coords)
    scores = np.zeros((len(steps), 2, 2))
    scores[:, 1, 0] = 0.5
    arrays = {"Abar": 0 * scores, "EP": 0 * scores, "I": scores}
    induction = InductionScores.of_arrays(arrays, {**coords, "layer": range(2), "head": range(2)})
    return config, accuracy, loss, induction


def test_four_measures_of_one_run() -> None:
    curves = training_curves([run(copied=0.5)])
    values = curves.dataset.isel(condition=0, seed=0, checkpoint=1)
    measured = {name: float(value) for name, value in values.items()}
    assert measured == {"exact_match": 0.5, "per_token": 0.75, "loss": 4.0, "induction": 0.5}
    assert curves.dataset["tokens_per_step"].item() == 4 * 64


def test_conditions_and_seeds_find_their_place() -> None:
    sizes, seeds = (2, 4, 8), (0, 1)
    runs = [
        run(replace(BASE, batch_size=size, init_seed=seed, data_seed=7), copied=0.25 * (seed + 1))
        for seed in seeds
        for size in sizes
    ]
    curves = training_curves(runs, varied=("batch_size",))
    assert curves.dataset["condition"].values.tolist() == ["batch_size=2", "batch_size=4", "batch_size=8"]
    assert curves.dataset["tokens_per_step"].values.tolist() == [128, 256, 512]
    assert curves.of("exact_match", "batch_size=8").isel(checkpoint=0).values.tolist() == [0.25, 0.5]
    assert str(curves) == "training curves of 3 conditions x 2 seeds"


def test_runs_with_other_checkpoints_keep_their_own() -> None:
    one, other = run(), run(replace(BASE, init_seed=1), steps=(0, 20, 40))
    curves = training_curves([one, other]).each("loss")
    assert {seed: curve["checkpoint"].values.tolist() for (_, seed), curve in curves.items()} == {
        0: [0, 10, 20],
        1: [0, 20, 40],
    }


def test_what_changes_no_training_may_differ() -> None:
    other = replace(BASE, init_seed=1, checkpoint_steps=(0, 20), micro_batch_size=2)
    assert training_curves([run(), run(other, steps=(0, 20))]).dataset.sizes["seed"] == 2


def test_a_condition_is_named_by_what_is_varied_and_not_zero() -> None:
    varied = ("model.attn_dropout", "weight_decay")
    assert condition_of(BASE, varied) == "neither"
    assert condition_of(BASE.with_model(attn_dropout=0.1), varied) == "attn_dropout=0.1"
    both = replace(BASE.with_model(attn_dropout=0.1), weight_decay=0.2)
    assert condition_of(both, varied) == "attn_dropout=0.1 weight_decay=0.2"


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], "needs one run or more"),
        ([run(), run()], "two runs of condition batch_size=4 with init_seed 0"),
        (
            [run(), run(replace(BASE, learning_rate=1.0))],
            "may differ in batch_size and .*learning_rate: 0.003",
        ),
        ([run(), run(BASE.with_data(source="x"))], "differ in data.source: 'stdlib' and 'x'"),
        (
            [run(), run(replace(BASE, batch_size=8, init_seed=3))],
            r"same init_seeds.*batch_size=4: \[0\]; batch_size=8: \[3\]",
        ),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(runs: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        training_curves(runs, varied=("batch_size",))


def test_the_final_value_is_the_mean_of_the_last_tenth() -> None:
    steps = np.arange(0, 1001, 50)
    curve = ground_truth.labeled(np.where(steps >= 900, steps, 0.0), ("checkpoint",), {"checkpoint": steps})
    assert final(curve) == 950  # of 900, 950 and 1,000


@pytest.fixture
def curves() -> TrainingCurves:
    sizes = {"batch_size=8": 1500.0, "batch_size=16": 700.0}
    return curves_of_runs({(name, seed): (onset, 0.5) for name, onset in sizes.items() for seed in range(3)})


def test_curves_are_drawn_against_updates_and_tokens(curves: TrainingCurves) -> None:
    left, right = on_paper(conditions(curves, [("loss", "updates"), ("exact_match", "tokens")], columns=2)).axes
    thick = [line for line in right.lines if line.get_linewidth() > 1]
    assert [line.get_label() for line in thick] == ["batch size 8", "batch size 16"]
    assert (left.lines[0].get_xdata()[-1], *(line.get_xdata()[-1] for line in thick)) == (4000, 400_000, 800_000)
    np.testing.assert_allclose(thick[0].get_ydata(), 100 * curves.of("exact_match", "batch_size=8").mean("seed"))
    assert len(right.lines) == 2 * (1 + 3)


def test_figure_2_draws_one_condition_only(curves: TrainingCurves) -> None:
    with pytest.raises(ValueError, match="one condition is drawn, got"):
        copying_and_loss(curves)
