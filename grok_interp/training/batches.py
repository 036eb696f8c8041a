"""What a step trains on: a batch as a pure function of (seed, step), and the loss on it, for each kind of data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from grok_interp.configs import DataConfig, ModularConfig, TextConfig, TrainConfig
from grok_interp.configs.data import Batches, plugin_sources
from grok_interp.data.context_curriculum import Lines, draw_related_inputs
from grok_interp.data.corpus import Corpus, open_corpus
from grok_interp.data.modular import ModularTasks, draw_inputs, sequences
from grok_interp.data.windows import WindowSampler

TRAINING_CONTEXTS = 1  # which stream of random numbers a data seed is used for


def open_batches(config: TrainConfig) -> Batches:
    """What a run trains on, as the study of its data opens it.

    Raises ValueError for a corpus that is missing, empty or too short, and for tasks that cannot be drawn.

    Args:
        config: of the run.
    """
    for kind, opened in OWN.items():
        if isinstance(config.data, kind):
            return opened(config)
    for source in plugin_sources():
        if isinstance(config.data, source.data):
            return source.open_batches(config)
    raise ValueError(f"no study has data of {type(config.data).__name__}: install the package that brings it")


class TextBatches:
    """Windows of a corpus; every next token is predicted."""

    def __init__(self, config: TrainConfig, corpus: Corpus | None = None) -> None:
        assert isinstance(config.data, TextConfig)
        self.corpus = corpus or open_corpus(config.data, config.model.d_vocab)
        self.hash, self.description = self.corpus.hash, str(self.corpus)
        self.batch_size = config.batch_size
        self.windows = WindowSampler(
            self.corpus.training,
            config.data,
            n_ctx=config.model.n_ctx,
            seed=config.data_seed,
            alphabet=self.corpus.vocabulary.common,
        )

    def batch(self, step: int, device: torch.device) -> Int64[Tensor, "batch pos"]:
        """The batch of a step, a pure function of (seed, step).

        Args:
            step: of the update, from 0.
            device: a torch device.
        """
        return self.windows.batch(step, self.batch_size).to(device, non_blocking=True)

    def loss(self, model: nn.Module, batch: Int64[Tensor, "batch pos"]) -> Float[Tensor, ""]:
        """The mean over all next tokens, in nats.

        Args:
            model: maps tokens to logits.
            batch: token indices.
        """
        return next_token_loss(model, batch)


class ModularBatches:
    """As many sequences of every task, all tasks on the same inputs; only the answers z are predicted."""

    def __init__(self, config: TrainConfig) -> None:
        assert isinstance(config.data, ModularConfig)
        self.tasks = ModularTasks.draw(config.data)
        self.n_contexts, self.n_examples = config.batch_size // config.data.n_id, config.model.n_ctx // 3
        self.config, self.seed = config.data, config.data_seed
        self._tasks_on = lru_cache(self.tasks.to)
        self._lines_on = lru_cache(lambda device: Lines.of(self._tasks_on(device).train_inputs, self.tasks.p))
        drawn = (self.tasks.id_tasks, self.tasks.ood_tasks, self.tasks.train_inputs, self.tasks.test_inputs)
        self.hash = hashlib.sha256(json.dumps([part.tolist() for part in drawn]).encode()).hexdigest()
        self.description = (
            f"p = {self.tasks.p}: {len(drawn[0])} tasks trained on, {len(drawn[1])} others; {len(drawn[2])} inputs "
            f"trained on, {len(drawn[3])} others"
        )

    def batch(self, step: int, device: torch.device) -> Int64[Tensor, "batch pos"]:
        """The batch of a step, a pure function of (seed, step).

        Args:
            step: of the update, from 0.
            device: a torch device.
        """
        tasks = self._tasks_on(device)
        strength = self.config.curriculum_strength(step)
        draw = partial(draw_inputs, tasks.train_inputs)
        if self.config.has_curriculum and strength > 0:
            probabilities = (strength * self.config.repeat_probability, strength * self.config.line_probability)
            draw = partial(draw_related_inputs, self._lines_on(device), probabilities=probabilities)
        seed = (self.seed, TRAINING_CONTEXTS, step)
        inputs = draw(n_contexts=self.n_contexts, n_examples=self.n_examples, seed=seed)
        return sequences(tasks.id_tasks, inputs, tasks.p).flatten(0, 1)

    def loss(self, model: nn.Module, batch: Int64[Tensor, "batch pos"]) -> Float[Tensor, ""]:
        """The mean over the answers, in nats.

        Args:
            model: maps tokens to logits.
            batch: token indices.
        """
        return answer_loss(model, batch)


def next_token_loss(model: nn.Module, windows: Int64[Tensor, "batch pos"]) -> Float[Tensor, ""]:
    """Mean cross-entropy of each window's tokens but the first, in nats, in float32 whatever the model's precision.

    Args:
        model: maps tokens to logits.
        windows: token indices; one more than the model reads.
    """
    logits = model(windows[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1).float(), windows[:, 1:].flatten())


def answer_loss(model: nn.Module, batch: Int64[Tensor, "batch pos"]) -> Float[Tensor, ""]:
    """Mean cross-entropy of the answers z of x y z x y z ..., at every number of shots, the 0-shot included.

    Args:
        model: maps tokens to logits.
        batch: token indices of whole examples.
    """
    logits = model(batch[:, :-1])[:, 1::3]
    return F.cross_entropy(logits.flatten(0, 1).float(), batch[:, 2::3].flatten())


OWN: dict[type[DataConfig], Callable[[TrainConfig], Batches]] = {TextConfig: TextBatches, ModularConfig: ModularBatches}
