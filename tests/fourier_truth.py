"""A model whose numbers lie on a circle by construction, and points on circles: every number about circles is known.

The embedding of a number is (c, -c, 0) with c = (cos, sin, parity): cos and sin of 2 pi k log x / (p - 1), and +h or -h
as log x is even or odd; zero has the zero vector. All others have mean zero and one length, so that LayerNorm only
scales them. L0H0 looks equally at all tokens so far and copies what it sees, so that it writes at x a multiple of x's
embedding and at y a multiple of the sum of x's and y's, but for what the fixed tokens before add. L0H1 writes nothing,
and neither does the MLP.
"""

from __future__ import annotations

import numpy as np
import torch
from ground_truth import head_weights

from grok_interp.analysis.circles import CirclePCA
from grok_interp.configs import modular_gpt
from grok_interp.data.discrete_log import discrete_log, primitive_root
from grok_interp.models.transformer import Transformer
from grok_interp.models.weights import canonical_views

COPYING_HEAD, SILENT_HEAD = (0, 0), (0, 1)
N_EXAMPLES = 4


def fourier_model(p: int, *, frequency: int, parity: float = 0.0) -> Transformer:
    """The model above, in eval mode; `parity` is h."""
    cfg = modular_gpt(n_layers=1, n_heads=2, d_model=12, d_head=6, d_vocab=p, n_ctx=3 * N_EXAMPLES)
    model = Transformer(cfg, seed=0).eval()
    weights = canonical_views(model)
    for name, weight in weights.items():
        if "ln" not in name:
            weight.zero_()
    _, _, W_V, W_O = head_weights(model, *COPYING_HEAD)
    W_V[:6] = torch.eye(6)
    W_O[:, :6] = torch.eye(6)
    logs = discrete_log(p, primitive_root(p))
    circle = on_circle(logs.numpy(), frequency, p)
    half = np.stack([circle.real, circle.imag, parity * (-1.0) ** logs.numpy()], axis=1)
    half[0] = 0.0
    weights["embed.W_E"][:, :6] = torch.from_numpy(np.concatenate([half, -half], axis=1))
    return model


def on_circle(logs: np.ndarray, frequency: int, p: int) -> np.ndarray:
    """Points of the complex plane."""
    return np.exp(2j * np.pi * frequency * logs / (p - 1))


def pairs_in_the_plane(p: int, root: int, points: np.ndarray) -> CirclePCA:
    """A result of one checkpoint whose two components are those of complex numbers x y."""
    values = np.stack([points.real, points.imag], axis=-1)[None]
    return pairs_with_components(p, root, values)


def pairs_with_components(p: int, root: int, values: np.ndarray) -> CirclePCA:
    """A result from numbers checkpoint x y component; checkpoints are counted from 0."""
    sizes = dict(zip(CirclePCA.dims, map(range, values.shape), strict=True))
    logs, explained = discrete_log(p, root).numpy(), np.full((values.shape[0], values.shape[-1]), 0.25)
    arrays = {"projection": values.astype(np.float32), "explained": explained}
    attrs = {"p": p, "a": 2, "b": 1, "slot": 3, "layer": 0, "head": 1, "root": root}
    return CirclePCA.of_arrays(arrays, {**sizes, "log_x": ("x", logs), "log_y": ("y", logs)}, attrs)
