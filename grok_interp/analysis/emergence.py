"""Emergence: from which step on does an ability appear, how long does its rise take, and how sure is that?

A curve over checkpoints is fitted by a level, a straight way to another one, and a drift slower than that way:

    fit(step) = before + (after - before) * clip((step - onset) / (end - onset), 0, 1) + drift * max(step - end, 0)
    midpoint = (onset + end) / 2,   width = end - onset       (updates; a fall is fitted like a rise)

onset < end are checkpoints, the pair of least squared error with |drift| < |after - before| / width. Without the drift
an ability that creeps on after its rise, as most do, would have its whole life taken for the rise. Intervals come from
a bootstrap: the residuals of the fit, in blocks of neighbours because what disturbs one checkpoint disturbs the next,
are put back on it and fitted again.

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
    after: Estimate = field(default_factory=Estimate)  # where the rise ends; a drift may follow

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
    """Every candidate: its ramp, and what its drift adds to that; centred, orthogonal and of norm 1."""

    ends: Float[np.ndarray, "ramp 2"]  # onset, end
    ramps: Float[np.ndarray, "ramp point"]
    drifts: Float[np.ndarray, "ramp point"]
    ramp_norm: Float[np.ndarray, " ramp"]
    drift_norm: Float[np.ndarray, " ramp"]
    overlap: Float[np.ndarray, " ramp"]  # of the drift with the ramp

    def fit(self, curves: Float[np.ndarray, "curve point"]) -> Float[np.ndarray, "curve 5"]:
        """onset, end, rise, drift and explained squared error of the best candidate for each curve."""
        on_ramp, on_drift = curves @ self.ramps.T, curves @ self.drifts.T
        drift = on_drift / self.drift_norm
        rise = (on_ramp - drift * self.overlap) / self.ramp_norm
        slower = np.abs(drift) < np.abs(rise) / (self.ends[:, 1] - self.ends[:, 0])
        explained = on_ramp**2 + np.where(slower, on_drift**2, 0)
        best = explained.argmax(axis=1)[:, None]

        def of_best(values: np.ndarray) -> np.ndarray:
            return np.take_along_axis(values, best, axis=1)[:, 0]

        rise = np.where(slower, rise, on_ramp / self.ramp_norm)
        found = [of_best(each) for each in (rise, np.where(slower, drift, 0), explained)]
        return np.column_stack([self.ends[best[:, 0]], *found])


def ramps_between(steps: Float[np.ndarray, " point"]) -> Ramps:
    """Between all pairs of checkpoints."""
    kept = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), MAX_CANDIDATES)).round().astype(int))
    ends = np.array(list(combinations(steps[kept].tolist(), 2)))
    ramps, ramp_norm = _unit(_ramp(steps, ends))
    drift = _drift(steps, ends)
    overlap = (drift * ramps).sum(axis=1)
    drifts, drift_norm = _unit(drift - overlap[:, None] * ramps)
    return Ramps(ends, ramps, drifts, ramp_norm, drift_norm, overlap)


def _unit(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centred rows of norm 1, and their norms; a row that is constant stays 0, with a norm of 1."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1)
    constant = norms < 1e-9 * np.abs(rows).max(initial=1e-300)
    centred[constant], norms[constant] = 0, 1
    return centred / norms[:, None], norms


def emergence(curve: xr.DataArray, *, seed: int = 0, n_resamples: int = 999, level: float = 0.95) -> Emergence:
    """The change point of a curve over checkpoints, with intervals of that level.

    Raises ValueError for other dimensions than `checkpoint`, for fewer than 8 checkpoints and for missing values.
    """
    steps, values = _checked(curve)
    ramps, rng, block = ramps_between(steps), np.random.default_rng(seed), round(len(steps) ** (1 / 3))
    best = ramps.fit(values[None])
    orders = np.stack([_permuted_blocks(len(steps), block, rng) for _ in range(n_resamples)])
    as_good = (ramps.fit(values[orders])[:, -1] >= best[0, -1] * (1 - 1e-9)).sum()
    p_value = float((1 + as_good) / (1 + n_resamples))
    if p_value > 1 - level or best[0, -1] <= 1e-24 * (values**2).sum():
        return Emergence(p_value)
    fitted = _fitted(steps, best, values[None])[0]
    drawn = np.stack([_drawn_blocks(len(steps), block, rng) for _ in range(n_resamples)])
    redrawn = fitted + (values - fitted)[drawn]
    return Emergence(p_value, **_estimates(steps, np.vstack([values, redrawn]), ramps, level))


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


def _estimates(steps: np.ndarray, curves: np.ndarray, ramps: Ramps, level: float) -> dict[str, Estimate]:
    """The first curve is the measured one, the others tell how sure its estimates are."""
    fits = ramps.fit(curves)
    onset, end, rise, *_ = fits.T
    before = _fitted(steps, fits, curves)[:, 0]
    columns = {
        "onset": onset,
        "midpoint": (onset + end) / 2,
        "end": end,
        "width": end - onset,
        "before": before,
        "after": before + rise,
    }
    shares = [(1 - level) / 2, (1 + level) / 2]
    return {name: Estimate(float(each[0]), *np.quantile(each[1:], shares).tolist()) for name, each in columns.items()}


def _fitted(steps: np.ndarray, fits: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """curve x point."""
    rise, drift = fits[:, 2:3], fits[:, 3:4]
    shape = rise * _ramp(steps, fits[:, :2]) + drift * _drift(steps, fits[:, :2])
    return shape + (curves - shape).mean(axis=1, keepdims=True)


def _ramp(steps: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """0 up to each onset, 1 from each end on."""
    return np.clip((steps - ends[:, :1]) / (ends[:, 1:] - ends[:, :1]), 0, 1)


def _drift(steps: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """0 up to each end, then the steps since."""
    return np.maximum(steps - ends[:, 1:], 0)


def _permuted_blocks(n: int, block: int, rng: np.random.Generator) -> np.ndarray:
    """0 .. n-1 in blocks of neighbours, the blocks in another order."""
    offset = int(rng.integers(block))
    blocks = np.split(np.arange(n), np.arange(offset, n, block))
    return np.concatenate([blocks[index] for index in rng.permutation(len(blocks))])


def _drawn_blocks(n: int, block: int, rng: np.random.Generator) -> np.ndarray:
    """n indices in blocks of neighbours, drawn with replacement."""
    starts = rng.integers(n - block + 1, size=-(-n // block))
    return (starts[:, None] + np.arange(block)).ravel()[:n]
