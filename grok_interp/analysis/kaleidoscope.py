"""Which algorithm's pattern does a similarity matrix show? The kaleidoscopes of Figure 7 of "Learning to grok", as
numbers.

    ratio matching      alike where y / x = y' / x', as points of the projective line: x y' = x' y (mod p); 0 / 0 is no
                        ratio, so that (0, 0) is like no other pair
    modular regression  alike where z = z': a x + b y = a x' + b y' (mod p)

The two patterns are uncorrelated, for every prime p > 2 and every task but (0, 0): neither passes for the other.

`spearman` is Spearman's rank correlation of similarity and pattern (1 alike, 0 not) over all cells above the diagonal.
It is 1 only for a matrix of two values; one without ties cannot pass sqrt(3 q (1 - q)), where q, about 1 / p, is the
fraction of alike cells. `rank_biserial` is the same lead in ranks without that limit: 1 when every two pairs that are
alike are more similar than any two that are not, -1 when less, 0 by chance. The null shuffles the pairs, rows and
columns together, and is that of `spearman`.

The null knows nothing of what the tokens alone give. At z the token is a x + b y itself, so that an untrained model
shows modular regression there; at y, which comes before z, it must be computed. Compare with step 0.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from grok_interp.analysis.shuffles import N_SHUFFLES, mean_and_quantile, shuffled_orders
from grok_interp.analysis.similarity import CosineSimilarity
from grok_interp.arguments import checked
from grok_interp.results.result import Measure, Result

PATTERNS = ("ratio matching", "modular regression")


class Kaleidoscope(Result):
    """Rank correlations, -1 to 1, of the similarity with each pattern, and the null distribution of Spearman's."""

    name = "kaleidoscope"
    dims = ("checkpoint", "pattern")
    measures: ClassVar = {
        "spearman": Measure("Spearman's rank correlation", "1"),
        "rank_biserial": Measure("rank-biserial correlation", "1"),
        "null_mean": Measure("mean of Spearman's over shuffles", "1"),
        "null_q95": Measure("95% quantile of Spearman's over shuffles", "1"),
    }

    def __str__(self) -> str:
        last = self.at()
        shown = ", ".join(f"{name} {float(last['spearman'].sel(pattern=name)):z.2f}" for name in PATTERNS)
        quantile = float(last["null_q95"].max())
        shuffled = f"shuffled, 95% of {self.dataset.attrs['n_shuffles']} below {quantile:.2f}"
        return f"rank correlation at the last checkpoint: {shown}; {shuffled}{self.warning()}"


def ratio_pattern(p: int) -> Bool[Tensor, "pair other_pair"]:
    """Alike where y / x = y' / x'. Kernel.

    Args:
        p: the modulus.
    """
    x, y = torch.cartesian_prod(torch.arange(p), torch.arange(p)).T
    parallel = (x[:, None] * y - y[:, None] * x) % p == 0
    zero = (x == 0) & (y == 0)
    return (parallel & ~zero & ~zero[:, None]) | (zero & zero[:, None])


def regression_pattern(task: tuple[int, int], p: int) -> Bool[Tensor, "pair other_pair"]:
    """Alike where a x + b y = a x' + b y'. Kernel.

    Args:
        task: (a, b) in Z_p.
        p: the modulus.
    """
    x, y = torch.cartesian_prod(torch.arange(p), torch.arange(p)).T
    z = (task[0] * x + task[1] * y) % p
    return z[:, None] == z


def rank_correlations(
    similarity: Float[Tensor, "pair other_pair"],
    alike: Bool[Tensor, "pair other_pair"],
    orders: Int64[Tensor, "order pair"],
) -> Float[Tensor, "kind order"]:
    """Spearman's and the rank-biserial correlation, for each order in which the matrix takes the pairs. Kernel.

    Of cells above the diagonal, by the mean rank of those that are alike; 0 for a matrix that is the same everywhere.

    Args:
        similarity: of all pairs (x, y) with one another.
        alike: which of them the pattern makes alike.
        orders: permutations of the pairs.
    """
    return _correlations_of_ranks(_ranks(similarity), alike, orders)


def _correlations_of_ranks(ranks: Tensor, alike: Tensor, orders: Tensor) -> Float[Tensor, "kind order"]:
    row, column = alike.triu(1).nonzero(as_tuple=True)
    n_cells = len(alike) * (len(alike) - 1) // 2
    fraction, middle = len(row) / n_cells, (n_cells + 1) / 2
    flat = ranks.flatten()
    lead = torch.stack([flat[order[row] * len(ranks) + order[column]].mean() - middle for order in orders])
    cells = ranks[tuple(torch.triu_indices(*ranks.shape, offset=1))]
    spread = cells.std(correction=0).clamp_min(torch.finfo(cells.dtype).tiny)
    spearman = lead / spread * (fraction / (1 - fraction)) ** 0.5
    return torch.stack([spearman, 2 * lead / (1 - fraction) / n_cells]).float()


def _ranks(similarity: Float[Tensor, "pair other_pair"]) -> Float[Tensor, "pair other_pair"]:
    """The rank of each cell above the diagonal, ties sharing their mean rank; mirrored below."""
    from scipy.stats import rankdata

    above = tuple(torch.triu_indices(*similarity.shape, offset=1))
    ranks = torch.zeros(similarity.shape, dtype=torch.float64)
    ranks[above] = torch.from_numpy(rankdata(similarity[above].numpy()))
    return ranks + ranks.T


@checked
def kaleidoscope(similarity: CosineSimilarity, *, seed: int, n_shuffles: int = N_SHUFFLES) -> Kaleidoscope:
    """Correlation with equal ratios and with equal answers at every checkpoint, each against the same shuffles.

    Args:
        similarity: from `cosine_similarity`.
        seed: draws the shuffles.
        n_shuffles: how many, 20 or more.

    Returns:
        The contrast of each pattern by checkpoint, and what shuffles reach.

    Raises:
        ValueError: for task (0, 0), to which all pairs are alike, and for p = 2, which has no two pairs of one ratio.

    Example:
        >>> from grok_interp import Transformer, cosine_similarity, preset, slot_sequences
        >>> model = Transformer(preset("modular-tiny"), seed=0)
        >>> tokens = slot_sequences((2, 1), 5, slot=1, n_examples=3, seed=0)
        >>> similarity = cosine_similarity(model, 5, tokens, slot=1, position="y", layer=1)
        >>> kaleidoscope(similarity, seed=0, n_shuffles=20).dataset.sizes["checkpoint"]
        1
    """
    attrs = similarity.dataset.attrs
    p, task = attrs["p"], (attrs["a"], attrs["b"])
    if task == (0, 0) or p < 3:
        raise ValueError(
            f"task {task} with p = {p} has no pattern to compare with: needed are a task but (0, 0), p > 2"
        )
    orders = torch.cat([torch.arange(p * p)[None], shuffled_orders(p * p, n_shuffles=n_shuffles, seed=seed)])
    patterns = ratio_pattern(p), regression_pattern(task, p)
    matrices = torch.as_tensor(similarity["similarity"].to_numpy())
    rows = [torch.stack([_row(ranks, alike, orders) for alike in patterns]) for ranks in map(_ranks, matrices)]
    arrays = dict(zip(Kaleidoscope.measures, torch.stack(rows).permute(2, 0, 1), strict=True))
    coords = {"checkpoint": similarity.dataset["checkpoint"].to_numpy(), "pattern": list(PATTERNS)}
    return Kaleidoscope.of_arrays(arrays, coords, attrs | {"seed": seed, "n_shuffles": n_shuffles})


def _row(ranks: Tensor, alike: Tensor, orders: Tensor) -> Float[Tensor, " measure"]:
    found = _correlations_of_ranks(ranks, alike, orders)
    return torch.cat([found[:, 0], mean_and_quantile(found[0, 1:])])
