"""Formation order: at which step does each head's score first pass a threshold, and do deeper layers come later?

The paper (A.4, Figure 6) says that induction heads form from shallow to deep layers. Kendall's tau between the depth of
a head and its onset says how strictly (1: every deeper head later, 0: no order, -1: reversed); its p-value, two-sided,
is the fraction of relabelings of the heads' depths that give a |tau| as large.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr
from scipy import stats

from grok_interp.analysis.induction import InductionScores
from grok_interp.arguments import checked
from grok_interp.counted import counted, over
from grok_interp.results.order import by_step
from grok_interp.results.result import Measure, Result

N_PERMUTATIONS = 9_999
if TYPE_CHECKING:
    Scores = InductionScores | xr.DataArray
else:  # at run time `formation_order` itself refuses what is neither, with a message for the reader
    Scores = Any


@dataclass(frozen=True)
class DepthOrder:
    """Kendall's tau-b of layer against onset, over the heads that formed; NaN when it is not defined."""

    tau: float
    p_value: float
    n_heads: int

    def __str__(self) -> str:
        if np.isnan(self.tau):
            return f"no order: {counted(self.n_heads, 'head')} formed, two layers and two onsets are needed"
        return f"tau = {self.tau:+.2f} (p = {self.p_value:.2g}, {counted(self.n_heads, 'head')})"


class FormationOrder(Result):
    """The first checkpoint step at which each head's score is above the threshold; NaN if it never is.

    Checkpoints whose scores are not finite are left out; `not_finite` names them.
    """

    name = "onset"
    dims = ("layer", "head")
    measures: ClassVar = {"onset": Measure("onset", "updates", may_be_undefined=True)}

    def per_layer(self) -> xr.DataArray:
        """The onset of each layer's first head; NaN if none formed."""
        return self["onset"].min("head", skipna=True)

    @checked
    def depth_order(self, *, seed: int = 0) -> DepthOrder:
        """Do deeper heads form later?

        Args:
            seed: of the relabelings that give the p-value.
        """
        formed = self["onset"].to_series().dropna()
        layers = formed.index.get_level_values("layer").to_numpy()
        return kendall_tau(layers, formed.to_numpy(), seed=seed)

    def not_finite(self) -> tuple[int, ...]:
        return tuple(self.dataset.attrs.get("not_finite", ()))

    def __str__(self) -> str:
        formed = self["onset"].to_series().dropna().sort_values()
        heads = ", ".join(
            f"L{layer}H{head} at {step:.0f}" for (layer, head), step in zip(formed.index.tolist(), formed, strict=True)
        )
        threshold = self.dataset.attrs["threshold"]
        of = counted(self["onset"].size, "head")
        checkpoints = over(self.dataset.attrs.get("n_checkpoints"), "checkpoint")
        return f"{len(formed)} of {of} pass {threshold:g}{checkpoints}: {heads or 'none'}{self.warning()}"


@checked
def formation_order(scores: Scores, *, threshold: float) -> FormationOrder:
    """The first checkpoint at which each head's score is above a threshold, to the resolution of the checkpoints.

    Args:
        scores: `InductionScores`, of which I(L, H) is taken, or any score as an array with the dimensions checkpoint,
            layer and head, such as `head_scores(...)["prefix_matching"]`. Steps are put in order.
        threshold: a finite number, in the unit of the score.

    Returns:
        Steps with dims (layer, head); NaN for a head that never passes the threshold.

    Raises:
        ValueError: for other dimensions, steps that are given twice, and a threshold that is not a finite number.

    Example:
        >>> scores = xr.DataArray([[[0.1]], [[0.9]]], {"checkpoint": [0, 8]}, dims=("checkpoint", "layer", "head"))
        >>> float(formation_order(scores, threshold=0.5)["onset"][0, 0])
        8.0
    """
    curves = _curves(scores)
    steps, finite = curves["checkpoint"].to_numpy(), abs(curves) < np.inf
    above = (curves > threshold) & finite
    first = above.argmax("checkpoint")
    onset = xr.where(above.any("checkpoint"), steps[first.to_numpy()].astype(float), np.nan)
    undefined = steps[~finite.all(("layer", "head")).to_numpy()].tolist()
    attrs = {"threshold": threshold, "n_checkpoints": len(steps), **({"not_finite": undefined} if undefined else {})}
    return FormationOrder(xr.Dataset({"onset": onset.transpose(*FormationOrder.dims)}, attrs=attrs))


def _curves(scores: Scores) -> xr.DataArray:
    """One score by checkpoint, layer and head, with increasing steps."""
    curves = scores["I"] if isinstance(scores, InductionScores) else scores
    if not isinstance(curves, xr.DataArray) or set(curves.dims) != {"checkpoint", *FormationOrder.dims}:
        got = f"dims {curves.dims}" if isinstance(curves, xr.DataArray) else type(curves).__name__
        raise ValueError(
            f"formation_order needs one score of every head with dims checkpoint, layer and head, got {got}: select "
            "one, as in head_scores(...)[name]"
        )
    return by_step(curves)


@checked
def kendall_tau(depth: np.ndarray, onset: np.ndarray, *, seed: int = 0) -> DepthOrder:
    """Kernel: tau-b with a permutation p-value, exact when there are few enough relabellings.

    Args:
        depth: of each head.
        onset: of each head, in updates.
        seed: draws the relabellings when there are too many to take all.
    """
    if len(set(depth.tolist())) < 2 or len(set(onset.tolist())) < 2:
        return DepthOrder(np.nan, np.nan, len(depth))
    order = _signs(onset)

    def concordance(relabeled: np.ndarray, axis: int) -> Any:  # noqa: ARG001 (scipy's signature)
        """|tau-b| but for a factor that no relabelling changes."""
        return abs((_signs(relabeled) * order).sum(axis=(-2, -1)))

    test = stats.permutation_test(
        (depth,),
        concordance,
        permutation_type="pairings",
        alternative="greater",
        vectorized=True,
        n_resamples=N_PERMUTATIONS,
        batch=max(1, 10_000_000 // len(depth) ** 2),
        rng=np.random.default_rng(seed),
    )
    tau: Any = stats.kendalltau(depth, onset)[0]
    return DepthOrder(float(tau), float(test.pvalue), len(depth))


@checked
def pooled_depth_order(orders: Sequence[FormationOrder], *, seed: int = 0) -> DepthOrder:
    """Kendall's tau-b over the heads of several runs, compared within each run only; relabeled within each run.

    Args:
        orders: one per run.
        seed: of the relabelings that give the p-value.
    """
    formed = [order["onset"].to_series().dropna() for order in orders]
    runs = [(each.index.get_level_values("layer").to_numpy(), each.to_numpy()) for each in formed]
    n_heads = sum(map(len, formed))
    untied = [np.sqrt((_signs(depth) ** 2).sum() * (_signs(onset) ** 2).sum()) for depth, onset in runs]
    if not sum(untied):
        return DepthOrder(np.nan, np.nan, n_heads)

    def tau(depths: Iterable[np.ndarray]) -> float:
        pairs = zip(depths, runs, strict=True)
        return float(sum((_signs(depth) * _signs(onset)).sum() for depth, (_, onset) in pairs) / sum(untied))

    rng, measured = np.random.default_rng(seed), tau(depth for depth, _ in runs)
    relabeled = [tau(rng.permutation(depth) for depth, _ in runs) for _ in range(N_PERMUTATIONS)]
    as_large = int((np.abs(relabeled) >= abs(measured) - 1e-12).sum())
    return DepthOrder(measured, (1 + as_large) / (1 + N_PERMUTATIONS), n_heads)


def _signs(values: np.ndarray) -> np.ndarray:
    return np.sign(values[..., :, None] - values[..., None, :])
