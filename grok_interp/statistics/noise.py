"""What is assumed about the errors of a curve: AR(1), with a standard deviation that is known or not, equal or not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

RHOS = np.linspace(0, 0.95, 20)  # autocorrelations that the likelihood is averaged over
N_LINEAR = 4  # a, b, c, d of a broken line
LEAST_FREE = 4  # degrees of freedom


@dataclass(frozen=True)
class Noise:
    """What is assumed about the errors: the values of rho, and the standard deviation (None: unknown).

    `ratios` are the standard deviations of the points relative to each other (None: equal), `least` is a lower bound of
    the standard deviation where the ratio is 1, `n_varying` is the number of points that tell rho and the standard
    deviation (None: all).
    """

    rhos: Float[np.ndarray, " rho"]
    sd: float | None = None
    ratios: Float[np.ndarray, " point"] | None = None
    least: float = 0.0
    n_varying: float | None = None

    def in_units_of(self, scale: float) -> Noise:
        """The noise of the same curve divided by a scale above 0.

        Args:
            scale: in units of the curve.
        """
        return replace(self, sd=None if self.sd is None else self.sd / scale, least=self.least / scale)

    def log_det(self, n: int, rho: float) -> float:
        """Of R, for the points that vary.

        Args:
            n: number of points.
            rho: the correlation of neighboring points, from 0 to below 1.
        """
        n_varying = float(n if self.n_varying is None else self.n_varying)
        return max(n_varying - 1, 0.0) * float(np.log(1 - rho**2))

    def n_free(self, n: int) -> float:
        """Degrees of freedom of the variance.

        Args:
            n: number of points.
        """
        return float(n - N_LINEAR if self.n_varying is None else max(self.n_varying - N_LINEAR, LEAST_FREE))

    def variance(self, rss: Float[np.ndarray, "*any"], n: int) -> Float[np.ndarray, "*any"]:
        """The likeliest one.

        Args:
            rss: residual sums of squares of whitened rows.
            n: number of points.
        """
        return np.maximum(rss / self.n_free(n), self.least**2)

    def whitened(self, rows: Float[np.ndarray, "row point"], rho: float) -> Float[np.ndarray, "row point"]:
        """Rows whose inner products are x' V^-1 y, V = D R D (Prais-Winsten), D the diagonal of `ratios`.

        Args:
            rows: one series per row.
            rho: the correlation of neighboring points, from 0 to below 1.
        """
        rows = rows if self.ratios is None else rows / self.ratios
        later = (rows[:, 1:] - rho * rows[:, :-1]) / np.sqrt(1 - rho**2)
        return np.concatenate([rows[:, :1], later], axis=1)


UNKNOWN_NOISE = Noise(RHOS)
