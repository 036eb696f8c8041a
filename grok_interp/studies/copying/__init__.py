"""The study of "Language Models 'Grok' to Copy" (arXiv 2409.09281)."""

from grok_interp.studies.copying.ablation import ablation, single_heads
from grok_interp.studies.copying.figures import (
    figure_2,
    figure_3,
    figure_4,
    figure_5,
    figure_6,
    figure_7,
    strings,
    synthetic_data_diagram,
)
from grok_interp.studies.copying.leads import leads
from grok_interp.studies.copying.natural import natural
from grok_interp.studies.copying.results import CopyingInputs, CopyingResults, analyze, evaluation_inputs

__all__ = [
    "CopyingInputs",
    "CopyingResults",
    "ablation",
    "analyze",
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
