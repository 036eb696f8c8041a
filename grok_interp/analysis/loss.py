"""Next-token loss at every position of held-out text, in nats.

The mean over positions is the validation loss; the difference between a late and an early position is the in-context
learning score.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
import xarray as xr
from jaxtyping import Float, Int64
from torch import Tensor

from grok_interp.activations import HookedModel, in_batches, logits
from grok_interp.results import LabelledResult


class PositionLoss(LabelledResult):
    """Mean cross-entropy of the token after each position, over windows; nats, 0 or more."""

    name = "loss"
    dims = ("checkpoint", "pos")

    def mean(self) -> xr.DataArray:
        """The validation loss of every checkpoint."""
        return self.array.mean("pos")

    def in_context_score(self, *, early: int, late: int) -> xr.DataArray:
        """Loss at position `late` minus loss at `early`, of every checkpoint: below 0 when more context helps.

        Olsson et al. 2022 (arXiv 2209.11895) and "Language Models 'Grok' to Copy" take 50 and 500. Positions count from
        0, and the loss at one is that of the token after it.
        Raises ValueError for positions that have no loss, and when `early` is not before `late`.
        """
        n_positions = self.array.sizes["pos"]
        if not 0 <= early < late < n_positions:
            raise ValueError(
                f"in_context_score needs 0 <= early < late < {n_positions}, the positions that have a loss, got "
                f"early = {early} and late = {late}: choose others, or measure the loss on longer windows"
            )
        return self.array.isel(pos=late) - self.array.isel(pos=early)

    def __str__(self) -> str:
        last = self.mean()[-1]
        return f"validation loss at {self.array.sizes['checkpoint']} checkpoints; at the last {float(last):.3f} nats"


def position_loss(
    scores: Float[Tensor, "batch pos d_vocab"], targets: Int64[Tensor, "batch pos"]
) -> Float[Tensor, " pos"]:
    """Kernel: mean over the batch of the cross-entropy at each position."""
    return F.cross_entropy(scores.transpose(1, 2), targets, reduction="none").mean(dim=0)


def position_losses(
    checkpoints: Iterable[tuple[int, HookedModel]], windows: Int64[Tensor, "batch pos"], *, batch_size: int = 64
) -> PositionLoss:
    """The loss of each (step, model) on the same windows; each window's last token is a target only.

    Raises ValueError for targets that are no outputs of the model (d_vocab_out < d_vocab).
    """
    steps, rows = [], []
    for step, model in checkpoints:
        require_outputs(model, windows)
        parts = [_summed(each, part) for each, part in in_batches(model, windows, batch_size)]
        steps.append(step)
        rows.append(torch.stack(parts).sum(dim=0) / len(windows))
    array = xr.DataArray(
        torch.stack(rows).numpy(),
        dims=PositionLoss.dims,
        coords={"checkpoint": steps},
        attrs={"units": "nats", "n_windows": len(windows)},
    )
    return PositionLoss(array)


def _summed(model: HookedModel, windows: Tensor) -> Tensor:
    scores = logits(model, windows[:, :-1]).cpu()
    return position_loss(scores, windows[:, 1:]) * len(windows)


def require_outputs(model: HookedModel, windows: Int64[Tensor, "batch pos"]) -> None:
    """Raises ValueError for targets that the model has no logit for."""
    n_outputs = getattr(model.cfg, "d_vocab_out", model.cfg.d_vocab)
    if n_outputs > 0 and int(windows[:, 1:].max()) >= n_outputs:
        raise ValueError(
            f"the loss needs targets that are outputs of the model, 0 .. {n_outputs - 1} (d_vocab_out), got token "
            f"{int(windows[:, 1:].max())}: output i is token i"
        )
