"""`TrainingState`: all that changes while training, and what a resume point keeps of it."""

from __future__ import annotations

from typing import Any

import torch

from grok_interp.configs import TrainConfig
from grok_interp.models.transformer import Transformer
from grok_interp.training.interventions import Interventions
from grok_interp.training.optimizer import build_optimizers
from grok_interp.training.own_optimizer import OwnOptimizer, require_plain
from grok_interp.training.parallel import choose_parts
from grok_interp.training.precision import Precision, loss_scaler, resolve_precision
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
