"""The study of "Learning to grok" (arXiv 2406.02550)."""

from grok_interp.studies.modular.figures import (
    algorithm_shift,
    attention,
    circles_over_training,
    embedding,
    figure_1b,
    figure_1c,
    figure_3,
    figure_5,
    figure_6,
    figure_7,
    fourier_over_training,
    kaleidoscopes_over_training,
    label_noise,
    mlp_maps,
    sweep_diagram,
)
from grok_interp.studies.modular.modular_inputs import ModularInputs, evaluation_inputs
from grok_interp.studies.modular.results import ModularResults, analyze

__all__ = [
    "ModularInputs",
    "ModularResults",
    "algorithm_shift",
    "analyze",
    "attention",
    "circles_over_training",
    "embedding",
    "evaluation_inputs",
    "figure_1b",
    "figure_1c",
    "figure_3",
    "figure_5",
    "figure_6",
    "figure_7",
    "fourier_over_training",
    "kaleidoscopes_over_training",
    "label_noise",
    "mlp_maps",
    "sweep_diagram",
]
