"""The study of "Learning to grok" (arXiv 2406.02550). What imports torch is loaded when it is used.

Every figure is a name of this module: `modular.figure_1b`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from grok_interp.studies.modular.further_figures import FIGURES

if TYPE_CHECKING:
    from grok_interp.studies.modular.modular_inputs import ModularInputs, evaluation_inputs
    from grok_interp.studies.modular.modular_results import ModularResults, analyze, sweep_diagram

_LOADED_LATER = {
    "ModularInputs": "modular_inputs",
    "ModularResults": "modular_results",
    "analyze": "modular_results",
    "evaluation_inputs": "modular_inputs",
    "sweep_diagram": "modular_results",
}

__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    "ModularInputs",
    "ModularResults",
    "analyze",
    "evaluation_inputs",
    "sweep_diagram",
    *FIGURES.functions,
]

globals().update(FIGURES.functions)


def __getattr__(name: str) -> Any:
    if name not in _LOADED_LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_LOADED_LATER[name]}"), name)
