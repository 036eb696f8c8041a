"""A training step (forward, backward, update) against what else a user could train with, on the same weights and batch.

    python benchmarks/training_step.py --short    small models, a minute on two slow cores
    python benchmarks/training_step.py            larger and compiled ones, too; on a GPU as well where there is one

Peers: TransformerLens' hooked model, Hugging Face's model of the same family with its scaled-dot-product attention, and
a decoder in plain torch (plain_decoder.py), eager and compiled. All take the same fused AdamW and gradient clipping.
Before anything is timed, the first losses and gradient norms must agree. Attention dropout is 0.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
import tyro
from plain_decoder import plain_copy
from side_by_side import Call, prepare, print_header, print_row, round_robin, seconds, spread
from torch import Tensor, nn

from grok_interp.configs import ModularConfig, TrainConfig, llama_copier, modular_gpt
from grok_interp.models.interchange import to_huggingface
from grok_interp.models.transformer_lens import to_hooked_transformer
from grok_interp.presets import preset, training_preset
from grok_interp.training.batches import answer_loss, next_token_loss
from grok_interp.training.loop import train_step
from grok_interp.training.optimizer import build_optimizers
from grok_interp.training.state import TrainingState

STEPS = 3  # in a timed call
LIBRARY = "TransformerLens"


@dataclass(frozen=True)
class Case:
    """A run whose steps are timed. `loss` takes a model that maps tokens to logits, and a batch."""

    name: str
    config: TrainConfig
    loss: Callable[[nn.Module, Tensor], Tensor]

    def batch(self, device: str) -> Tensor:
        shape = (self.config.batch_size, self.config.model.n_ctx)
        vocabulary = self.config.model.d_vocab
        return torch.randint(vocabulary, shape, generator=torch.Generator().manual_seed(0)).to(device)

    @property
    def size(self) -> str:
        model = self.config.model
        return f"{model.n_layers} layers, d_model {model.d_model}, {self.config.batch_size} x {model.n_ctx} tokens"


def sized(name: str, like: str, **changes: Any) -> Case:
    own = dict(checkpoint_steps=(), precision="float32", optimizer="adamw", muon_learning_rate=None)
    config = replace(training_preset(like), **own, **changes)
    return Case(f"copier {name}" if like.startswith("copier") else f"modular {name}", config, _loss_of(like))


def _loss_of(like: str) -> Callable:
    return next_token_loss if like.startswith("copier") else answer_loss


COPIER = llama_copier(n_layers=4, n_heads=4, d_model=256, d_mlp=688, d_vocab=256, n_ctx=256)
COPIER_PAPER = replace(preset("copier-paper"), n_ctx=512)
TASKS = ModularConfig(p=29, n_id=40, alpha=0.8)
MODULAR = modular_gpt(n_layers=4, d_model=256, d_vocab=29, n_ctx=96)
SHORT = (
    sized("mini", "copier-mini"),
    sized("middle", "copier-mini", model=COPIER, batch_size=4),
    sized("mini", "modular-p11"),
    sized("middle", "modular-p11", model=MODULAR, data=TASKS, batch_size=40),
)
LONG = (
    sized("of long contexts", "copier-mini", model=replace(COPIER, n_ctx=2048), batch_size=1),
    sized(
        "paper", "copier-paper", model=replace(preset("copier-paper"), n_ctx=512), batch_size=1, micro_batch_size=None
    ),
    sized("paper", "modular-p11", model=preset("modular-paper-d4"), data=TASKS, batch_size=40),
)


class PeerStep:
    """A step as a plain training script writes it; our own is `train_step`."""

    def __init__(self, case: Case, model: nn.Module, loss: Callable) -> None:
        self.model, self.loss, self.max_norm = model.train(), loss, case.config.max_grad_norm
        (self.optimizer,) = build_optimizers(model.named_parameters(), case.config)

    def __call__(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        loss = self.loss(self.model, batch)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.max_norm or torch.inf)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach(), norm


class OurStep:
    def __init__(self, state: TrainingState, loss: Callable) -> None:
        self.state, self.loss = state, loss

    def __call__(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        update = train_step(self.state, batch, self.loss)
        return update.loss, update.grad_norm


def our_step(case: Case, device: str, *, compiled: bool = False) -> OurStep:
    return OurStep(TrainingState(case.config, device=device), torch.compile(case.loss) if compiled else case.loss)


def eager_peers(case: Case, device: str) -> Iterator[tuple[str, PeerStep]]:
    """(name, the step) of every peer that has such a model."""
    model = TrainingState(case.config, device=device).model
    logits_of = lambda theirs, tokens: theirs(tokens).logits  # noqa: E731
    yield LIBRARY, PeerStep(case, to_hooked_transformer(model), case.loss)
    theirs = to_huggingface(model).to(device)
    assert theirs.config._attn_implementation == "sdpa"
    yield "Hugging Face, SDPA", PeerStep(case, theirs, lambda hf, batch: case.loss(partial(logits_of, hf), batch))
    yield "plain torch", plain_step(case, device)


def plain_step(case: Case, device: str, *, compiled: bool = False) -> PeerStep:
    plain = plain_copy(TrainingState(case.config, device=device).model, case.config.model)
    return PeerStep(case, plain, torch.compile(case.loss) if compiled else case.loss)


def require_agreement(name: str, ours: Any, theirs: Any) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(other, mine, rtol=2e-3, atol=1e-4, msg=lambda text: f"{name}: {text}")  # noqa: B023


def main(*, short: bool = False, rounds: int = 7) -> None:
    """Print the table.

    Args:
        short: the small models only, nothing compiled.
        rounds: how often each is timed.
    """
    prepare(gradients=True)
    warnings.simplefilter("ignore", DeprecationWarning)
    print_header(["training step", "peer", "ours", "peer's", "times faster than the peer (quartiles)", "target"])
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        for case in SHORT if short else (*SHORT, *LONG):
            batch = case.batch(device)
            compare_steps(case, batch, our_step(case, device), dict(eager_peers(case, device)), rounds=rounds)
            if not short:
                ours, peer = (of(case, device, compiled=True) for of in (our_step, plain_step))
                compare_steps(case, batch, ours, {"plain torch, both compiled": peer}, rounds=rounds)


def compare_steps(case: Case, batch: Tensor, ours: OurStep, peers: Mapping[str, PeerStep], *, rounds: int) -> None:
    first, device = ours(batch), batch.device.type
    for name, peer in peers.items():
        compared = slice(1) if name == LIBRARY else slice(2)  # it unties embeddings: another gradient's norm
        require_agreement(name, first[compared], peer(batch)[compared])
    calls = [steps_of(step, batch) for step in (ours, *peers.values())]
    times = round_robin(calls, rounds=rounds, device=device).T / STEPS
    for name, theirs in zip(peers, times[1:], strict=True):
        target = ("4" if device == "cuda" else "2") if name == LIBRARY else "1.0"
        medians = (seconds(float(np.median(each))) for each in (times[0], theirs))
        print_row([f"{case.name}, {device}: {case.size}", name, *medians, spread(theirs / times[0]), target])


def steps_of(step: Callable, batch: Tensor) -> Call:
    def call() -> None:
        for _ in range(STEPS):
            step(batch)

    return call


if __name__ == "__main__":
    tyro.cli(main)
