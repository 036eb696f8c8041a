"""Interventions on heads inside the training step (`TrainConfig.intervene`).

What is in effect at a step is in tensors that the step reads, so one compiled step or one CUDA graph serves the whole
run. Checkpoints are plain weights: analyzers see the model without its interventions.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from grok_interp.configs import TrainConfig
from grok_interp.configs.intervention import Intervention, unreached
from grok_interp.device import is_first_process
from grok_interp.models.transformer import Transformer


def warn_of_unreached(config: TrainConfig) -> None:
    """Warn, once for all processes, of interventions that begin after the last update."""
    for reason in unreached(config.intervene, config.n_steps) if is_first_process() else ():
        warnings.warn(reason, stacklevel=3)


class Interventions:
    """Of one run. `kept[layer]` is 0 for a head whose z is replaced, by `held[layer]`; `frozen[layer]` is True for a
    head whose weights stay.

    Args:
        config: the training run.
        model: the model that it trains.
    """

    def __init__(self, config: TrainConfig, model: Transformer) -> None:
        self.each = [Intervention.parse(text) for text in config.intervene]
        self.model, cfg = model, config.model
        layers = {each.layer for each in self.each if each.way != "freeze"}
        device = model.embed.weight.device
        self.kept = {layer: torch.ones(cfg.n_heads, 1, device=device) for layer in layers}
        self.held = {layer: torch.zeros(cfg.n_heads, cfg.d_head, device=device) for layer in layers}
        frozen = {each.layer for each in self.each if each.way == "freeze"}
        self.frozen = {layer: torch.zeros(cfg.n_heads, 1, 1, dtype=torch.bool, device=device) for layer in frozen}

    def prepare(self, step: int, batch: Int64[Tensor, "batch pos"]) -> None:
        """Set the tensors to what is in effect in the update after `step` updates: first nothing, then each that is."""
        active = [each for each in self.each if each.is_active(step)]
        clamped = {(each.layer, each.head) for each in active if each.way == "clamp"}
        for each in self.each:
            if each.way == "freeze":
                self.frozen[each.layer][each.head] = False
            else:
                self.kept[each.layer][each.head] = 1.0
                if (each.layer, each.head) not in clamped:
                    self.held[each.layer][each.head] = 0.0
        for each in active:
            if each.way == "freeze":
                self.frozen[each.layer][each.head] = True
            else:
                self.kept[each.layer][each.head] = 0.0
            if each.way == "clamp" and step == each.first:
                self.held[each.layer][each.head] = self._mean_z(each, batch)

    @torch.no_grad()
    def _mean_z(self, each: Intervention, batch: Int64[Tensor, "batch pos"]) -> Float[Tensor, " d_head"]:
        name = f"blocks.{each.layer}.attn.hook_z"
        _, cache = self.model.run_with_cache(batch[:, : self.model.cfg.n_ctx], names_filter=name)
        return cache[name][:, :, each.head].float().mean(dim=(0, 1))

    def applied(self) -> AbstractContextManager[Any]:
        """Inside, the model's forward pass has the interventions on z."""
        return self.model.hooks(fwd_hooks=[(f"blocks.{layer}.attn.hook_z", self._edit(layer)) for layer in self.kept])

    def _edit(self, layer: int) -> Callable[..., Tensor]:
        kept, held = self.kept[layer], self.held[layer]

        def edit(z: Float[Tensor, "batch pos head d_head"], hook: Any) -> Tensor:  # noqa: ARG001 (a hook's signature)
            return (z * kept + held).to(z.dtype)

        return edit

    def before_update(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """(weights by head, their values now, which stay), for `restore` to set back what an optimizer changed."""
        return [(view, view.clone(), frozen) for layer, frozen in self.frozen.items() for view in self._views(layer)]

    @staticmethod
    def restore(before: list[tuple[Tensor, Tensor, Tensor]]) -> None:
        for view, values, frozen in before:
            view.copy_(torch.where(frozen, values, view))

    def _views(self, layer: int) -> Iterator[Tensor]:
        """The weights of all heads of a layer, the head in the axis before the last two."""
        attention = cast(Any, self.model.blocks[layer]).attn
        heads = (self.model.cfg.n_heads, self.model.cfg.d_head)
        yield _values(attention.qkv).unflatten(0, (3, *heads))
        yield _values(attention.o).unflatten(1, heads).movedim(1, 0)

    def state_dict(self) -> dict[int, Tensor]:
        """What a resumed run cannot compute again."""
        return dict(self.held)

    def load_state_dict(self, held: dict[int, Tensor]) -> None:
        for layer, values in held.items():
            self.held[layer].copy_(values)


def _values(linear: nn.Linear) -> Tensor:
    return linear.weight.detach()
