"""The experiments of "Language Models 'Grok' to Copy", at the paper's size and at smaller ones.

All share one baseline: a copier at a fixed learning rate, as Figures 3 and 4 ask, without weight decay or dropout, as
Figure 7 does. Each varies one thing of it, by the paper's own factors. The experiment on synthetic data, which is
beyond the paper, varies the preset's own recipe instead.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from grok_interp.configs import TrainConfig
from grok_interp.configs.schedules import linear_steps
from grok_interp.presets import training_preset
from grok_interp.studies.experiment import Experiment

FACTORS = (0.5, 1, 2)  # of the batch size: 32, 64, 128 a GPU; of the learning rate: 1e-4, 2e-4, 4e-4 (A.4)
ATTENTION_DROPOUT, WEIGHT_DECAY = 0.1, 0.1
COPY_FRACTIONS, RANDOM_FRACTIONS = (0.0, 0.2, 0.5, 0.8), (0.0, 1 / 16, 1 / 8, 1 / 4)

MINI = replace(training_preset("copier-mini"), final_factor=1.0, weight_decay=0.0)
BASELINES = {
    "paper": replace(training_preset("copier-paper"), final_factor=1.0),
    "mini": MINI,
    "mini-adamw": replace(MINI, optimizer="adamw", muon_learning_rate=None),  # the paper's optimizer
    "tiny": replace(training_preset("copier-tiny"), final_factor=1.0, checkpoint_steps=linear_steps(20, every=2)),
}
RECIPES = {size: training_preset(f"copier-{size}") for size in ("paper", "mini", "tiny")}  # schedule included


def batch_sizes(baseline: TrainConfig) -> list[TrainConfig]:
    """The same initial weights and learning rate (Figures 3 and 4)."""
    return [replace(baseline, batch_size=int(factor * baseline.batch_size)) for factor in FACTORS]


def learning_rates(baseline: TrainConfig) -> list[TrainConfig]:
    """Of both optimizers, by one factor, where Muon trains the hidden matrices."""
    return [
        replace(
            baseline,
            learning_rate=factor * baseline.learning_rate,
            muon_learning_rate=baseline.muon_learning_rate and factor * baseline.muon_learning_rate,
        )
        for factor in FACTORS
    ]


def regularizations(baseline: TrainConfig) -> list[TrainConfig]:
    """Neither, attention dropout, weight decay of both optimizers (Figure 7)."""
    return [
        baseline,
        baseline.with_model(attn_dropout=ATTENTION_DROPOUT),
        replace(baseline, weight_decay=WEIGHT_DECAY),
    ]


def synthetic_data(recipe: TrainConfig) -> list[TrainConfig]:
    """The recipe with other fractions of windows with copies and of random windows; checkpoints at the end count."""
    few = replace(recipe, checkpoint_steps=linear_steps(recipe.n_steps, every=max(1, recipe.n_steps // 8)))
    return [
        few.with_data(copy_fraction=copies, random_fraction=random)
        for copies, random in product(COPY_FRACTIONS, RANDOM_FRACTIONS)
    ]


BASELINE = Experiment.alone(BASELINES)
BATCH_SIZE = Experiment(("batch_size",), batch_sizes, BASELINES)
LEARNING_RATE = Experiment(("learning_rate", "muon_learning_rate"), learning_rates, BASELINES)
REGULARIZATION = Experiment(("model.attn_dropout", "weight_decay"), regularizations, BASELINES)
SYNTHETIC_DATA = Experiment(("data.copy_fraction", "data.random_fraction"), synthetic_data, RECIPES)
