"""Means over pairs of token losses, with intervals over clusters: the numbers of `natural_copying`.

A mean over pairs is a ratio of sums over clusters, and `position` also depends on U, a mean over unrepeated tokens.
Both are linearized: each cluster's influence is what it adds to the deviation of the estimate from its expectation, and
the squared influences add up to the variance. This needs no resampling, so equal data give equal intervals.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy import stats

from grok_interp.data.ngrams import RepeatedNgrams

MEASURES = ("first", "repeat", "benefit", "position", "adjusted")
LEVEL = 0.95


def pair_estimates(
    losses: Float64[np.ndarray, "batch pos"], pairs: RepeatedNgrams, clusters: Int64[np.ndarray, " batch"]
) -> Float64[np.ndarray, "measure estimate"]:
    """Kernel: the five measures, each with its interval over clusters, numbered from 0.

    Args:
        losses: in nats, of the token at each position of each window.
        pairs: first occurrences and repeats in these windows.
        clusters: number of the cluster that each window belongs to.
    """
    typical = _mean_where(losses, pairs.unrepeated)
    first, repeat = losses[pairs.window, pairs.first], losses[pairs.window, pairs.repeat]
    position = typical[pairs.first] - typical[pairs.repeat]
    values = np.stack([first, repeat, first - repeat, position, first - repeat - position])
    means, n_clusters = values.mean(axis=1), int(clusters.max()) + 1
    deviations = (values - means[:, None]) / len(pairs)
    influence = np.stack([_summed(each, clusters[pairs.window], n_clusters) for each in deviations])
    of_control = _summed(_influence_of_control(losses, typical, pairs), clusters, n_clusters)
    influence[MEASURES.index("position")] += of_control
    influence[MEASURES.index("adjusted")] -= of_control
    margin = clustered_margin(influence, n_clusters=len(np.unique(clusters[pairs.window])))
    return np.stack([means, means - margin, means + margin], axis=1)


def clustered_margin(
    influence: Float64[np.ndarray, "*lead cluster"], *, n_clusters: int
) -> Float64[np.ndarray, "*lead"]:
    """Kernel: half the width of the interval of a mean, from what each cluster adds to its deviation.

    t(n_clusters - 1) * sqrt(n_clusters / (n_clusters - 1) * sum of squares); NaN for one cluster.

    Args:
        influence: what each cluster adds to the mean's deviation, in the unit of the mean.
        n_clusters: how many there are, from 1.
    """
    if n_clusters < 2:
        return np.full(influence.shape[:-1], np.nan)
    variance = n_clusters / (n_clusters - 1) * np.square(influence).sum(axis=-1)
    return stats.t.ppf((1 + LEVEL) / 2, n_clusters - 1) * np.sqrt(variance)


def _influence_of_control(
    losses: Float64[np.ndarray, "batch pos"], typical: Float64[np.ndarray, " pos"], pairs: RepeatedNgrams
) -> Float64[np.ndarray, " batch"]:
    """What each window's unrepeated tokens add to the deviation of `position` through U."""
    n_pos, n_unrepeated = losses.shape[1], pairs.unrepeated.sum(axis=0)
    used = np.bincount(pairs.first, minlength=n_pos) - np.bincount(pairs.repeat, minlength=n_pos)
    weight = used / (len(pairs) * np.maximum(n_unrepeated, 1))
    return np.where(pairs.unrepeated, losses - typical, 0.0) @ weight


def _mean_where(
    losses: Float64[np.ndarray, "batch pos"], counted: Bool[np.ndarray, "batch pos"]
) -> Float64[np.ndarray, " pos"]:
    """Over windows, at each position; NaN where none is counted."""
    total, number = np.where(counted, losses, 0.0).sum(axis=0), counted.sum(axis=0)
    return np.divide(total, number, out=np.full(len(total), np.nan), where=number > 0)


def _summed(
    values: Float64[np.ndarray, " value"], of: Int64[np.ndarray, " value"], n_clusters: int
) -> Float64[np.ndarray, " cluster"]:
    return np.bincount(of, weights=values, minlength=n_clusters)
