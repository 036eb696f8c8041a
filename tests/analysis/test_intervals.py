"""Intervals: Wilson's against the textbook; over tasks and contexts, where the components of variance are known."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, norm

from grok_interp.analysis.intervals import (
    Z,
    effective_number,
    mean_and_error,
    probability_above,
    wilson_interval,
    with_bounds,
)
from grok_interp.analysis.sample_intervals import fraction_interval, mean_interval

N_REPEATS, N_CONTEXTS = 2000, 30
LOWEST, HIGHEST = binom.ppf([0.001, 0.999], N_REPEATS, 0.95)  # of intervals that cover, if 95% do


def difficulty(n_tasks: int, generator: np.random.Generator) -> np.ndarray:
    """Logits of tasks, of standard deviation 1."""
    return generator.normal(0.8, 1.0, n_tasks)


def right_answers(tasks: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """task x context. The logit of each context has an effect of its own, of standard deviation 1, too."""
    of_context = generator.normal(0, 1.0, (len(tasks), N_CONTEXTS))
    return generator.random(of_context.shape) < 1 / (1 + np.exp(-tasks[:, None] - of_context))


def accuracy_of(tasks: np.ndarray) -> float:
    """Over all contexts, whose effect is normal: by quadrature."""
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    of_each = 1 / (1 + np.exp(-tasks[:, None] - points))
    return float((of_each @ weights / weights.sum()).mean())


def n_covering(population: np.ndarray, n_tasks: int, *, seed: int) -> int:
    """How many of the draws have an interval that covers the accuracy of all tasks of a population on all contexts."""
    generator, true, hits = np.random.default_rng(seed), accuracy_of(population), 0
    for _ in range(N_REPEATS):
        tasks = generator.choice(population, n_tasks, replace=False)
        right = torch.from_numpy(right_answers(tasks, generator))[..., None]
        both = mean_and_error(right.double(), torch.ones_like(right), task_fraction=n_tasks / len(population))
        mean, error = (each.numpy() for each in both)
        low, high = wilson_interval(mean, effective_number(mean, error, np.full(1, right.numel())))
        hits += int(low[0] <= true <= high[0])
    return hits


@pytest.mark.parametrize(("n_tasks", "n_all"), [(9, 9), (40, 40), (60, 90), (60, 10_000)])
def test_95_percent_of_intervals_cover_whether_tasks_are_all_or_a_sample(n_tasks: int, n_all: int) -> None:
    population = difficulty(n_all, np.random.default_rng(n_all))
    assert LOWEST <= n_covering(population, n_tasks, seed=n_tasks + n_all) <= HIGHEST


def test_the_errors_of_all_tasks_and_of_a_sample_are_the_textbooks() -> None:
    values = torch.rand(7, 11, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ones = torch.ones(7, 11, 3, dtype=torch.bool)
    means, within = values.mean(dim=1).numpy(), values.numpy().var(axis=1, ddof=1)
    mean, fixed = mean_and_error(values, ones)
    _, half = mean_and_error(values, ones, task_fraction=0.5)
    _, sampled = mean_and_error(values, ones, task_fraction=1e-12)
    np.testing.assert_allclose(mean, means.mean(axis=0))
    np.testing.assert_allclose(fixed, np.sqrt(within.mean(axis=0) / 77))
    np.testing.assert_allclose(sampled, means.std(axis=0, ddof=1) / math.sqrt(7))
    np.testing.assert_allclose(half**2, (fixed**2 + sampled**2) / 2)


@settings(deadline=None)
@given(n_tasks=st.integers(1, 5), seed=st.integers(0, 999), share=st.floats(0.3, 1.0))
def test_only_queries_that_count_count(n_tasks: int, seed: int, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(n_tasks, 7, 3, generator=generator, dtype=torch.float64)
    counted = torch.rand(n_tasks, 7, 3, generator=generator) < share
    counted[:, :2] = True
    mean, error = mean_and_error(values, counted)
    others, same = mean_and_error(values.where(counted, 99.0), counted)
    assert torch.equal(mean, others) and torch.equal(error, same)
    np.testing.assert_allclose(mean, np.average(values.numpy(), axis=(0, 1), weights=counted.numpy()))


def test_the_error_of_a_mean_over_some_queries_is_that_of_repeated_draws() -> None:
    """Right answers count more often than wrong ones: the mean is a ratio of two random numbers."""
    generator = torch.Generator().manual_seed(1)
    right = torch.rand(4, 50, 4000, generator=generator) < 0.6
    counted = torch.rand(right.shape, generator=generator) < torch.where(right, 0.35, 0.225)
    mean, error = mean_and_error(right.double(), counted)
    assert float(mean.mean()) == pytest.approx(0.6 * 0.35 / (0.6 * 0.35 + 0.4 * 0.225), abs=0.003)
    assert float(error.mean()) == pytest.approx(float(mean.std()), rel=0.04)


def test_without_two_queries_two_contexts_or_two_of_several_tasks_there_is_no_error() -> None:
    values, counted = torch.rand(3, 4, 2), torch.zeros(3, 4, 2, dtype=torch.bool)
    counted[0, 0, 0] = True
    mean, error = mean_and_error(values, counted)
    assert mean[0] == values[0, 0, 0].double() and mean[1].isnan() and error.isnan().all()
    one_context, one_task = torch.ones(3, 1, 2, dtype=torch.bool), torch.ones(1, 4, 2, dtype=torch.bool)
    assert mean_and_error(values[:, :1], one_context)[1].isnan().all()
    assert mean_and_error(values[:1], one_task, task_fraction=0.5)[1].isnan().all()
    assert mean_and_error(values[:1], one_task)[1].isfinite().all()


@settings(deadline=None)
@given(n=st.integers(1, 5000), data=st.data(), confidence=st.sampled_from([0.5, 0.95, 0.99]))
def test_the_interval_of_independent_queries_is_wilsons(n: int, data: st.DataObject, confidence: float) -> None:
    k = data.draw(st.integers(0, n))
    low, high = wilson_interval(np.array([k / n]), n, confidence=confidence)
    scipys = binomtest(k, n).proportion_ci(confidence_level=confidence, method="wilson")
    np.testing.assert_allclose([low[0], high[0]], [scipys.low, scipys.high], atol=1e-9)
    assert 0 <= low[0] <= k / n <= high[0] <= 1 and low[0] < high[0]


def test_each_proportion_gets_the_interval_of_its_own_number_and_nan_has_none() -> None:
    low, high = wilson_interval(np.array([[0.5, np.nan, 1.0]]), np.array([[10.0, np.nan, 40.0]]))
    np.testing.assert_allclose([low[0], high[0]], [[0.2366, np.nan, 0.9124], [0.7634, np.nan, 1.0]], atol=1e-4)


@pytest.mark.parametrize(
    ("proportion", "n", "got"),
    [(0.5, 0, "0.5 and n = 0"), (1.5, 10, "1.5 and n = 10"), (-0.1, 10, "-0.1 and n = 10")],
)
def test_what_is_no_proportion_is_refused(proportion: float, n: int, got: str) -> None:
    with pytest.raises(ValueError, match=rf"needs proportions in \[0, 1\] and n above 0, got {got}$"):
        wilson_interval(np.array([proportion]), n)


def test_bounds_keep_the_labels() -> None:
    found = with_bounds(xr.DataArray([0.0, 0.3], dims="checkpoint", coords={"checkpoint": [7, 11]}), 10)
    assert found.dims == ("bound", "checkpoint") and found["checkpoint"].to_numpy().tolist() == [7, 11]
    assert float(found.sel(bound="high", checkpoint=7)) == pytest.approx(0.2775, abs=1e-4)


def test_the_effective_number_of_independent_queries_is_their_number() -> None:
    accuracy = np.array([0.3, 0.0, 1.0, np.nan])
    error = np.array([math.sqrt(0.3 * 0.7 / 500), 0.0, 0.0, np.nan])
    np.testing.assert_allclose(effective_number(accuracy, error, np.full(4, 50.0)), [500, 50, 50, np.nan])


@settings(deadline=None)
@given(accuracy=st.floats(0, 1), n=st.floats(2, 1e5))
def test_the_threshold_is_passed_with_97_5_percent_where_the_interval_begins(accuracy: float, n: float) -> None:
    (low,), (high,) = wilson_interval(np.array([accuracy]), np.array([n]))
    for end, probability in ((low, norm.cdf(Z)), (high, norm.cdf(-Z))):
        if 1e-9 < end < 1 - 1e-9:
            found = probability_above(float(end), np.array([accuracy]), np.array([n]))[0]
            assert found == pytest.approx(probability, abs=1e-4)


def test_a_threshold_outside_the_unit_interval_is_refused() -> None:
    with pytest.raises(ValueError, match=r"threshold is an accuracy in \[0, 1\], got 1.2"):
        probability_above(1.2, np.array([0.5]), np.array([10.0]))


def test_single_precision_does_not_make_samples_that_agree_exact() -> None:
    ends = [fraction_interval(np.full(100, 1 / 3, dtype=dtype)) for dtype in (np.float32, np.float64)]
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-6)
    assert ends[0][1] - ends[0][0] > 0.15


@pytest.mark.parametrize("interval", [fraction_interval, mean_interval])
@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_an_interval_of_no_sample_is_refused(interval: Callable[..., Any], shape: tuple[int, ...]) -> None:
    expected = rf"one sample or more along the last axis, got an array of shape {re.escape(str(shape))}: leave out"
    with pytest.raises(ValueError, match=expected):
        interval(np.zeros(shape))
