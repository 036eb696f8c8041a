"""Formation order: first passages over a threshold, and Kendall's tau with the p-value of all relabellings."""

from itertools import permutations

import ground_truth
import numpy as np
import pytest
import xarray as xr
from ground_truth import induction_circuit, labeled, repeated_distinct_tokens
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from grok_interp.analysis.formation import DepthOrder, FormationOrder, formation_order, kendall_tau
from grok_interp.analysis.head_scores import head_scores
from grok_interp.analysis.induction import InductionScores, induction_scores

STEPS = [0, 10, 40, 50]


def scores_over_time(*heads: list[float]) -> InductionScores:
    """L0H0, L0H1, L1H0 ... of a model with two heads a layer, each by its I at STEPS; Abar and EP are decoys."""
    I = np.array(heads).T.reshape(len(STEPS), -1, 2)  # noqa: E741 (the paper's name)
    coords = {"checkpoint": STEPS, "layer": range(I.shape[1]), "head": range(2)}
    return InductionScores.of_arrays({"Abar": 1 - I, "EP": -I, "I": I}, coords)


NEVER, AT_ONCE = [0.1, 0.2, 0.1, 0.2], [0.9, 0.9, 0.9, 0.9]
AT_10, AT_40, AT_50 = [0.1, 0.9, 0.2, 0.9], [0.2, 0.5, 0.6, 0.4], [0.0, 0.1, 0.2, 0.9]


def onsets(*rows: list[float]) -> FormationOrder:
    coords = {"layer": range(len(rows)), "head": range(2)}
    return FormationOrder.of_arrays({"onset": rows}, coords, {"threshold": 0.5})


def test_the_onset_is_the_first_step_above_the_threshold() -> None:
    order = formation_order(scores_over_time(AT_10, AT_40, AT_50, AT_ONCE), threshold=0.5)
    assert order["onset"].to_numpy().tolist() == [[10, 40], [50, 0]]
    assert order.dataset.attrs["threshold"] == 0.5
    assert str(order).startswith("4 of 4 heads pass 0.5 over 4 checkpoints: L1H1 at 0, ")


def test_a_score_on_the_threshold_is_not_above_it() -> None:
    order = formation_order(scores_over_time(AT_40, NEVER), threshold=0.6)
    assert np.isnan(order["onset"]).all()


def test_a_head_that_never_passes_has_no_onset() -> None:
    order = formation_order(scores_over_time(NEVER, AT_10, NEVER, NEVER), threshold=0.5)
    np.testing.assert_array_equal(order["onset"], [[np.nan, 10], [np.nan, np.nan]])
    np.testing.assert_array_equal(order.per_layer(), [10, np.nan])


def test_a_layer_forms_with_its_first_head() -> None:
    assert onsets([40, 10], [50, np.nan]).per_layer().to_numpy().tolist() == [10, 50]


def test_onsets_are_told_in_the_order_of_their_steps() -> None:
    assert str(onsets([40, 10], [50, np.nan])) == "3 of 4 heads pass 0.5: L0H1 at 10, L0H0 at 40, L1H0 at 50"
    assert str(onsets([np.nan, np.nan])) == "0 of 2 heads pass 0.5: none"


def test_heads_of_the_circuit_form_when_they_become_sharp() -> None:
    series = [
        (step, induction_circuit(sharpness=sharpness)) for step, sharpness in {0: 0, 7: 1, 11: 30, 13: 30}.items()
    ]
    order = formation_order(induction_scores(series, repeated_distinct_tokens()), threshold=0.5)
    expected = np.full((2, 5), np.nan)
    expected[ground_truth.INDUCTION_HEAD] = 11
    np.testing.assert_array_equal(order["onset"], expected)


# Depth order


@pytest.mark.parametrize(
    ("rows", "tau"),
    [
        (([10, 10], [40, 40], [50, 50]), 1.0),
        (([50, 50], [40, 40], [10, 10]), -1.0),
        (([10, 40], [10, 40], [np.nan, np.nan]), 0.0),
    ],
    ids=["shallow-first", "deep-first", "no-order"],
)
def test_depth_orders_read_by_eye(rows: tuple[list[float], ...], tau: float) -> None:
    order = onsets(*rows).depth_order()
    assert order.tau == pytest.approx(tau) and order.n_heads == int(np.isfinite(rows).sum())
    assert (order.p_value == 1.0) == (tau == 0)


def test_the_p_value_of_six_heads_in_perfect_order_is_two_of_ninety_relabellings() -> None:
    """Three pairs of heads are labeled in 6! / 8 = 90 ways; only the order itself and its reverse are as strict."""
    assert onsets([10, 10], [40, 40], [50, 50]).depth_order().p_value == pytest.approx(2 / 90)


def test_p_counts_large_tau_of_either_sign_also_where_relabelling_is_lopsided() -> None:
    """With two of three tied on both sides, the relabellings give 2 once and -1 twice: 2 is matched by itself only."""
    assert kendall_tau(np.array([0, 0, 1]), np.array([10.0, 10.0, 40.0])).p_value == pytest.approx(1 / 3)


pairs = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=2, max_size=6)


def ordered_pairs(depth: tuple[int, ...], onset: tuple[int, ...]) -> int:
    """Concordant pairs less discordant ones: tau-b but for a factor that relabelling does not change."""
    size = len(depth)
    return sum(int(np.sign(depth[i] - depth[j]) * np.sign(onset[i] - onset[j])) for i in range(size) for j in range(i))


@settings(deadline=None, max_examples=60)
@given(heads=pairs)
def test_tau_is_scipys_and_p_counts_all_relabellings(heads: list[tuple[int, int]]) -> None:
    depth, onset = zip(*heads, strict=True)
    assume(len(set(depth)) > 1 and len(set(onset)) > 1)
    found = kendall_tau(np.array(depth), np.array(onset, dtype=float))
    relabeled = [abs(ordered_pairs(labels, onset)) for labels in permutations(depth)]
    assert found.tau == pytest.approx(stats.kendalltau(depth, onset).statistic)
    assert found.p_value == pytest.approx(np.mean(np.array(relabeled) >= abs(ordered_pairs(depth, onset))))


def test_many_heads_are_relabeled_at_random_and_the_seed_decides_how() -> None:
    depth, onset = np.repeat(np.arange(5), 3), np.array([3, 1, 2, 5, 4, 6, 7, 9, 8, 2, 11, 10, 13, 14, 12.0])
    first, same = (kendall_tau(depth, onset, seed=seed) for seed in (1, 1))
    assert first == same and 0 < first.p_value < 0.01
    assert first.tau == pytest.approx(stats.kendalltau(depth, onset).statistic)


@pytest.mark.parametrize(
    "rows",
    [([np.nan, np.nan], [np.nan, np.nan]), ([10, 40], [np.nan, np.nan]), ([10, 10], [10, np.nan])],
    ids=["none-formed", "one-layer", "one-onset"],
)
def test_without_two_layers_and_two_onsets_there_is_no_order(rows: tuple[list[float], ...]) -> None:
    order = onsets(*rows).depth_order()
    assert np.isnan(order.tau) and np.isnan(order.p_value)
    assert str(order) == f"no order: {order.n_heads} heads formed, two layers and two onsets are needed"


def test_a_depth_order_is_told_in_one_line() -> None:
    assert str(DepthOrder(0.8125, 0.0213, 6)) == "tau = +0.81 (p = 0.021, 6 heads)"
    assert str(DepthOrder(-1.0, 1.0, 2)) == "tau = -1.00 (p = 1, 2 heads)"


# Any score, in any order, finite or not


def scores_by_hand(values: list[list[float]], steps: list[int]) -> xr.DataArray:
    """checkpoint x head of one layer."""
    return labeled(
        np.array(values)[:, None], ("checkpoint", "layer", "head"), dict(checkpoint=steps, layer=[0], head=[0, 1])
    )


def test_any_score_of_heads_has_a_formation_order() -> None:
    tokens = repeated_distinct_tokens()
    series = [(0, induction_circuit(sharpness=0.0)), (10, induction_circuit())]
    scores = head_scores(series, tokens, scores=["previous_token", "prefix_matching"])
    order = formation_order(scores["previous_token"], threshold=0.5)
    assert float(order["onset"][ground_truth.PREVIOUS_TOKEN_HEAD]) == 10
    assert int(order["onset"].count()) == 1
    with pytest.raises(ValueError, match=r"got HeadScores: select one, as in head_scores\(...\)\[name\]"):
        formation_order(scores, threshold=0.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"got dims \('layer', 'head'\)"):
        formation_order(scores["previous_token"][0], threshold=0.5)


def test_steps_are_put_in_order_and_counted_once() -> None:
    shuffled = scores_by_hand([[0.9, 0.9], [0.1, 0.1], [0.9, 0.1]], [1000, 0, 200])
    assert formation_order(shuffled, threshold=0.5)["onset"][0].to_numpy().tolist() == [200, 1000]
    with pytest.raises(ValueError, match="step 200 is given 2 times"):
        formation_order(scores_by_hand([[0.1, 0.1]] * 2, [200, 200]), threshold=0.5)


def test_checkpoints_that_are_not_finite_are_left_out_and_named() -> None:
    scores = scores_by_hand([[0.1, np.nan], [np.inf, np.nan], [0.9, np.nan]], [0, 10, 20])
    order = formation_order(scores, threshold=0.5)
    np.testing.assert_array_equal(order["onset"][0], [20, np.nan])
    assert order.not_finite() == (0, 10, 20) and str(order).endswith("NOT FINITE at steps 0, 10, 20")
    assert formation_order(scores[:, :, :1], threshold=0.5).not_finite() == (10,)


@pytest.mark.parametrize("threshold", [np.nan, np.inf])
def test_a_threshold_is_a_finite_number(threshold: float) -> None:
    with pytest.raises(ValueError, match=f"threshold must be a finite number, got {threshold}"):
        formation_order(scores_by_hand([[0.1, 0.2]], [0]), threshold=threshold)
    for other in (True, "0.1", None):
        with pytest.raises(ValueError, match=f"threshold must be a finite number, got {other!r}"):
            formation_order(scores_by_hand([[0.1, 0.2]], [0]), threshold=other)  # pyright: ignore[reportArgumentType]
    formation_order(scores_by_hand([[0.1, 0.2]], [0]), threshold=np.float32(0.5))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("steps", "onset"),
    [(["1000", "200", "50"], 200.0), ([1000, 200, 50], 200.0), (["0200", "50", "1000"], 200.0)],
)
def test_steps_in_any_order_and_as_text_are_numbers(steps: list, onset: float) -> None:
    values = {"1000": 0.9, "200": 0.9, "50": 0.1}
    scores = xr.DataArray(
        [[[values[str(int(step))]]] for step in steps], {"checkpoint": steps}, ["checkpoint", "layer", "head"]
    )
    assert formation_order(scores, threshold=0.5)["onset"].item() == onset


@pytest.mark.parametrize("steps", [["200", "0200"], [5.0, float("nan")]])
def test_steps_that_are_the_same_or_none_are_refused(steps: list) -> None:
    scores = xr.DataArray([[[0.1]], [[0.9]]], {"checkpoint": steps}, ["checkpoint", "layer", "head"])
    with pytest.raises(ValueError, match="is given 2 times|steps must be finite"):
        formation_order(scores, threshold=0.5)
