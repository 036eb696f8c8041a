"""The training loop: `train(config)` yields (step, model) at every checkpoint step.

    for step, model in train(config):
        print(step)                           # `model` is the live one: it changes when the next pair is requested

Step s is the model after s updates, so step 0 is the initialization. The loop writes no files: `run_training`
keeps what it yields and resumes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from grok_interp.configs import TrainConfig
from grok_interp.models.transformer import Transformer
from grok_interp.training import parallel
from grok_interp.training.batches import Batches, open_batches
from grok_interp.training.cuda_graph import Step, graphed
from grok_interp.training.divergence import FiniteCheck, Update, skip_overflow
from grok_interp.training.execution import dropout_of_step
from grok_interp.training.interventions import Interventions, warn_of_unreached
from grok_interp.training.optimizer import build_optimizers, schedule_factor, set_learning_rates, take_step
from grok_interp.training.own_optimizer import OwnOptimizer, require_plain
from grok_interp.training.parallel import choose_parts
from grok_interp.training.precision import Precision, autocast, loss_scaler, resolve_precision
from grok_interp.training.processes import ALONE, Processes


class TrainingState:
    """Everything that changes while training: the weights, the optimizers' moments and the number of updates done.

    Args:
        config: the training run.
        device: where it trains.
        precision: of the matrix products; by default what `config.precision` resolves to on this device.
        n_parts: parts of a micro-batch that are computed at once; by default what `choose_parts` says. One on each of
            several processes.
        model: on this device; by default the config's, initialized with its seed.
        own: updates the weights in place of the optimizers of the config.
        processes: that train it together.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        device: str = "cpu",
        precision: Precision | None = None,
        n_parts: int | None = None,
        model: Transformer | None = None,
        own: OwnOptimizer | None = None,
        processes: Processes = ALONE,
    ) -> None:
        processes.require_fit(config.batch_size, dropout=config.model.attn_dropout)
        self.config, self.device, self.processes = config, torch.device(device), processes
        self.precision: Precision = precision or resolve_precision(config.precision, self.device)
        self.n_parts = 1 if processes.number > 1 else n_parts or choose_parts(config, self.device)
        self.model = model or Transformer(config.model, seed=config.init_seed).to(self.device)
        self.wrapped = processes.wrapped(self.model, config, own_optimizer=own is not None)
        self.own, self.scheduler = own, None
        if own:
            optimizer, self.scheduler = own.built(self.model)
            self.optimizers = [optimizer]
        else:
            half = self.precision == "bfloat16"
            self.optimizers = build_optimizers(self.model.named_parameters(), config, half=half)
        self.scaler = loss_scaler(self.device, self.precision)
        self.interventions = Interventions(config, self.model)
        self.step = 0

    def state_dict(self) -> dict[str, Any]:
        """All that resuming needs, as a resume point keeps it."""
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        held = self.interventions.state_dict()
        state = {"step": self.step, "model": self.model.state_dict(), "optimizers": optimizers, "held": held}
        state |= {"scaler": self.scaler.state_dict(), "scheduler": self.scheduler and self.scheduler.state_dict()}
        if self.own:
            require_plain([state["optimizers"], state["scheduler"]], f"the state of {self.own.label}")
        return self.processes.whole(state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from what `state_dict` gave.

        Args:
            state: of a run of the same config.
        """
        state = self.processes.divided(state, self.model, self.optimizers)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            groups = optimizer.state_dict()["param_groups"]  # rates follow from the config and the step
            if self.scheduler:
                groups = saved["param_groups"]
            optimizer.load_state_dict({"state": saved["state"], "param_groups": groups})
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])
        self.scaler.load_state_dict(state.get("scaler", {}))
        self.interventions.load_state_dict(state.get("held", {}))
        self.step = state["step"]


def train(
    config: TrainConfig,
    *,
    state: TrainingState | None = None,
    batches: Batches | None = None,
    on_update: Callable[[Update], None] | None = None,
    compiled: bool = False,
) -> Iterator[tuple[int, Transformer]]:
    """Train from the initialization, or from `state`, to the end of the config.

    Args:
        config: the training run.
        state: what training starts from; by default the initialization, on the CPU.
        batches: what is trained on; by default opened from the config.
        on_update: is called after every update, when the state is whole: it may save it, or raise to stop.
        compiled: compile the loss of a micro-batch with torch.compile: faster on a GPU, on a CPU only for long runs.

    Yields:
        (step, model) at every checkpoint step; the model is the live one: it changes when the next pair is requested.
        Of a sharded one the first process gets a copy on the CPU, and the others get their parts.

    Raises:
        ValueError: for a corpus that is missing, empty or too short, and for tasks that cannot be drawn.
        DivergedError: (a ValueError) when a loss, a gradient norm or the weights are not finite. Such a model is never
            yielded.

    Warns:
        UserWarning: when an intervention begins after the last update.

    Example:
        >>> from dataclasses import replace
        >>> from grok_interp import training_preset
        >>> [step for step, model in train(replace(training_preset("modular-tiny"), n_steps=5))]
        [0, 5]
    """
    warn_of_unreached(config)
    state = state or TrainingState(config)
    batches = batches or open_batches(config)
    kept_steps = frozenset(config.kept_steps)
    step = step_function(state, torch.compile(batches.loss) if compiled else batches.loss)
    check = FiniteCheck.of(state, batches)
    while True:
        if state.step in kept_steps:
            check.require_finite()
            yield state.step, state.processes.whole_model(config, state.model)
        if state.step == config.n_steps:
            return
        update = step(batches.batch(state.step, state.device))
        check.note(update)
        if on_update:
            on_update(update)


def step_function(state: TrainingState, loss_function: Callable) -> Callable[[Int64[Tensor, "batch pos"]], Update]:
    """`train_step` of `state` as a function of the batch; on a GPU a CUDA graph.

    Args:
        state: which every call changes.
        loss_function: of the model and a batch, a mean in nats.
    """
    learn = partial(learn_batch, state, loss_function)
    several = state.processes.number > 1
    direct = several or state.config.model.attn_dropout > 0 or state.own is not None or state.scaler.is_enabled()
    return partial(_counted, state, learn if direct else graphed(learn, state.device))


def train_step(state: TrainingState, batch: Int64[Tensor, "batch pos"], loss_function: Callable) -> Update:
    """One update on one batch, in micro-batches if the config has them.

    Args:
        state: which is changed.
        batch: token indices, batch x pos.
        loss_function: of the model and a batch, a mean in nats.
    """
    return _counted(state, partial(learn_batch, state, loss_function), batch)


def _counted(state: TrainingState, learn: Step, batch: Tensor) -> Update:
    """`learn` the batch at the learning rates of this step, which is then over."""
    rate = _set_learning_rates(state)
    state.interventions.prepare(state.step, batch)
    with dropout_of_step(state.config, state.step):
        loss, grad_norm = learn(batch)
    state.step += 1
    if state.scheduler:
        state.scheduler.step()
    return Update(state.step, loss, grad_norm, rate)


def _set_learning_rates(state: TrainingState) -> float:
    """The learning rate of this update: of AdamW, or of the first group of an own optimizer."""
    first = state.optimizers[0].param_groups[0]
    if state.scheduler:
        return float(first["lr"])
    factor = schedule_factor(state.config, state.step)
    set_learning_rates(state.optimizers, factor)
    return first["peak"] * factor


def learn_batch(
    state: TrainingState, loss_function: Callable, batch: Int64[Tensor, "batch pos"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """(loss, gradient norm before clipping). Only float16 reads a number from the device: a graph may record it."""
    state.model.train()
    processes, losses = state.processes, []
    micro_batches = processes.part(batch).split(state.config.micro_batch_size or state.config.batch_size)
    with state.interventions.applied():
        for micro in micro_batches:
            with processes.exchange(state.wrapped, now=micro is micro_batches[-1]):
                losses.append(add_gradient(state, micro, loss_function))
    return processes.total(torch.stack(losses).sum()), update_weights(state)


def add_gradient(state: TrainingState, micro: Int64[Tensor, "batch pos"], loss_function: Callable) -> Float[Tensor, ""]:
    """This micro-batch's part of the batch's mean loss; its gradient is added to the others'."""
    sequences = micro.tensor_split(state.n_parts) if len(micro) >= state.n_parts else (micro,)
    number = state.processes.number  # their gradients are averaged, and this makes it a sum

    def scaled(part: Int64[Tensor, "part pos"]) -> Float[Tensor, ""]:
        return state.scaler.scale(loss_part(state, part, loss_function=loss_function) * number)

    loss = parallel.add_gradient(scaled, sequences, list(state.model.parameters()))
    return loss / (number * state.scaler.get_scale())


def loss_part(state: TrainingState, micro: Int64[Tensor, "batch pos"], loss_function: Callable) -> Float[Tensor, ""]:
    with autocast(state.device, state.precision):
        return loss_function(state.wrapped, micro) * (len(micro) / state.config.batch_size)


def update_weights(state: TrainingState) -> Float[Tensor, ""]:
    """Update with the gradient added up so far, at the optimizers' rates; its norm before clipping."""
    for optimizer in state.optimizers:
        state.scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), state.config.max_grad_norm or torch.inf)
    grad_norm = state.processes.full(norm)
    if state.scaler.is_enabled() and not grad_norm.isfinite():
        return skip_overflow(state)
    before = state.interventions.before_update()
    take_step(state.optimizers)
    state.interventions.restore(before)
    state.scaler.update()
    return grad_norm
