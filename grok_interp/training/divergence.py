"""Divergence: a loss, a gradient norm or weights that are not finite end a run, before they are kept.

Reading a number makes a GPU wait, so losses and gradient norms are read many updates at a time, and the weights only
where they are kept: at checkpoints, at resume points and after the last update. Weights can be finite and too large to
compute with; so the loss of one sequence is computed there as well, and the squares that its norms take are checked: a
norm makes 0 of what overflows, and the loss would be that of chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from grok_interp.models.activations import has_finite_weights
from grok_interp.models.overflow import has_finite_squares, stream_names
from grok_interp.training.precision import SMALLEST_SCALE, autocast
from grok_interp.training.sharding import has_finite_parts

if TYPE_CHECKING:
    from grok_interp.training.state import TrainingState

UPDATES_AT_ONCE = 50  # updates whose numbers stay on the device before they are read
REMEDY = "train into a new directory with a lower learning_rate, a longer warm-up or a smaller max_grad_norm"


class DivergedError(ValueError):
    """Training that cannot go on: a number is NaN or infinite."""


@dataclass(frozen=True)
class Update:
    """What one optimizer update measured. The tensors stay on the device until somebody reads them."""

    step: int  # updates done, this one included
    loss: Float[Tensor, ""]  # mean next-token cross-entropy of the batch before the update, in nats
    grad_norm: Float[Tensor, ""]  # global norm of the gradient before clipping
    learning_rate: float  # of AdamW


def read_updates(updates: Sequence[Update]) -> list[tuple[float, float]]:
    """(loss, grad_norm) of each, read from the device at once."""
    if not updates:
        return []
    return [(loss, norm) for loss, norm in torch.stack([torch.stack([u.loss, u.grad_norm]) for u in updates]).tolist()]


def require_finite_update(update: Update, loss: float, grad_norm: float) -> None:
    """Raises DivergedError for a loss or a gradient norm that is not finite."""
    for name, value in (("loss", loss), ("gradient norm", grad_norm)):
        if not abs(value) < float("inf"):
            raise DivergedError(
                f"training diverged: the {name} is {value} at step {update.step} (learning rate "
                f"{update.learning_rate:g}); {REMEDY}"
            )


class FiniteCheck:
    """Of one run: its updates as they come, and its weights when they are about to be kept.

    Args:
        state: the run's training state.
        sequence: one sequence that the run trains on, 1 x pos.
        loss_function: the loss of a model on a batch.
    """

    def __init__(self, state: TrainingState, sequence: Int64[Tensor, "one pos"], loss_function: Callable) -> None:
        self.state, self.sequence, self.loss_function = state, sequence, loss_function
        self.unread: list[Update] = []

    @classmethod
    def of(cls, state: TrainingState, batches: Any) -> FiniteCheck:
        """With the first sequence of the first batch."""
        return cls(state, batches.batch(0, state.device)[:1], batches.loss)

    def note(self, update: Update) -> None:
        """Raises DivergedError at the first update that is not finite, at most `UPDATES_AT_ONCE` updates later."""
        self.unread.append(update)
        if len(self.unread) >= UPDATES_AT_ONCE:
            self.require_finite_updates()

    def require_finite_updates(self) -> None:
        """Raises DivergedError when one since the last call is not finite."""
        updates, self.unread = self.unread, []
        for update, (loss, grad_norm) in zip(updates, read_updates(updates), strict=True):
            require_finite_update(update, loss, grad_norm)

    def require_finite(self) -> None:
        """Raises DivergedError when an update since the last call, the weights or what they compute is not finite."""
        self.require_finite_updates()
        check = has_finite_parts if self.state.processes.sharded else has_finite_weights
        found = self._not_finite_in_a_pass() if check(self.state.model) else "weights are"
        if found:
            raise DivergedError(
                f"training diverged: the {found} not finite after the update to step {self.state.step}; {REMEDY}"
            )

    def _not_finite_in_a_pass(self) -> str:
        """What is not finite when one sequence is read; empty if all is."""
        model, finite = self.state.model, []

        def look(stream: Tensor, hook: object) -> None:  # noqa: ARG001 (TransformerLens' signature)
            finite.append(has_finite_squares(stream))

        hooks: list[Any] = [(name, look) for name in stream_names(model.cfg.n_layers)]
        was_training = model.training
        model.eval()
        try:
            with torch.no_grad(), autocast(self.state.device, self.state.precision), model.hooks(fwd_hooks=hooks):
                loss = self.loss_function(model, self.sequence)
        finally:
            model.train(was_training)
        if not bool(loss.isfinite()):
            return "loss is"
        return "" if bool(torch.stack(finite).all()) else "squares of the residual stream are"


def skip_overflow(state: TrainingState) -> Float[Tensor, ""]:
    """The gradient overflowed in float16: it is dropped, and the loss scale is halved."""
    for optimizer in state.optimizers:
        optimizer.zero_grad(set_to_none=True)
    state.scaler.update()
    if state.scaler.get_scale() < SMALLEST_SCALE:
        raise DivergedError(
            f"training diverged: at step {state.step + 1} the gradient is not finite at any loss scale; {REMEDY}"
        )
    return torch.zeros((), device=state.device)
