"""Emergence: from which step on does an ability appear, how long does its rise take, and how sure is that?

A curve over checkpoints is fitted by a level, a straight way and another level:

    fit(step) = before + (after - before) * clip((step - onset) / (end - onset), 0, 1)
    midpoint = (onset + end) / 2,   width = end - onset       (updates; a fall is fitted like a rise)

onset < end are checkpoints, the pair of least squared error. Intervals come from a bootstrap: the residuals of the fit,
in blocks of neighbours because what disturbs one checkpoint disturbs the next, are put back on it and fitted again.

A curve is flat, and has no onset, when its fit explains no more than the fits of its own values in another order do
(blocks permuted): p above 1 - level. A steady trend is not flat: its onset is the first checkpoint. For shares of a
curve's way without a model, see `shares`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import xarray as xr
from jaxtyping import Float

MIN_CHECKPOINTS = 8  # with fewer, no order of the blocks is rare enough to rule out chance
MAX_CANDIDATES = 100  # of checkpoints for onset and end: longer series are searched at this resolution
NEVER = float("nan")


@dataclass(frozen=True)
class Estimate:
    """A number and its interval; NaN where there is none."""

    value: float = NEVER
    low: float = NEVER
    high: float = NEVER

    def __str__(self) -> str:
        return "none" if np.isnan(self.value) else f"{self.value:,.4g} [{self.low:,.4g}, {self.high:,.4g}]"


@dataclass(frozen=True)
class Emergence:
    """The change point of one curve; all estimates are `none` for a flat one."""

    p_value: float  # of a flat curve
    onset: Estimate = field(default_factory=Estimate)  # updates
    midpoint: Estimate = field(default_factory=Estimate)
    end: Estimate = field(default_factory=Estimate)
    width: Estimate = field(default_factory=Estimate)
    before: Estimate = field(default_factory=Estimate)  # in units of the curve
    after: Estimate = field(default_factory=Estimate)

    @property
    def emerged(self) -> bool:
        return not np.isnan(self.onset.value)

    @property
    def rises(self) -> bool:
        return self.emerged and self.after.value > self.before.value

    def __str__(self) -> str:
        if not self.emerged:
            return f"none: flat (p = {self.p_value:.2g})"
        return f"onset {self.onset}, midpoint {self.midpoint}, width {self.width}, {self.before} to {self.after}"


@dataclass(frozen=True)
class Ramps:
    """Every candidate fit, centred and of norm 1, so that a product with a curve is what it explains."""

    ends: Float[np.ndarray, "ramp 2"]  # onset, end
    shapes: Float[np.ndarray, "ramp point"]
    means: Float[np.ndarray, " ramp"]
    norms: Float[np.ndarray, " ramp"]

    def fit(self, curves: Float[np.ndarray, "curve point"]) -> Float[np.ndarray, "curve 4"]:
        """onset, end, before, after of the best ramp for each curve."""
        products = curves @ self.shapes.T
        best = np.abs(products).argmax(axis=1)
        rise = np.take_along_axis(products, best[:, None], axis=1)[:, 0] / self.norms[best]
        before = curves.mean(axis=1) - rise * self.means[best]
        return np.column_stack([self.ends[best], before, before + rise])

    def explained(self, curves: Float[np.ndarray, "curve point"]) -> Float[np.ndarray, " curve"]:
        """The squared error that the best ramp takes away from each curve's variance."""
        return np.abs(curves @ self.shapes.T).max(axis=1) ** 2


def ramps_of(steps: Float[np.ndarray, " point"]) -> Ramps:
    """Between all pairs of checkpoints."""
    kept = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), MAX_CANDIDATES)).round().astype(int))
    ends = np.array(list(combinations(steps[kept].tolist(), 2)))
    raw = np.clip((steps - ends[:, :1]) / (ends[:, 1:] - ends[:, :1]), 0, 1)
    means = raw.mean(axis=1)
    norms = np.linalg.norm(raw - means[:, None], axis=1)
    return Ramps(ends, (raw - means[:, None]) / norms[:, None], means, norms)


def emergence(curve: xr.DataArray, *, seed: int = 0, n_resamples: int = 999, level: float = 0.95) -> Emergence:
    """The change point of a curve over checkpoints, with intervals of that level.

    Raises ValueError for other dimensions than `checkpoint`, for fewer than 8 checkpoints and for missing values.
    """
    steps, values = _checked(curve)
    ramps, rng, block = ramps_of(steps), np.random.default_rng(seed), round(len(steps) ** (1 / 3))
    centred = values - values.mean()
    orders = np.stack([_permuted_blocks(len(steps), block, rng) for _ in range(n_resamples)])
    explained = ramps.explained(centred[None])[0]
    as_good = (ramps.explained(centred[orders]) >= explained * (1 - 1e-9)).sum()
    p_value = float((1 + as_good) / (1 + n_resamples))
    if p_value > 1 - level or explained <= 1e-24 * (values**2).sum():
        return Emergence(p_value)
    best = ramps.fit(values[None])[0]
    fitted = _ramp(steps, *best)
    drawn = np.stack([_drawn_blocks(len(steps), block, rng) for _ in range(n_resamples)])
    refits = ramps.fit(fitted + (values - fitted)[drawn])
    return Emergence(p_value, **_estimates(best, refits, level))


def _checked(curve: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    if curve.dims != ("checkpoint",):
        raise ValueError(f"emergence needs one curve over `checkpoint`, got dims {curve.dims}: select one first")
    if curve.size < MIN_CHECKPOINTS:
        raise ValueError(
            f"a change point needs {MIN_CHECKPOINTS} checkpoints or more, got {curve.size}: keep more of them "
            "(checkpoint_steps), or wait for the run to reach them"
        )
    if missing := int(curve.isnull().sum()):
        raise ValueError(f"{missing} of {curve.size} checkpoints have no value: drop them first (dropna)")
    return curve["checkpoint"].to_numpy().astype(float), curve.to_numpy().astype(float)


def _estimates(best: np.ndarray, refits: np.ndarray, level: float) -> dict[str, Estimate]:
    onset, end, before, after = np.vstack([best, refits]).T
    columns = {
        "onset": onset,
        "midpoint": (onset + end) / 2,
        "end": end,
        "width": end - onset,
        "before": before,
        "after": after,
    }
    shares = [(1 - level) / 2, (1 + level) / 2]
    return {name: Estimate(float(each[0]), *np.quantile(each[1:], shares).tolist()) for name, each in columns.items()}


def _ramp(steps: np.ndarray, onset: float, end: float, before: float, after: float) -> np.ndarray:
    return before + (after - before) * np.clip((steps - onset) / (end - onset), 0, 1)


def _permuted_blocks(n: int, block: int, rng: np.random.Generator) -> np.ndarray:
    """0 .. n-1 in blocks of neighbours, the blocks in another order."""
    offset = int(rng.integers(block))
    blocks = np.split(np.arange(n), np.arange(offset, n, block))
    return np.concatenate([blocks[index] for index in rng.permutation(len(blocks))])


def _drawn_blocks(n: int, block: int, rng: np.random.Generator) -> np.ndarray:
    """n indices in blocks of neighbours, drawn with replacement."""
    starts = rng.integers(n - block + 1, size=-(-n // block))
    return (starts[:, None] + np.arange(block)).ravel()[:n]
