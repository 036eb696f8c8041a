"""The circle of circles (B.5 of "Learning to grok"): one head's output over all pairs (x, y), seen by PCA.

A slot of the sequence runs over all p^2 pairs. The head's output at the slot's x and at its y, one after the other, is
a vector of 2 d_model; PCA (as in scikit-learn) centers the p^2 vectors, does not scale them, and keeps the first
components. In the paper's grokked models the points lie on a circle by log x, each of them a smaller circle by log y.
`circularity` measures how circular that is.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from grok_interp.analysis.arguments import require_count
from grok_interp.analysis.checkpoints_of import Checkpoints, checkpoints_of
from grok_interp.analysis.slot_vectors import head_outputs
from grok_interp.arguments import checked
from grok_interp.counted import counted
from grok_interp.data.discrete_log import discrete_log, primitive_root
from grok_interp.data.slot import slot_position, slot_task
from grok_interp.data.token_rows import Tokens, token_rows
from grok_interp.results.result import Measure, Result


class CirclePCA(Result):
    """Components of every pair (x, y), in the units of the activations, and what each component explains.

    The coordinates `log_x` and `log_y` are the discrete logarithms of x and y.
    """

    name = "circle_pca"
    dims = ("checkpoint", "x", "y", "component")
    measures: ClassVar = {
        "projection": Measure("principal component", "1"),
        "explained": Measure("fraction of the variance", "fraction", ("checkpoint", "component")),
    }

    @property
    def place(self) -> str:
        """Which head it is of, where, and the base of the logarithms."""
        attrs = self.dataset.attrs
        return (
            f"L{attrs['layer']}H{attrs['head']} at x and y of slot {attrs['slot']}, task ({attrs['a']}, {attrs['b']}); "
            f"logarithms to base {attrs['root']}"
        )

    def __str__(self) -> str:
        sizes, attrs = self.dataset.sizes, self.dataset.attrs
        return (
            f"L{attrs['layer']}H{attrs['head']} over {counted(sizes['x'] * sizes['y'], 'pair')} at "
            f"{counted(sizes['checkpoint'], 'checkpoint')}; {counted(sizes['component'], 'component')} explain "
            f"{float(self['explained'][-1].sum(skipna=False)):.0%} at the last{self.warning()}"
        )


def principal_components(
    vectors: Float[Tensor, "point feature"], n_components: int
) -> tuple[Float[Tensor, "point component"], Float[Tensor, " component"]]:
    """(components, fraction of the variance that each explains); zeros where all vectors are the same, NaN where one is
    not finite. Kernel.

    Args:
        vectors: points x features; they are centered here.
        n_components: from 1 to the smaller of both sizes.
    """
    from sklearn.decomposition import PCA  # takes a second to import

    points = vectors.double()
    if not points.isfinite().all():
        return torch.full((len(points), n_components), torch.nan), torch.full((n_components,), torch.nan)
    if (points == points[0]).all():
        return torch.zeros(len(points), n_components), torch.zeros(n_components)
    pca = PCA(n_components, svd_solver="full")
    components = torch.from_numpy(pca.fit_transform(points.numpy()))
    return components.float(), torch.from_numpy(pca.explained_variance_ratio_).float()


@checked
def circle_pca(
    checkpoints: Checkpoints,
    p: int,
    tokens: Tokens,
    *,
    slot: int,
    layer: int,
    head: int,
    n_components: int = 2,
    root: int | None = None,
    batch_size: int = 256,
) -> CirclePCA:
    """The principal components of one head's output over all pairs (x, y), for each (step, model).

    Args:
        checkpoints: a run, one model, or any iterable of (step, model), as `checkpoints_of` takes them.
        p: the modulus, a prime.
        tokens: from `slot_sequences`, pair x pos.
        slot: the example whose x and y are looked at, counted from 0.
        layer: of the head.
        head: counted from 0.
        n_components: how many are kept, 1 to p^2.
        root: a primitive root mod p, to which logarithms are taken; the smallest if None.
        batch_size: sequences per forward pass; changes memory, never the result.

    Returns:
        Projections by checkpoint, pair and component, with the discrete logarithms of the pairs.

    Raises:
        ValueError: for tokens of another slot, for a root that is not primitive and for a head that is not there.

    Example:
        >>> from grok_interp import Transformer, preset, slot_sequences
        >>> tokens = slot_sequences((2, 1), 5, slot=1, n_examples=3, seed=0)
        >>> found = circle_pca(Transformer(preset("modular-tiny"), seed=0), 5, tokens, slot=1, layer=1, head=0)
        >>> found.dataset.sizes["component"]
        2
    """
    tokens = token_rows(tokens)
    a, b = slot_task(tokens, p, slot)
    require_count(n_components, "n_components", most=p * p)
    root = primitive_root(p) if root is None else root
    logs = discrete_log(p, root).numpy()
    positions = [slot_position(slot, "x"), slot_position(slot, "y")]
    steps, components, explained = [], [], []
    for step, model in checkpoints_of(checkpoints, tokens=tokens, n_read=max(positions) + 1):
        vectors = head_outputs(model, tokens, layer=layer, head=head, positions=positions, batch_size=batch_size)
        found, fractions = principal_components(vectors.flatten(1), n_components)
        steps.append(step)
        components.append(found.unflatten(0, (p, p)))
        explained.append(fractions)
    coords = {
        "checkpoint": steps,
        "x": np.arange(p),
        "y": np.arange(p),
        "component": np.arange(n_components),
        "log_x": ("x", logs),
        "log_y": ("y", logs),
    }
    attrs = {"p": p, "a": a, "b": b, "slot": slot, "layer": layer, "head": head, "root": root}
    arrays = {"projection": torch.stack(components), "explained": torch.stack(explained)}
    return CirclePCA.of_arrays(arrays, coords, attrs)
