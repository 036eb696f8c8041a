"""Next-token loss at every position of held-out text, in nats.

The mean over positions is the validation loss; the difference between a late and an early position is the in-context
learning score.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
import xarray as xr
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from grok_interp.analysis.arguments import require_outputs
from grok_interp.analysis.checkpoints_of import Checkpoints, checkpoints_of
from grok_interp.arguments import checked
from grok_interp.counted import counted, over
from grok_interp.data.token_rows import Mask, Tokens, batches_of, token_rows, unpadded
from grok_interp.models.activations import HookedModel, in_batches, logits
from grok_interp.results.result import Measure, Result


class PositionLoss(Result):
    """Mean cross-entropy of the token after each position, over windows; nats, 0 or more.

    With an attention mask the coordinate `n_windows` counts the windows that have a token and its successor at each
    position; where no window has them the loss is NaN.
    """

    name = "loss"
    dims = ("checkpoint", "pos")
    measures: ClassVar = {"loss": Measure("validation loss", "nats")}

    def mean(self) -> xr.DataArray:
        """The validation loss of every checkpoint: the mean over all tokens that are predicted."""
        loss = self["loss"]
        if "n_windows" not in loss.coords:
            return loss.mean("pos", skipna=False)
        n = loss["n_windows"]
        return (loss.where(n > 0, 0.0) * n).sum("pos", skipna=False) / n.sum()

    def expected(self) -> xr.Dataset:
        """The positions at which some window has a token and its successor."""
        if "n_windows" not in self.dataset.coords:
            return self.dataset
        return self.dataset.isel(pos=np.flatnonzero(self.dataset["n_windows"].to_numpy()))

    @checked
    def in_context_score(self, *, early: int, late: int) -> xr.DataArray:
        """Loss at position `late` minus loss at `early`, of every checkpoint: below 0 when more context helps.

        Olsson et al. 2022 (arXiv 2209.11895) and "Language Models 'Grok' to Copy" take 50 and 500. Positions count from
        0, and the loss at one is that of the token after it.
        Raises ValueError for positions that have no loss, and when `early` is not before `late`.

        Args:
            early: a position, from 0.
            late: a position, from 0.
        """
        n_positions = self.dataset.sizes["pos"]
        if not 0 <= early < late < n_positions:
            raise ValueError(
                f"in_context_score needs 0 <= early < late < {n_positions}, the positions that have a loss, got "
                f"early = {early} and late = {late}: choose others, or measure the loss on longer windows"
            )
        return self["loss"].isel(pos=late) - self["loss"].isel(pos=early)

    def __str__(self) -> str:
        last = self.mean()[-1]
        return (
            f"validation loss at {counted(self.dataset.sizes['checkpoint'], 'checkpoint')}; at the last "
            f"{float(last):.3f} nats{over(self.dataset.attrs.get('n_windows'), 'window')}{self.warning()}"
        )


def position_loss(
    scores: Float[Tensor, "batch pos d_vocab"],
    targets: Int64[Tensor, "batch pos"],
    counted: Bool[Tensor, "batch pos"] | None = None,
) -> Float[Tensor, " pos"]:
    """Kernel: mean over the batch of the cross-entropy at each position, over the targets that are counted (all).

    Args:
        scores: logits, batch x pos x d_vocab.
        targets: the token after each position.
        counted: which targets count; all if None.
    """
    losses = F.cross_entropy(scores.transpose(1, 2), targets, reduction="none")
    return losses.mean(dim=0) if counted is None else losses.where(counted, 0.0).sum(dim=0) / counted.sum(dim=0)


@checked
def position_losses(
    checkpoints: Checkpoints, windows: Tokens, *, attention_mask: Mask | None = None, batch_size: int = 64
) -> PositionLoss:
    """The next-token loss of each (step, model) on the same windows, position by position.

    Args:
        checkpoints: a run, one model, or any iterable of (step, model), as `checkpoints_of` takes them.
        windows: token indices, batch x pos, of n_ctx + 1 tokens or fewer; each window's last token is a target only.
            A BOS token at the beginning is a token like any other: the loss at position 0 is then that of the token
            after BOS.
        attention_mask: 1 at tokens, 0 at pads, with the shape of `windows`, as Hugging Face has it. Rows padded on
            either side are read from their first token on, and pads are neither read before a token nor counted.
            Without it every token counts: pads are not detected.
        batch_size: windows per forward pass; changes memory, never the result.

    Returns:
        Nats with dims (checkpoint, pos); position t is that of the token that predicts the one at t + 1, counted from
        the first token of each row. NaN where the logits of a checkpoint are not finite.

    Raises:
        ValueError: for windows of one token, for a mask that does not fit, for targets that are no outputs of a model
            (d_vocab_out < d_vocab), and as `checkpoints_of` does.

    Example:
        >>> from grok_interp import Transformer, llama_copier
        >>> model = Transformer(llama_copier(n_layers=1, n_heads=2, d_model=8, d_mlp=8, d_vocab=5, n_ctx=8), seed=0)
        >>> mask = [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]
        >>> losses = position_losses(model, [[0, 0, 1, 2, 3], [1, 2, 3, 4, 1]], attention_mask=mask)
        >>> losses.dataset["n_windows"].to_numpy().tolist()
        [2, 2, 1, 1]
    """
    windows = token_rows(windows, "windows")
    _require_two_tokens(windows)
    windows, real = unpadded(windows, attention_mask)
    counted = real[:, 1:]
    n_windows = counted.sum(dim=0)
    steps, rows = [], []
    for step, model in checkpoints_of(checkpoints, tokens=windows, n_read=windows.shape[1] - 1):
        require_outputs(model, windows[:, 1:])
        batches = zip(in_batches(model, windows, batch_size), batches_of(counted, batch_size), strict=True)
        parts = [_summed(each, part, of_part) for (each, part), of_part in batches]
        steps.append(step)
        rows.append(torch.stack(parts).sum(dim=0) / n_windows)
    counts = {} if attention_mask is None else {"n_windows": ("pos", n_windows.numpy())}
    return PositionLoss.of_arrays(
        {"loss": torch.stack(rows)}, {"checkpoint": steps, **counts}, {"n_windows": len(windows)}
    )


def window_losses(
    model: HookedModel, windows: Int64[Tensor, "batch pos"], *, batch_size: int
) -> Float[Tensor, " batch"]:
    """The mean loss of each window, in nats and float64; for windows of one length that `position_losses` takes.

    Args:
        model: a hooked model.
        windows: token indices, batch x pos.
        batch_size: rows per forward pass; changes memory, never the result.
    """
    _require_two_tokens(windows)
    parts = []
    for _, each in checkpoints_of(model, tokens=windows, n_read=windows.shape[1] - 1):
        require_outputs(each, windows[:, 1:])
        for of_part, part in in_batches(each, windows, batch_size):
            scores, targets = logits(of_part, part[:, :-1]).cpu(), part[:, 1:]
            parts.append(F.cross_entropy(scores.transpose(1, 2), targets, reduction="none").double().mean(dim=1))
    return torch.cat(parts)


def _require_two_tokens(windows: Tensor) -> None:
    if windows.shape[1] < 2:
        raise ValueError("windows need 2 tokens or more, to predict the second from the first, got 1")


def _summed(model: HookedModel, windows: Tensor, counted: Tensor) -> Tensor:
    means = position_loss(logits(model, windows[:, :-1]).cpu(), windows[:, 1:], counted)
    return (means * counted.sum(dim=0)).where(counted.any(dim=0), 0.0)
