"""Phases: all sixteen combinations of learned splits, and what rises and falls again."""

import re
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from ground_truth import labeled
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from solvers import curves_by_hand

from grok_interp.analysis.phase_diagram import phase_diagram
from grok_interp.analysis.phases import (
    PAPER_THRESHOLD,
    PHASES,
    PhaseProbabilities,
    Transience,
    fraction_left,
    percent,
    phase,
    phase_probabilities,
    phases,
    transience,
)
from grok_interp.analysis.shots import ShotCurves
from grok_interp.configs import ModularConfig, TextConfig, TrainConfig, llama_copier, modular_gpt
from grok_interp.data.modular import SPLITS, Split

COMBINATIONS = [learned for size in range(5) for learned in combinations(SPLITS, size)]
NAMED: dict[tuple[Split, ...], str] = {
    (): "nothing learned",
    ("id_train",): "i.d. memorization",
    ("id_train", "id_test"): "i.d. generalization",
    ("id_train", "ood_train"): "o.o.d. memorization",
    ("id_train", "id_test", "ood_train", "ood_test"): "o.o.d. generalization",
}


RUN = TrainConfig(
    model=modular_gpt(n_layers=2, n_heads=2, d_model=28, d_vocab=11, n_ctx=15),
    data=ModularConfig(p=11, n_id=5, alpha=0.3, rule="random"),
    n_steps=50,
    batch_size=35,
    learning_rate=1e-3,
    checkpoint_steps=(0,),
)


def accuracies(learned: tuple[Split, ...], *, high: float = 0.76, low: float = 0.74) -> dict[Split, float]:
    return {split: high if split in learned else low for split in SPLITS}


@pytest.mark.parametrize("learned", COMBINATIONS, ids="+".join)
def test_a_phase_is_named_by_the_paper_or_by_its_splits(learned: tuple[Split, ...]) -> None:
    expected = NAMED.get(learned, f"unnamed: {' + '.join(learned)} learned")
    assert phase(accuracies(learned), threshold=PAPER_THRESHOLD) == expected


def test_sixteen_combinations_have_sixteen_names() -> None:
    assert len({phase(accuracies(learned), threshold=0.75) for learned in COMBINATIONS}) == 16
    assert set(NAMED) <= set(COMBINATIONS)


def test_the_order_in_which_splits_are_given_does_not_matter() -> None:
    backwards = dict(reversed(accuracies(("id_train", "ood_train")).items()))
    assert phase(backwards, threshold=0.75) == "o.o.d. memorization"


@pytest.mark.parametrize("threshold", [0.5, PAPER_THRESHOLD])
def test_an_accuracy_at_the_threshold_is_not_above_it(threshold: float) -> None:
    at, above = (accuracies(SPLITS, high=high) for high in (threshold, np.nextafter(threshold, 1)))
    assert phase(at, threshold=threshold) == "nothing learned"
    assert phase(above, threshold=threshold) == "o.o.d. generalization"


def test_zero_and_one_are_accuracies() -> None:
    assert phase(accuracies(("id_train",), high=1.0, low=0.0), threshold=0.75) == "i.d. memorization"


def test_missing_splits_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="of all four splits, missing: id_test, ood_test$"):
        phase({"ood_train": 0.5, "id_train": 0.9}, threshold=0.75)


@pytest.mark.parametrize("value", [-0.01, 1.01, 97.0, float("nan")])
def test_what_is_no_accuracy_is_refused_with_its_split(value: float) -> None:
    with pytest.raises(ValueError, match=rf"accuracies must be in \[0, 1\], got {{'id_test': {value}}}"):
        phase({**accuracies(SPLITS), "id_test": value}, threshold=0.75)


def test_phases_follow_the_last_shot_through_training() -> None:
    curves = curves_by_hand(
        {
            "ood_test": [0.0, 0.1, 0.2, 0.8, 0.2],
            "ood_train": [0.0, 0.1, 0.9, 0.8, 0.5],
            "id_test": [0.0, 0.1, 0.2, 0.8, 0.9],
            "id_train": [0.0, 0.8, 0.9, 0.9, 1.0],
        },
        steps=[0, 10, 20, 500, 1000],
    )
    found = phases(curves, threshold=0.75)
    assert all(each.probability > 0.999 for each in found.values())
    assert {step: each.most_probable for step, each in found.items()} == {
        0: "nothing learned",
        10: "i.d. memorization",
        20: "o.o.d. memorization",
        500: "o.o.d. generalization",
        1000: "i.d. generalization",
    }


def test_checkpoints_that_are_not_finite_have_no_phase() -> None:
    curves = curves_by_hand({split: [0.9, np.nan, 0.1] for split in SPLITS}, steps=[0, 10, 20])
    found = {step: each.most_probable for step, each in phases(curves, threshold=0.75).items()}
    assert found == {0: "o.o.d. generalization", 20: "nothing learned"}


def test_a_phase_has_the_probability_that_its_accuracies_are_on_their_sides_of_the_threshold() -> None:
    """One standard error above and below: normal tails of 84% and 16%; the others are far away."""
    n = dict.fromkeys(SPLITS, 1875.0)  # sqrt(0.75 x 0.25 / 1875) = 0.01
    near: dict[Split, float] = {"id_train": 0.99, "id_test": 0.1, "ood_train": 0.76, "ood_test": 0.1}
    found = phase_probabilities(near, n, threshold=0.75)
    assert found.of_each["o.o.d. memorization"] == pytest.approx(norm.cdf(1))
    assert found.of_each["i.d. memorization"] == pytest.approx(norm.cdf(-1))
    assert str(found) == "o.o.d. memorization 84%, i.d. memorization 16%"
    unsure = phase_probabilities({**near, "id_test": 0.745}, n, threshold=0.75)
    assert str(unsure) == "o.o.d. memorization 58%, unnamed 26%, i.d. memorization 11%, i.d. generalization 5%"
    unnamed = phase_probabilities({**near, "id_test": 0.755}, n, threshold=0.75)
    assert str(unnamed).startswith("unnamed: id_train + id_test + ood_train learned 58%, o.o.d. memorization 26%")


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_the_probabilities_of_all_sixteen_phases_add_up_to_one(learned: list[float]) -> None:
    found = PhaseProbabilities(dict(zip(SPLITS, learned, strict=True)))
    assert len(found.of_each) == 16 and set(PHASES.values()) < set(found.of_each)
    assert sum(found.of_each.values()) == pytest.approx(1)
    assert found.probability == max(found.of_each.values())
    for split, probability in zip(SPLITS, learned, strict=True):
        others = {name: p for name, p in found.of_each.items() if split in learned_in(name)}
        assert sum(others.values()) == pytest.approx(probability)


def learned_in(name: str) -> tuple[str, ...]:
    by_name = {name: learned for learned, name in PHASES.items()}
    return by_name.get(name) or tuple(name.removeprefix("unnamed: ").removesuffix(" learned").split(" + "))


def test_no_phase_is_certain() -> None:
    sure = phase_probabilities(accuracies(SPLITS, high=1.0), dict.fromkeys(SPLITS, 2600.0), threshold=0.75)
    assert str(sure) == "o.o.d. generalization >99%"
    shown = [percent(probability) for probability in (1.0, 0.994, 0.99, 0.62, 0.004)]
    assert shown == [">99%", ">99%", "99%", "62%", "0%"]


@pytest.mark.parametrize("threshold", [-0.1, 0.0, 1.0, 1.2])
def test_a_threshold_that_all_accuracies_or_none_are_above_is_refused(threshold: float) -> None:
    """With 0 an accuracy of 1% counts as learned, with 1 an accuracy of 100% does not."""
    half, n = dict.fromkeys(SPLITS, 0.5), dict.fromkeys(SPLITS, 10.0)
    message = f"threshold must be an accuracy above 0 and below 1, got {threshold:g} (the paper: 0.75)"
    for refused in (
        lambda: phase(half, threshold=threshold),
        lambda: phase_probabilities(half, n, threshold=threshold),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            refused()


def test_a_diagram_is_of_one_modulus() -> None:
    curves = curves_by_hand({split: [0.5] for split in SPLITS}, steps=[0])
    other = replace(RUN, data=replace(RUN.data, p=7), model=replace(RUN.model, d_vocab=7), init_seed=1)
    with pytest.raises(ValueError, match="a phase diagram is of one p, got runs of p = 7, 11"):
        phase_diagram([(RUN, curves), (other, curves)])


@pytest.mark.parametrize("value", [None, "0.5", [0.5]])
def test_an_accuracy_that_is_no_number_is_refused_with_its_split(value: Any) -> None:
    with pytest.raises(ValueError, match=r"accuracies must be in \[0, 1\], got {'id_test': "):
        phase({**accuracies(SPLITS), "id_test": value}, threshold=0.75)


def test_curves_of_some_splits_are_refused_with_those_that_miss() -> None:
    curves = curves_by_hand({"id_train": [0.9], "ood_test": [0.1]}, steps=[0])
    with pytest.raises(ValueError, match="of all four splits, missing: id_test, ood_train$"):
        phases(curves, threshold=0.75)


def test_a_curve_that_rises_and_falls_keeps_its_peak_and_its_end() -> None:
    last_shots = {"id_train": [0.9, 0.9, 0.9, 0.9], "ood_test": [0.0, 0.25, 0.875, 0.5]}
    curves = curves_by_hand(last_shots, steps=[0, 10, 200, 3000])
    found = transience(curves.last_shot().sel(split="ood_test"))
    assert found == Transience(peak=0.875, step=200, last=0.5)
    assert str(found) == "peak 88% at step 200, 50% at the end"


@pytest.mark.parametrize(
    ("values", "step"), [([0.5, 0.5, 0.5], 0), ([0.1, 0.7, 0.7], 40), ([0.1, 0.2, 0.7], 900), ([0.7, 0.2, 0.1], 0)]
)
def test_the_peak_is_the_first_of_equal_ones(values: list[float], step: int) -> None:
    curve = labeled(np.array(values), ("checkpoint",), {"checkpoint": [0, 40, 900]})
    assert transience(curve) == Transience(peak=max(values), step=step, last=values[-1])


def a_run(n_id: int, alpha: float, seed: int, learned: tuple[Split, ...]) -> tuple[TrainConfig, ShotCurves]:
    """Learnt is what passed the threshold at step 10; at steps 0 and 20 nothing has."""
    config = replace(RUN.with_data(n_id=n_id, alpha=alpha), init_seed=seed)
    return config, curves_by_hand({split: [0.1, high, 0.2] for split, high in accuracies(learned).items()}, [0, 10, 20])


def test_a_diagram_shows_the_best_checkpoint_of_every_run_and_the_best_seed() -> None:
    runs = [
        a_run(7, 0.6, 1, SPLITS),
        a_run(7, 0.6, 0, ("id_train", "id_test")),
        a_run(5, 0.3, 0, ("id_train",)),
        a_run(7, 0.3, 0, ()),
        a_run(5, 0.6, 0, ("id_train", "ood_train")),
    ]
    found = phase_diagram(runs)
    assert found["accuracy"].dims == ("n_id", "alpha", "seed", "split")
    assert found.n_seeds().values.tolist() == [[1, 1], [1, 2]]
    assert found["accuracy"].sel(n_id=5, alpha=0.6, seed=0).values.tolist() == [0.76, 0.74, 0.76, 0.74]
    assert found["accuracy"].sel(n_id=5, alpha=0.6, seed=1).isnull().all(), "no such run"
    named = found.phases(threshold=PAPER_THRESHOLD)
    assert named.dims == ("n_id", "alpha")
    assert named["n_id"].values.tolist() == [5, 7] and named["alpha"].values.tolist() == [0.3, 0.6]
    assert named.values.tolist() == [
        ["i.d. memorization", "o.o.d. memorization"],
        ["nothing learned", "o.o.d. generalization"],
    ]
    assert str(found) == "5 runs of 2 n_id x 2 alphas"


def test_a_cell_without_a_run_has_no_phase() -> None:
    found = phase_diagram([a_run(5, 0.3, 0, ()), a_run(7, 0.6, 0, ("id_train",))])
    assert found.phases(threshold=0.75).values.tolist() == [["nothing learned", ""], ["", "i.d. memorization"]]


def test_a_run_that_is_not_finite_at_any_checkpoint_has_no_phase_and_is_counted() -> None:
    config = replace(RUN.with_data(n_id=7, alpha=0.6), init_seed=0)
    nan = curves_by_hand(dict.fromkeys(SPLITS, [np.nan, np.nan]), steps=[0, 10])
    found = phase_diagram([a_run(5, 0.3, 0, ()), (config, nan)])
    assert found.phases(threshold=0.75).values.tolist() == [["nothing learned", ""], ["", ""]]
    assert str(found) == "1 run of 2 n_id x 2 alphas; NOT FINITE at every checkpoint of 1 run"
    some = curves_by_hand(dict.fromkeys(SPLITS, [0.9, np.nan]), steps=[0, 10])
    assert phase_diagram([(config, some)]).phases(threshold=0.75).item() == "o.o.d. generalization"
    alone = phase_diagram([(config, nan)])
    assert alone.phases(threshold=0.75).values.tolist() == [[""]] and alone.best().isnull().all()


def test_runs_that_make_no_diagram_are_refused() -> None:
    run = a_run(5, 0.3, 2, ())
    with pytest.raises(ValueError, match="needs at least one run"):
        phase_diagram([])
    with pytest.raises(ValueError, match=r"two runs with \(n_id, alpha, init_seed\) = \(5, 0.3, 2\)"):
        phase_diagram([run, run])
    copier = llama_copier(n_layers=2, n_heads=2, d_model=20, d_mlp=28, d_vocab=256, n_ctx=70)
    with pytest.raises(ValueError, match="needs runs on modular arithmetic, got one on text"):
        phase_diagram([(replace(RUN, model=copier, data=TextConfig()), run[1])])


def test_a_cell_says_how_probable_its_phases_are_and_over_how_many_seeds() -> None:
    def run(seed: int, ood_train: float) -> tuple[TrainConfig, ShotCurves]:
        last = {"id_train": [0.99], "id_test": [0.1], "ood_train": [ood_train], "ood_test": [0.1]}
        curves = curves_by_hand(last, [0], error=0.01)
        return replace(RUN.with_data(n_id=5, alpha=0.3), init_seed=seed), curves

    found = phase_diagram([run(0, 0.7), run(1, 0.75), run(2, 0.3)])
    assert found.described(threshold=0.75).item() == "o.o.d. memorization 50%, i.d. memorization 50% (best of 3 seeds)"
    assert phase_diagram([run(0, 0.95)]).described(threshold=0.75).item() == "o.o.d. memorization >99% (1 seed)"


def test_the_phase_of_a_cell_is_that_of_one_seed() -> None:
    """One seed has learned the one, another the other: none has learned both."""
    runs = [a_run(5, 0.3, 0, ("id_train", "id_test")), a_run(5, 0.3, 1, ("id_train", "ood_train"))]
    (name,) = phase_diagram(runs).phases(threshold=0.75).values.flatten()
    assert name in ("i.d. generalization", "o.o.d. memorization")


# What is left of a peak


def test_the_fraction_that_is_left_has_an_interval_that_covers() -> None:
    """Two accuracies of independent samples; the fraction of 4,000 intervals that hold the true ratio."""
    rng, n = np.random.default_rng(0), 300
    for peak, last in ((0.8, 0.4), (0.9, 0.85), (0.6, 0.02)):
        draws = [(rng.binomial(n, peak) / n, rng.binomial(n, last) / n) for _ in range(4_000)]
        found = [fraction_left(Transience(high, 100, low), n, n) for high, low in draws]
        covered = np.mean([each.low <= last / peak <= each.high for each in found])
        assert 0.935 <= covered <= 0.97, (peak, last, covered)


def test_what_is_left_at_the_ends() -> None:
    nothing = fraction_left(Transience(0.8, 100, 0.0), 400, 400)
    assert (nothing.value, nothing.low) == (0.0, 0.0) and 0 < nothing.high < 0.02, "the rule of three: 3 / 400 / 0.8"
    everything = fraction_left(Transience(0.8, 100, 0.8), 400, 400)
    assert (everything.value, everything.low, everything.high) == (1.0, 1.0, 1.0)
    assert np.isnan(fraction_left(Transience(0.0, 100, 0.0), 400, 400).value)
    assert np.isnan(fraction_left(Transience(0.8, 100, np.nan), 400, 400).value)
    assert np.isnan(fraction_left(Transience(0.8, 100, 0.4), np.nan, 400).value)


def test_more_queries_narrow_what_is_left_to_the_ratio() -> None:
    found = fraction_left(Transience(0.8, 100, 0.4), 1e9, 1e9)
    np.testing.assert_allclose((found.value, found.low, found.high), 0.5, atol=1e-4)
