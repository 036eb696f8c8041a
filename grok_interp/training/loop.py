"""The training loop: `train(config)` yields (step, model) at every checkpoint step.

    for step, model in train(config):
        print(step)                           # `model` is the live one: it changes when the next pair is requested

Step s is the model after s updates, so step 0 is the initialization. It writes no files: `run_training` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from grok_interp.arguments import checked
from grok_interp.configs import TrainConfig
from grok_interp.models.transformer import Transformer
from grok_interp.training import parallel
from grok_interp.training.batches import Batches, open_batches
from grok_interp.training.cuda_graph import Step, graphed
from grok_interp.training.divergence import FiniteCheck, Update, skip_overflow
from grok_interp.training.execution import dropout_of_step
from grok_interp.training.interventions import warn_of_unreached
from grok_interp.training.optimizer import schedule_factor, set_learning_rates, take_step
from grok_interp.training.precision import autocast
from grok_interp.training.state import TrainingState


@checked
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
        compiled: compile the loss of a micro-batch with torch.compile: for a GPU, and on a CPU for long runs
            of small copiers.

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
    micro_batches = processes.part(batch).split(state.config.sequences_at_once)
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
