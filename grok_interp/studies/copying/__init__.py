"""The study of "Language Models 'Grok' to Copy" (arXiv 2409.09281). What imports torch is loaded when it is used.

Every figure is a name of this module: `copying.figure_3`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from grok_interp.studies.copying.head_figures import FIGURES

if TYPE_CHECKING:
    from grok_interp.studies.copying.copying_results import CopyingInputs, CopyingResults, analyze, evaluation_inputs

_OF_RESULTS = ("CopyingInputs", "CopyingResults", "analyze", "evaluation_inputs")

__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    "CopyingInputs",
    "CopyingResults",
    "analyze",
    "evaluation_inputs",
    *FIGURES.functions,
]

globals().update(FIGURES.functions)


def __getattr__(name: str) -> Any:
    if name not in _OF_RESULTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.copying_results"), name)
