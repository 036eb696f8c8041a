"""Claims: on curves made by hand every verdict is known, the undecided ones too."""

import numpy as np
import pandas as pd
import pytest
from training_truth import curves_of_runs

from grok_interp.analysis.ablation import MEASURES as OF_ABLATION
from grok_interp.analysis.ablation import HeadAblation
from grok_interp.analysis.ablation_conditions import CONDITIONS
from grok_interp.analysis.effects_over_seeds import mean_effect, slope
from grok_interp.analysis.emergence import Estimate
from grok_interp.analysis.formation import FormationOrder
from grok_interp.studies.claim import NOT_SUPPORTED, SUPPORTED, UNDECIDED
from grok_interp.studies.copying.onsets import Onsets, by_run, onsets_of, varied_value
from grok_interp.studies.copying.verdicts import (
    after_the_loss,
    better_with,
    by_updates,
    curve_claims,
    earlier_at_higher_rates,
    earlier_with_dropout,
    heads_that_copy,
    loss_by_tokens,
    shallow_to_deep,
    stronger_at_higher_rates,
)
from grok_interp.studies.verdict import verdict

SIZES = {"batch_size=8": 8, "batch_size=16": 16, "batch_size=32": 32}
RATES = {"learning_rate=0.003": 3, "learning_rate=0.006": 6, "learning_rate=0.012": 12}
JITTER = (-40.0, 10.0, 30.0)  # of the onsets of three seeds


def onsets(runs: dict, **options) -> Onsets:
    return Onsets(curves_of_runs(runs, **options), "per_token")


def three_seeds(of: dict[str, tuple[float, float]]) -> dict:
    """condition -> (onset, final value), for three seeds that differ a little."""
    return {
        (condition, seed): (onset + shift, final + shift / 10_000)
        for condition, (onset, final) in of.items()
        for seed, shift in enumerate(JITTER)
    }


@pytest.mark.parametrize(
    ("low", "high", "above", "decided"),
    [
        (0.1, 0.9, True, SUPPORTED),
        (0.1, 0.9, False, NOT_SUPPORTED),
        (-0.9, -0.1, True, NOT_SUPPORTED),
        (-0.9, -0.1, False, SUPPORTED),
        (-0.1, 0.1, True, UNDECIDED),
        (-np.inf, np.inf, True, UNDECIDED),
        (np.nan, np.nan, False, UNDECIDED),
    ],
)
def test_an_interval_decides_only_when_it_is_on_one_side(low: float, high: float, above: bool, decided: str) -> None:
    assert verdict(Estimate(0.0, low, high), above=above) == decided


@pytest.mark.parametrize(("onset", "decided"), [(1500, SUPPORTED), (300, UNDECIDED)])
def test_copying_after_the_loss(onset: float, decided: str) -> None:
    claim = after_the_loss(onsets(three_seeds({"neither": (onset, 0.6)})))
    assert (claim.verdict, claim.measure) == (decided, "per token")


def test_copying_before_the_loss_has_settled() -> None:
    claim = after_the_loss(onsets(three_seeds({"neither": (500, 0.6)}), loss_settles={"neither": 2500}))
    assert claim.verdict == NOT_SUPPORTED


@pytest.mark.parametrize(("power", "decided"), [(0, SUPPORTED), (-1, NOT_SUPPORTED)])
def test_updates_or_tokens(power: int, decided: str) -> None:
    """At a power of 0 all emerge at the same update, at -1 at the same token."""
    runs = three_seeds({name: (1500 * (size / 16) ** power, 0.5) for name, size in SIZES.items()})
    claim = by_updates(onsets(runs))
    assert claim.verdict == decided
    assert f"{power}" in claim.evidence


@pytest.mark.parametrize(("power", "decided"), [(0, NOT_SUPPORTED), (-1, SUPPORTED)])
def test_whether_the_loss_follows_tokens(power: int, decided: str) -> None:
    runs = three_seeds({name: (1500, 0.5) for name in SIZES})
    settles = {name: 1000 * (size / 16) ** power for name, size in SIZES.items()}
    assert loss_by_tokens(Onsets(curves_of_runs(runs, loss_settles=settles), "loss")).verdict == decided


def test_learning_rates() -> None:
    rates = onsets(three_seeds({name: (6000 / rate, rate / 20) for name, rate in RATES.items()}))
    assert earlier_at_higher_rates(rates).verdict == SUPPORTED
    assert stronger_at_higher_rates(rates).verdict == SUPPORTED
    reversed_rates = onsets(three_seeds({name: (200 * rate, 1 / rate) for name, rate in RATES.items()}))
    assert earlier_at_higher_rates(reversed_rates).verdict == NOT_SUPPORTED
    assert stronger_at_higher_rates(reversed_rates).verdict == NOT_SUPPORTED


def test_regularization_is_judged_seed_by_seed() -> None:
    runs = three_seeds({"neither": (1600, 0.4), "attn_dropout=0.1": (800, 0.6), "weight_decay=0.1": (1600, 0.2)})
    regularized = onsets(runs)
    assert better_with("attn_dropout=0.1", "attention dropout", regularized).verdict == SUPPORTED
    assert earlier_with_dropout("attn_dropout=0.1", regularized).verdict == SUPPORTED
    assert better_with("weight_decay=0.1", "weight decay", regularized).verdict == NOT_SUPPORTED


def test_one_seed_decides_nothing() -> None:
    runs = {("neither", 0): (1600.0, 0.4), ("attn_dropout=0.1", 0): (800.0, 0.6)}
    assert better_with("attn_dropout=0.1", "attention dropout", onsets(runs)).verdict == UNDECIDED


def test_runs_in_which_copying_never_emerges_are_counted_and_not_given_an_onset() -> None:
    runs = {(name, seed): (np.inf, 0.0) for name in SIZES for seed in range(3)}
    claim = by_updates(onsets(runs))
    assert claim.verdict == UNDECIDED
    assert "never emerged in 9 of 9 runs" in claim.evidence


def test_a_fall_is_no_onset() -> None:
    falling = onsets({("neither", 0): (1000.0, -0.5)})
    assert falling.emergences["neither", 0].emerged and falling.onsets.isna().all()


def order(*rows: list[float]) -> FormationOrder:
    coords = {"layer": range(len(rows)), "head": range(len(rows[0]))}
    return FormationOrder.of_arrays({"onset": rows}, coords, {"threshold": 0.1})


def test_shallow_to_deep_needs_more_than_one_layer() -> None:
    nan = np.nan
    deepening = order([100.0, 120.0], [300.0, 400.0], [600.0, 700.0])
    assert shallow_to_deep([deepening] * 3).verdict == SUPPORTED
    assert shallow_to_deep([order([700.0, 600.0], [400.0, 300.0], [120.0, 100.0])] * 3).verdict == NOT_SUPPORTED
    assert shallow_to_deep([order([nan, nan], [nan, nan], [600.0, nan])] * 3).verdict == UNDECIDED


def test_every_claim_of_the_paper_is_judged_once_for_each_measure() -> None:
    baseline = onsets_of(curves_of_runs(three_seeds({"neither": (1500, 0.6)})))
    batches = onsets_of(curves_of_runs(three_seeds({name: (1500, 0.6) for name in SIZES})))
    rates = onsets_of(curves_of_runs(three_seeds({name: (1500, 0.6) for name in RATES})))
    names = ("neither", "attn_dropout=0.1", "weight_decay=0.1")
    regularized = onsets_of(curves_of_runs(three_seeds({name: (1500, 0.6) for name in names})))
    claims = list(curve_claims(baseline, batches, rates, regularized))
    assert len(claims) == len({(claim.text, claim.measure) for claim in claims}) == 15
    assert {claim.source for claim in claims} == {"Figure 2", "Figure 3", "Figure 4", "Figure 5", "Figure 7"}


def test_the_table_has_a_row_a_run() -> None:
    table = onsets(three_seeds({name: (1500, 0.6) for name in SIZES})).to_frame()
    assert len(table) == 9
    assert (table["onset_low"] <= table["onset"]).all() and (table["onset"] <= table["onset_high"]).all()
    np.testing.assert_allclose(table["final"], 0.6, atol=0.02)


def test_an_onset_needs_an_accuracy_above_chance() -> None:
    """Half of the symbols by chance: a rise to 0.4 is none, and a rise to 0.6 is one."""
    curves = curves_of_runs({("neither", 0): (1500.0, 0.4), ("neither", 1): (1500.0, 0.6)})
    curves = type(curves)(curves.dataset.assign_attrs(chance={"per_token": 0.5}))
    found = Onsets(curves, "per_token")
    assert [each.outcome for each in found.emergences.values()] == ["at chance", "emerged"]
    assert found.onsets.isna().tolist() == [True, False]
    assert list(found.to_frame()["outcome"]) == ["at chance", "emerged"]


def test_a_claim_says_how_many_seeds_would_decide_it() -> None:
    """Differences of -0.1, 0.1 and 0.3: 0.1 with a standard deviation of 0.2, so d = 0.5 and, at half of it, 0.25."""
    finals = {"neither": (0.4, 0.4, 0.4), "attn_dropout=0.1": (0.3, 0.5, 0.7)}
    runs = {(name, seed): (1500.0, final) for name, of in finals.items() for seed, final in enumerate(of)}
    claim = better_with("attn_dropout=0.1", "attention dropout", onsets(runs))
    assert claim.verdict == UNDECIDED and claim.seeds == 3
    assert claim.seeds_needed == pytest.approx(34, abs=3) and claim.seeds_needed_half == pytest.approx(128, abs=12)
    assert f"{claim.seeds_needed} seeds would decide it with a power of 80% if the effect is as obs" in claim.evidence
    assert f"{claim.seeds_needed_half} seeds if it is half" in claim.evidence


def test_what_is_decided_needs_few_seeds_and_what_has_one_seed_cannot_be_planned() -> None:
    runs = three_seeds({name: (1500, 0.5) for name in SIZES})
    claim = by_updates(onsets(runs))
    assert claim.verdict == SUPPORTED and claim.seeds == 3 and claim.seeds_needed == 2
    assert "would decide" not in claim.evidence
    one = {("neither", 0): (1600.0, 0.4), ("attn_dropout=0.1", 0): (800.0, 0.6)}
    claim = better_with("attn_dropout=0.1", "attention dropout", onsets(one))
    assert claim.seeds_needed is None and "fewer than two have a value" in claim.evidence


def test_the_order_of_formation_plans_with_the_seeds_own_taus() -> None:
    orders = [order([1.0, 2.0], [3.0, 4.0]), order([1.0, 4.0], [2.0, 3.0]), order([1.0, 3.0], [2.0, 4.0])]
    claim = shallow_to_deep(orders)
    taus = [each.depth_order().tau for each in orders]
    assert claim.seeds == 3 and claim.seeds_needed == mean_effect(np.array(taus)).seeds_needed()


@pytest.mark.parametrize(
    "names",
    [
        [
            f"learning_rate={rate} muon_learning_rate={muon}"
            for rate, muon in ((0.003, 0.01), (0.006, 0.02), (0.012, 0.04))
        ],
        [f"learning_rate={rate}" for rate in (0.003, 0.006, 0.012)],
    ],
    ids=["muon", "adamw"],
)
def test_learning_rates_of_both_optimizers_and_of_one(names: list[str]) -> None:
    """The onset is halved by each doubling: a slope of -1 on the log of the rate, in both sweeps."""
    rates = onsets(three_seeds({name: (3000 / 2**at, 0.2 + 0.2 * at) for at, name in enumerate(names)}))
    np.testing.assert_array_equal(varied_value(rates.finals), np.repeat([0.003, 0.006, 0.012], 3))
    earlier, stronger = earlier_at_higher_rates(rates), stronger_at_higher_rates(rates)
    assert (earlier.verdict, stronger.verdict) == (SUPPORTED, SUPPORTED)
    found = float(earlier.evidence.partition("learning rate ")[2].split()[0])
    assert found == pytest.approx(-1, abs=0.1)


def test_conditions_that_differ_in_several_ways_have_no_slope() -> None:
    def runs(*conditions: str) -> pd.Series:
        return by_run({(condition, 0): 1.0 for condition in conditions})

    with pytest.raises(ValueError, match="that give the same fields values, got neither, weight_decay=0.1"):
        varied_value(runs("neither", "weight_decay=0.1"))
    with pytest.raises(ValueError, match="learning_rate and width to change by the same factor"):
        varied_value(runs("learning_rate=0.1 width=2", "learning_rate=0.2 width=2"))
    assert varied_value(runs("batch_size=8")[:0]).size == 0


def test_a_sweep_without_batch_sizes_is_judged_by_the_others() -> None:
    """As the experiments with AdamW are."""
    baseline = onsets_of(curves_of_runs(three_seeds({"neither": (1500, 0.6)})))
    rates = onsets_of(curves_of_runs(three_seeds({name: (1500, 0.6) for name in RATES})))
    claims = list(curve_claims(baseline, rates=rates))
    assert {claim.source for claim in claims} == {"Figure 2", "Figure 5"} and len(claims) == 6


def test_learning_rates_are_compared_within_seeds() -> None:
    """Seeds differ by a factor of 4 and each doubling halves the onset: unpaired, six runs decide nothing."""
    by_seed = (600.0, 1200.0, 2400.0)
    runs = {(name, seed): (onset * 3 / rate, 0.5) for name, rate in RATES.items() for seed, onset in enumerate(by_seed)}
    two = {run: value for run, value in runs.items() if RATES[run[0]] < 12}
    rates = onsets(two)
    claim = earlier_at_higher_rates(rates)
    assert (claim.verdict, claim.seeds, claim.runs_used, claim.runs_trained) == (SUPPORTED, 3, 6, 6)
    known = np.log(rates.onsets.to_numpy())
    assert verdict(slope(np.log(varied_value(rates.onsets)), known, np.zeros(6, int)), above=False) == UNDECIDED


def test_a_seed_counts_where_two_of_its_runs_have_an_onset() -> None:
    """Eight windows: one seed of three emerges. The verdict then rests on the larger batches, and says so."""
    runs = three_seeds({name: (1500 * 16 / size, 0.5) for name, size in SIZES.items()})
    runs |= {("batch_size=8", seed): (np.inf, 0.0) for seed in (1, 2)} | {("batch_size=16", 2): (np.inf, 0.0)}
    claim = by_updates(onsets(runs))
    assert (claim.seeds, claim.runs_used, claim.runs_trained) == (3, 5, 9)
    assert "never emerged in 3 of 9 runs" in claim.evidence
    larger = claim.evidence.partition("tokens), ")[2].partition(" without the smallest, at which some runs never")[0]
    first, second = (np.log(onsets(runs).onsets[f"batch_size={size}"].to_numpy()[:2]) for size in (16, 32))
    assert larger == str(mean_effect((second - first) / np.log(2)))
    all_emerged = by_updates(onsets(three_seeds({name: (1500, 0.5) for name in SIZES})))
    assert "without the smallest" not in all_emerged.evidence


def test_seeds_with_an_onset_in_one_condition_each_decide_nothing() -> None:
    runs = {(name, seed): (np.inf, 0.0) for name in SIZES for seed in range(3)}
    runs |= {(name, seed): (1000.0 + 500 * seed, 0.5) for seed, name in enumerate(SIZES)}
    claim = by_updates(onsets(runs))
    assert (claim.verdict, claim.runs_used, claim.runs_trained, claim.seeds_needed) == (UNDECIDED, 0, 9, None)
    assert "log batch size none" in claim.evidence


def test_runs_of_the_conditions_compared_are_counted() -> None:
    """Of three conditions two are compared; a seed without an onset in one of them is used in neither."""
    runs = three_seeds({"neither": (1600, 0.4), "attn_dropout=0.1": (800, 0.6), "weight_decay=0.1": (1600, 0.2)})
    runs |= {("attn_dropout=0.1", 1): (np.inf, 0.0), ("weight_decay=0.1", 0): (np.inf, 0.0)}
    claim = earlier_with_dropout("attn_dropout=0.1", onsets(runs))
    assert (claim.seeds, claim.runs_used, claim.runs_trained) == (3, 4, 6)
    assert "never emerged in 1 of 6 runs" in claim.evidence


def test_runs_whose_heads_have_no_order_are_trained_and_not_used() -> None:
    orders = [order([1.0, 2.0], [3.0, 4.0]), order([np.nan, np.nan], [1.0, 2.0])]
    claim = shallow_to_deep(orders)
    assert (claim.seeds, claim.runs_used, claim.runs_trained) == (2, 1, 2)


def ablated_to(left: float) -> HeadAblation:
    """Accuracy of 1 under every condition, of `left` without the heads."""
    accuracy = {"intact": 1.0, "ablated": left, "random": 1.0, "entropy": 1.0}
    values = np.array([[[accuracy[name]] for name in CONDITIONS]])
    sizes = {"checkpoint": [0], "condition": list(CONDITIONS), "draw": [0]}
    arrays = {name: values if name in OF_ABLATION else values[..., 0] for name in HeadAblation.measures}
    return HeadAblation.of_arrays(arrays, sizes, {"heads": "L1H0"})


def test_no_more_than_all_accuracy_can_be_lost() -> None:
    """Losses of 0.5, 0.9 and 1: Student's interval is 0.8 +- 0.657."""
    for claim in heads_that_copy([ablated_to(left) for left in (0.5, 0.1, 0.0)]):
        assert claim.evidence.endswith("0.8 [0.1428, 1]")
        assert (claim.verdict, claim.runs_used, claim.runs_trained) == (SUPPORTED, 3, 3)
