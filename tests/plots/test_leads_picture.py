"""Leads drawn: every dot and bar is a number of the result."""

import numpy as np
import pytest

from grok_interp.analysis.leading_indicators import LeadingIndicators
from grok_interp.plots import on_paper
from grok_interp.plots.pictures.leads import leads

LEADS = np.array([[[100.0, 140.0, np.nan], [20.0, 30.0, 70.0]], [[-50.0, np.nan, np.nan], [np.nan] * 3]])


@pytest.fixture
def result() -> LeadingIndicators:
    coords = {"score": ["previous_token", "weight_norm"], "followed": ["strongest", "median"], "seed": [0, 1, 2]}
    outcome, head = (np.where(np.isfinite(LEADS), *words) for words in (("rises", "flat"), ("L1H0", "")))
    arrays = {"lead": LEADS, "onset": LEADS, "outcome": outcome, "head": head, "ability_onset": [1.0] * 3}
    return LeadingIndicators.of_arrays(arrays, coords)


def test_a_panel_for_each_curve_that_is_followed(result: LeadingIndicators) -> None:
    figure = on_paper(leads(result))
    assert [axis.get_title() for axis in figure.axes] == ["strongest head at the end", "median over heads"]
    for axis, followed in zip(figure.axes, ("strongest", "median"), strict=True):
        dots = [each.get_offsets()[:, 0] for each in axis.collections[::2]]
        for drawn, score in zip(dots, result.dataset["score"].values.tolist(), strict=True):
            np.testing.assert_allclose(drawn, result["lead"].sel(score=score, followed=followed).dropna("seed"))
        assert "updates" in axis.get_xlabel()
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["previous token\nn = 2 of 3", "weight norm\nn = 1 of 3"]


def test_bars_are_means_and_their_intervals(result: LeadingIndicators) -> None:
    axis = on_paper(leads(result)).axes[0]
    bars = [line.get_xdata() for line in axis.lines if line.get_linestyle() == "-" and len(line.get_xdata()) == 2]
    effect = result.effect("previous_token")
    assert any(np.allclose(each, [effect.low, effect.high]) for each in bars)
    assert not any(np.isinf(each).any() for each in bars), "one seed has no interval"
    means = [each.get_offsets()[:, 0] for each in axis.collections[1::2]]
    np.testing.assert_allclose(np.ravel(means), [120.0, -50.0])
