"""The study of "Learning to grok" (arXiv 2406.02550). What imports torch is loaded when it is used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from grok_interp.studies.modular.figures import figure_1b, figure_1c, figure_3, figure_5, figure_6, figure_7
from grok_interp.studies.modular.further_figures import (
    algorithm_shift,
    attention,
    circles_over_training,
    embedding,
    fourier_over_training,
    kaleidoscopes_over_training,
    label_noise,
    mlp_maps,
)

if TYPE_CHECKING:
    from grok_interp.studies.modular.modular_inputs import ModularInputs, evaluation_inputs
    from grok_interp.studies.modular.results import ModularResults, analyze, sweep_diagram

_LOADED_LATER = {
    "ModularInputs": "modular_inputs",
    "ModularResults": "results",
    "analyze": "results",
    "evaluation_inputs": "modular_inputs",
    "sweep_diagram": "results",
}

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


def __getattr__(name: str) -> Any:
    if name not in _LOADED_LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_LOADED_LATER[name]}"), name)
