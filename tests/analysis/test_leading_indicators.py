"""Leading indicators: leads that were planted are found, and what has no rise is counted and not averaged."""

import numpy as np
import pytest
import torch
import xarray as xr
from ground_truth import CIRCUIT, head_weights, induction_circuit, random_model, repeated_distinct_tokens
from scipy import stats

from grok_interp import HEAD_SCORES
from grok_interp.analysis.head_scores import HeadScores, head_scores
from grok_interp.analysis.leading_indicators import (
    OF_ATTENTION,
    LeadingIndicators,
    indicator_scores,
    leading_indicators,
)
from grok_interp.results.result import Result

STEPS = np.arange(0, 4100, 100)
ONSETS = (1500.0, 1800.0, 2200.0)  # of the ability, of three seeds
LEADS = {"early": (600.0, 500.0, 700.0), "late": (-300.0, -400.0, -200.0), "never": None}
FOLLOWED = (1, 2)  # layer and head with the largest value at the end
NOISE = 0.005


def ramp(onset: float, after: float, rng: np.random.Generator) -> np.ndarray:
    return after * np.clip((STEPS - onset) / 400, 0, 1) + NOISE * rng.standard_normal(len(STEPS))


def curve(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, {"checkpoint": STEPS}, ["checkpoint"])


def scores_of(seed: int) -> HeadScores:
    """2 x 3 heads. The followed head has its planted onset; all others but one rise 200 updates later, less far."""
    rng, values = np.random.default_rng(seed), np.zeros((len(LEADS), len(STEPS), 2, 3))
    for at, leads in enumerate(LEADS.values()):
        for layer, head in np.ndindex(2, 3):
            onset = np.inf if leads is None else ONSETS[seed] - leads[seed] + 200 * ((layer, head) != FOLLOWED)
            after = 1.0 if (layer, head) == FOLLOWED else 0.5
            values[at, :, layer, head] = (
                NOISE * rng.standard_normal(len(STEPS)) if leads is None else ramp(onset, after, rng)
            )
        values[at, :, 0, 0] = 0.0  # as K-composition in layer 0
    coords = {"checkpoint": STEPS, "layer": [0, 1], "head": [0, 1, 2]}
    return HeadScores.of_arrays(dict(zip(LEADS, values, strict=True)), coords)


@pytest.fixture(scope="module")
def found() -> LeadingIndicators:
    ability = [curve(ramp(onset, 0.9, np.random.default_rng(100 + seed))) for seed, onset in enumerate(ONSETS)]
    return leading_indicators([scores_of(seed) for seed in range(3)], ability, seeds=[3, 5, 8], chance=0.1, margin=0.05)


@pytest.mark.parametrize("score", ["early", "late"])
def test_planted_leads_are_found(score: str, found: LeadingIndicators) -> None:
    strongest = found.dataset.sel(score=score, followed="strongest")
    np.testing.assert_allclose(strongest["lead"], LEADS[score], atol=60)
    np.testing.assert_allclose(found["lead"].sel(score=score, followed="median"), np.array(LEADS[score]) - 200, atol=60)
    assert strongest["seed"].values.tolist() == [3, 5, 8]
    np.testing.assert_allclose(found["ability_onset"], ONSETS, atol=60)
    np.testing.assert_allclose(strongest["lead"], found["ability_onset"] - strongest["onset"])


def test_the_interval_is_students_over_the_seeds(found: LeadingIndicators) -> None:
    leads, effect = found["lead"].sel(score="early", followed="strongest").to_numpy(), found.effect("early")
    half = stats.t.ppf(0.975, 2) * leads.std(ddof=1) / np.sqrt(3)
    np.testing.assert_allclose((effect.value, effect.low, effect.high), (leads.mean(), *(leads.mean() + [-half, half])))
    assert effect.low > 0 and found.effect("late").high < 0
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        found.effect("early", level=2.0)


def test_a_score_without_a_rise_has_no_lead_and_is_counted(found: LeadingIndicators) -> None:
    assert found["lead"].sel(score="never").isnull().all()
    table = found.summary().set_index(["score", "followed"])
    assert table.loc[("never", "strongest"), ["seeds", "no_rise"]].tolist() == [0, 3]
    assert table.loc[("early", "strongest"), ["seeds", "first", "no_rise", "no_ability"]].tolist() == [3, 3, 0, 0]
    assert table.loc[("late", "median"), ["seeds", "first"]].tolist() == [3, 0]
    assert not found.not_finite(), "a score without a rise is nothing wrong"


def test_the_head_that_is_followed_is_named(found: LeadingIndicators) -> None:
    assert found["head"].sel(score="early", followed="strongest").values.tolist() == ["L1H2"] * 3
    assert set(found["head"].sel(followed="median").values.ravel()) == {""}
    table = found.to_frame()
    assert len(table) == 3 * 2 * 3 and {"lead", "onset", "outcome", "head", "ability_onset"} <= set(table.columns)
    assert found.summary()["heads"][0] == "L1H2 L1H2 L1H2"


def test_it_is_told_in_one_line(found: LeadingIndicators) -> None:
    text = str(found)
    assert f"early {found.effect('early')} updates in 3 of 3 seeds" in text
    assert "never none in 0 of 3 seeds" in text


def test_an_ability_that_never_comes_leads_nothing_and_is_counted() -> None:
    rng = np.random.default_rng(0)
    ability = [curve(ramp(ONSETS[0], 0.9, rng)), curve(NOISE * rng.standard_normal(len(STEPS)))]
    found = leading_indicators([scores_of(0), scores_of(1)], ability)
    assert found["lead"].sel(score="early", followed="strongest").isnull().values.tolist() == [False, True]
    row = found.summary().iloc[0]
    assert (row["seeds"], row["no_rise"], row["no_ability"]) == (1, 0, 1)
    assert (row["low"], row["high"]) == (-np.inf, np.inf), "one seed has no interval"


def test_a_fall_is_no_rise() -> None:
    scores = scores_of(0)
    falling = HeadScores(-scores.dataset)
    found = leading_indicators([falling], [curve(ramp(ONSETS[0], 0.9, np.random.default_rng(0)))])
    early = found.dataset.sel(score="early")
    assert early["lead"].isnull().all() and early["outcome"].sel(followed="median").item() == "falls"


def test_a_result_is_kept(found: LeadingIndicators, tmp_path) -> None:
    found.save(tmp_path / "lead.nc")
    again = LeadingIndicators.load(tmp_path / "lead.nc")
    assert again.dataset.equals(found.dataset) and again.dataset.attrs == found.dataset.attrs
    assert isinstance(again, Result)


def test_seeds_that_do_not_belong_together_are_refused() -> None:
    ability = curve(ramp(1000, 1, np.random.default_rng(0)))
    with pytest.raises(ValueError, match="got 0 scores, 0 curves and 0 seeds"):
        leading_indicators([], [])
    with pytest.raises(ValueError, match="got 1 scores, 2 curves and 1 seed"):
        leading_indicators([scores_of(0)], [ability, ability])
    other = HeadScores(scores_of(1).dataset[["early"]])
    with pytest.raises(ValueError, match="all seeds need the same scores, got .*'early', 'late', 'never'.*'early'"):
        leading_indicators([scores_of(0), other], [ability, ability])


# The scores that are followed


def test_scores_of_heads_and_the_norm_of_their_weights() -> None:
    models, tokens = [(step, random_model(CIRCUIT, seed=step)) for step in (3, 7)], repeated_distinct_tokens()
    found, expected = indicator_scores(models, tokens), head_scores(models, tokens, scores=OF_ATTENTION)
    xr.testing.assert_equal(found.dataset[list(OF_ATTENTION)], expected.dataset)
    weights = head_weights(models[1][1], 1, 3)
    norm = torch.cat([each.flatten() for each in weights]).norm()
    np.testing.assert_allclose(found["weight_norm"].sel(checkpoint=7, layer=1, head=3), norm.item(), rtol=1e-5)
    assert found.dataset.attrs["chance"] == {**expected.dataset.attrs["chance"], "weight_norm": None}
    assert set(OF_ATTENTION) < set(HEAD_SCORES)


def test_heads_without_weights_have_no_norm() -> None:
    norms = indicator_scores(induction_circuit(), repeated_distinct_tokens())["weight_norm"][0].to_numpy()
    assert (norms[:, 1:] == 0).all() and (norms[:, 0] > 1).all()
