"""Same-shaped runs in lockstep: `train_ensemble(configs)` yields (step, models).

Weights and the optimizers' moments of all members are stacked in one tensor each, and a member's own model and
optimizers are views of it. So small models keep a GPU busy, and a member can be saved, resumed and analyzed as if it
trained alone, to rounding. Where one member keeps the processor busy, they take their steps in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.func import vmap

from grok_interp.arguments import checked
from grok_interp.configs import TrainConfig
from grok_interp.models.ensemble_logits import ensemble_logits
from grok_interp.models.rotary import rotary
from grok_interp.models.transformer import Transformer
from grok_interp.training.batches import Batches, open_batches
from grok_interp.training.cuda_graph import Step, graphed
from grok_interp.training.divergence import DivergedError, FiniteCheck, Update
from grok_interp.training.loop import train_step
from grok_interp.training.muon import Muon
from grok_interp.training.optimizer import build_optimizers, clip_each, schedule_factor, set_learning_rates, take_step
from grok_interp.training.precision import autocast
from grok_interp.training.state import TrainingState

MOMENTS = {torch.optim.AdamW: ("exp_avg", "exp_avg_sq"), Muon: ("momentum_buffer",)}
STACKED_ON_CPU = 2**17  # numbers in a member's largest activation, up to which stacking pays on a CPU (benchmarks/)


class EnsembleState:
    """The members' states, laid into stacked tensors that they then share.

    Raises ValueError for members of different shape or schedule, at different steps, or with attention dropout.
    """

    def __init__(self, members: Sequence[TrainingState]) -> None:
        require_lockstep([member.config for member in members])
        if len(steps := {member.step for member in members}) > 1:
            raise ValueError(
                f"members of an ensemble must stand at one step, these stand at {sorted(steps)}: train those that are "
                "behind one by one first, or in an ensemble of their own"
            )
        self.members, self.config, self.device = list(members), members[0].config, members[0].device
        self.rotary = rotary(self.config.model).to(self.device)
        self.stacked = stacking_pays(self.config, self.device)
        if self.stacked:
            self._stack()

    @property
    def step(self) -> int:
        return self.members[0].step

    def _stack(self) -> None:
        named = [dict(member.model.named_parameters()) for member in self.members]
        self.weights = {name: _shared([each[name] for each in named]) for name in named[0]}
        half = self.members[0].precision == "bfloat16"
        self.optimizers = build_optimizers(self.weights.items(), self.config, stacked=True, half=half)
        names = {stacked: name for name, stacked in self.weights.items()}
        for index, optimizer in enumerate(self.optimizers):
            for stacked in (p for group in optimizer.param_groups for p in group["params"]):
                own = [each[names[stacked]] for each in named]
                states = [m.optimizers[index].state[p] for m, p in zip(self.members, own, strict=True)]
                optimizer.state[stacked] = self._shared_moments(stacked, states, MOMENTS[type(optimizer)])

    def _shared_moments(self, stacked: Tensor, own: list[dict[str, Any]], names: tuple[str, ...]) -> dict[str, Tensor]:
        """A member that has made no update has no moments: they are zero then, which is where both optimizers begin."""
        moments = {key: torch.stack([s.get(key, torch.zeros_like(stacked[0])) for s in own]) for key in names}
        count = {"step": own[0].get("step", torch.zeros((), device=self.device))} if "exp_avg" in names else {}
        for index, state in enumerate(own):
            state.update({**count, **{key: moment[index] for key, moment in moments.items()}})
        return {**count, **moments}


def stacking_pays(config: TrainConfig, device: torch.device) -> bool:
    """On a GPU always; on a CPU while the activations of all members stay in its cache.

    Args:
        config: of a member.
        device: where they train.
    """
    n_tokens = config.sequences_at_once * config.model.n_ctx
    return device.type != "cpu" or n_tokens * config.model.d_mlp <= STACKED_ON_CPU


def _shared(parameters: list[nn.Parameter]) -> nn.Parameter:
    stacked = nn.Parameter(torch.stack([p.detach() for p in parameters]))
    for index, parameter in enumerate(parameters):
        parameter.data = stacked.detach()[index]
    return stacked


def shared_fields(config: TrainConfig) -> dict[str, Any]:
    """What members of an ensemble have in common: all but seeds and data.

    Args:
        config: of a member.
    """
    return {k: v for k, v in config.flattened().items() if k not in ("init_seed", "data_seed") and k[:5] != "data."}


def require_lockstep(configs: Sequence[TrainConfig]) -> None:
    """Raises ValueError unless the configs differ in seeds and data alone, for attention dropout and interventions.

    Args:
        configs: one per member.
    """
    if not configs:
        raise ValueError("an ensemble needs a run or more, got none")
    if configs[0].model.attn_dropout or configs[0].intervene:
        raise ValueError("an ensemble has no attention dropout and no interventions: train such runs one by one")
    if configs[0].precision == "float16":
        raise ValueError("an ensemble has no loss scaling: give precision bfloat16 or float32, or train one by one")
    first = shared_fields(configs[0])
    for config in configs[1:]:
        if differ := [f"{k}: {first[k]!r} and {v!r}" for k, v in shared_fields(config).items() if first[k] != v]:
            raise ValueError(
                f"members of an ensemble may differ in seeds and data only, these differ in {', '.join(differ)}"
            )


@checked
def train_ensemble(
    configs: Sequence[TrainConfig],
    *,
    state: EnsembleState | None = None,
    batches: Sequence[Batches] | None = None,
    on_update: Callable[[list[Update]], None] | None = None,
    compiled: bool = False,
) -> Iterator[tuple[int, list[Transformer]]]:
    """Train several runs in lockstep, from their initializations or from `state`, to the end of their config.

    Args:
        configs: one of each member; they differ in seeds and data only.
        state: what training starts from; by default the initializations, on the CPU.
        batches: what each member trains on; by default opened from its config.
        on_update: gets one `Update` for each member, when the state is whole.
        compiled: compile the step with torch.compile.

    Yields:
        (step, models) at every checkpoint step; the models are the live ones.

    Raises:
        ValueError: as `EnsembleState` and `train` do.
        DivergedError: when one member diverges.

    Example:
        >>> from dataclasses import replace
        >>> from grok_interp import training_preset
        >>> config = replace(training_preset("modular-tiny"), n_steps=5)
        >>> [(step, len(models)) for step, models in train_ensemble([config, replace(config, init_seed=1)])]
        [(0, 2), (5, 2)]
    """
    state = state or EnsembleState([TrainingState(config) for config in configs])
    batches = batches or [open_batches(config) for config in configs]
    step = step_function(state, batches[0].loss, compiled=compiled)
    kept_steps = frozenset(state.config.kept_steps)
    checks = [FiniteCheck.of(member, own) for member, own in zip(state.members, batches, strict=True)]
    while True:
        if state.step in kept_steps:
            for number, check in enumerate(checks):
                with _naming(number, configs):
                    check.require_finite()
            yield state.step, [member.model for member in state.members]
        if state.step == state.config.n_steps:
            return
        updates = step([each.batch(state.step, state.device) for each in batches])
        for number, (check, update) in enumerate(zip(checks, updates, strict=True)):
            with _naming(number, configs):
                check.note(update)
        if on_update:
            on_update(updates)


@contextmanager
def _naming(number: int, configs: Sequence[TrainConfig]) -> Iterator[None]:
    """A divergence says which member it is of."""
    try:
        yield
    except DivergedError as error:
        raise DivergedError(f"member {number} (init_seed {configs[number].init_seed}): {error}") from None


def step_function(state: EnsembleState, loss: Callable, *, compiled: bool) -> Callable[[list[Tensor]], list[Update]]:
    """What makes an update of every member from a batch of each: stacked where that pays, or in turn.

    Args:
        state: of all members.
        loss: of a model and a batch, a mean in nats.
        compiled: is the step compiled?
    """
    one_or_all = partial(ensemble_losses, loss) if state.stacked else loss
    one_or_all = torch.compile(one_or_all) if compiled else one_or_all
    if state.stacked:
        learn = graphed(partial(_learn_batches, state, one_or_all), state.device)
        return partial(_stacked_step, state, learn)
    return lambda batch: [train_step(member, own, one_or_all) for member, own in zip(state.members, batch, strict=True)]


def _stacked_step(state: EnsembleState, learn: Step, batch: Sequence[Int64[Tensor, "batch pos"]]) -> list[Update]:
    """One update of every member, each on its own batch and with its own clipping."""
    factor = schedule_factor(state.config, state.step)
    set_learning_rates(state.optimizers, factor)
    losses, norms = learn(torch.stack(list(batch)))
    for member in state.members:
        member.step += 1
    rate = state.config.learning_rate * factor
    return [Update(state.step, loss, norm, rate) for loss, norm in zip(losses, norms, strict=True)]


def _learn_batches(
    state: EnsembleState, losses: Callable, batch: Int64[Tensor, "member batch pos"]
) -> tuple[Float[Tensor, " member"], Float[Tensor, " member"]]:
    """(losses, gradient norms before clipping) of one update of every member."""
    for member in state.members:
        member.model.train()
    parts = batch.split(state.config.sequences_at_once, dim=1)
    means = torch.stack([_add_gradients(state, part, losses) for part in parts]).sum(dim=0)
    norms = clip_each(list(state.weights.values()), state.config.max_grad_norm)
    take_step(state.optimizers)
    return means, norms


def _add_gradients(state: EnsembleState, part: Tensor, losses: Callable) -> Tensor:
    with autocast(state.device, state.members[0].precision):
        found = losses(state, part) * (part.shape[1] / state.config.batch_size)
    found.sum().backward()
    return found.detach()


def ensemble_losses(
    loss_of_one: Callable, state: EnsembleState, batch: Int64[Tensor, "member batch pos"]
) -> Float[Tensor, " member"]:
    """`loss_of_one(model, batch)` of each member, with all members' logits made at once.

    Args:
        loss_of_one: of a model and a batch, a mean in nats.
        state: of all members.
        batch: token indices, member x batch x pos.
    """
    logits = ensemble_logits(state.config.model, state.weights, state.rotary, batch[..., :-1])
    return vmap(lambda own, tokens: loss_of_one(lambda _: own, tokens))(logits, batch)
