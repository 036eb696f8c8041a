"""The study of "Language Models 'Grok' to Copy" (arXiv 2409.09281). What imports torch is loaded when it is used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from grok_interp.studies.copying.figures import (
    figure_2,
    figure_3,
    figure_4,
    figure_5,
    figure_6,
    figure_7,
    natural,
    strings,
    synthetic_data_diagram,
)
from grok_interp.studies.copying.head_figures import ablation, attribution, edges, emergence, leads, single_heads

if TYPE_CHECKING:
    from grok_interp.studies.copying.results import CopyingInputs, CopyingResults, analyze, evaluation_inputs

_OF_RESULTS = ("CopyingInputs", "CopyingResults", "analyze", "evaluation_inputs")

__all__ = [
    "CopyingInputs",
    "CopyingResults",
    "ablation",
    "analyze",
    "attribution",
    "edges",
    "emergence",
    "evaluation_inputs",
    "figure_2",
    "figure_3",
    "figure_4",
    "figure_5",
    "figure_6",
    "figure_7",
    "leads",
    "natural",
    "single_heads",
    "strings",
    "synthetic_data_diagram",
]


def __getattr__(name: str) -> Any:
    if name not in _OF_RESULTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.results"), name)
