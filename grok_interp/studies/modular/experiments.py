"""The sweep behind the phase diagram (Figure 1b): tasks trained on x fraction of inputs trained on, at three sizes."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from grok_interp.configs import ModularConfig, TrainConfig
from grok_interp.configs.schedules import linear_steps
from grok_interp.presets import training_preset
from grok_interp.studies.experiment import Experiment

BASELINES = {
    "paper": training_preset("modular-paper-d6"),
    # A cell takes 40 minutes of one core. The paper stops early too: a run counts at its best checkpoint.
    "mini": replace(training_preset("modular-p11"), n_steps=12_000, checkpoint_steps=linear_steps(12_000, every=500)),
    "tiny": training_preset("modular-tiny"),
}
GRIDS = {  # p -> n_id, alpha; the paper's at 29 (B.3)
    29: ((8, 16, 32, 64, 128, 256, 512), (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)),
    11: ((13, 26, 52, 104), (0.5, 0.8)),  # numbers of tasks that divide the batch of 416
    5: ((4, 8), (0.4, 0.6)),
}


def phase_grid(baseline: TrainConfig) -> list[TrainConfig]:
    assert isinstance(baseline.data, ModularConfig)
    return [baseline.with_data(n_id=n_id, alpha=alpha) for n_id, alpha in product(*GRIDS[baseline.data.p])]


BASELINE = Experiment.alone(BASELINES)
PHASES = Experiment(("data.n_id", "data.alpha"), phase_grid, BASELINES)
