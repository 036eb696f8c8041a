"""The noise of fractions: closed forms, and recovery of a known standard deviation of the logit."""

import numpy as np
import pytest
from scipy.special import expit, logit

from grok_interp.statistics.fraction_noise import fraction_noise

LINE = np.concatenate([np.full(150, 0.02), np.linspace(0.02, 0.95, 100), np.full(250, 0.95)])


def test_independent_answers_have_binomial_noise() -> None:
    values = np.random.default_rng(0).binomial(400, LINE) / 400
    noise = fraction_noise(values, LINE, trials=400)
    assert noise.ratios is not None
    np.testing.assert_allclose(noise.ratios, np.sqrt(LINE * (1 - LINE) / 400), rtol=0.15)


@pytest.mark.parametrize("tau", [0.1, 0.4])
def test_fluctuations_of_the_logit_are_recovered(tau: float) -> None:
    rng = np.random.default_rng(1)
    values = rng.binomial(100_000, expit(logit(LINE) + tau * rng.standard_normal(500))) / 100_000
    noise = fraction_noise(values, LINE, trials=100_000)
    assert noise.ratios is not None
    shape = LINE * (1 - LINE)
    np.testing.assert_allclose(noise.ratios, np.sqrt(shape / 100_000 + (tau * shape) ** 2), rtol=0.1)


def test_the_weighted_residuals_have_the_sum_that_is_expected() -> None:
    values = (LINE + 0.05 * np.sin(np.arange(500))).clip(0, 1)
    noise = fraction_noise(values, LINE, trials=1000)
    assert noise.ratios is not None
    assert (((values - LINE) / noise.ratios) ** 2).sum() == pytest.approx(noise.n_free(500))


def test_a_curve_on_its_line_has_the_noise_of_its_trials() -> None:
    found = fraction_noise(LINE, LINE, trials=50).ratios
    level = (50 * LINE + 2) / 54
    np.testing.assert_allclose(found, np.sqrt(level * (1 - level) / 50))


def test_levels_of_0_and_1_have_noise_and_no_vote() -> None:
    line = np.array([-0.1, 0, 0, 0.5, 1, 1, 1, 1.2])
    noise = fraction_noise(line.clip(0, 1), line, trials=10)
    assert noise.ratios is not None and (noise.ratios > 0).all()
    assert noise.n_varying == pytest.approx(1)
