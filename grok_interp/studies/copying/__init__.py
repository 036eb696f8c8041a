"""The study of "Language Models 'Grok' to Copy"."""

from grok_interp.studies.copying.figures import figure_2, figure_6
from grok_interp.studies.copying.results import CopyingProbes, CopyingResults, analyze, probes_of_run

__all__ = ["CopyingProbes", "CopyingResults", "analyze", "figure_2", "figure_6", "probes_of_run"]
