"""Which figures there are, what draws them, and to which study a run belongs. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Literal

from grok_interp.configs import TextConfig, TrainConfig
from grok_interp.runs.run import Run

Size = Literal["paper", "mini", "mini-adamw", "tiny"]  # of the runs that a preset trains for a figure
FIGURES = {  # name -> function of the study's module
    "copying/fig2": "figure_2",
    "copying/fig3": "figure_3",
    "copying/fig4": "figure_4",
    "copying/fig5": "figure_5",
    "copying/fig6": "figure_6",
    "copying/fig7": "figure_7",
    "copying/strings": "strings",
    "copying/ablation": "ablation",
    "copying/heads": "single_heads",
    "copying/natural": "natural",
    "copying/leads": "leads",
    "copying/diagram": "synthetic_data_diagram",
    "modular/fig1b": "figure_1b",
    "modular/fig1c": "figure_1c",
    "modular/fig3": "figure_3",
    "modular/fig5": "figure_5",
    "modular/fig6": "figure_6",
    "modular/fig7": "figure_7",
    "modular/shift": "algorithm_shift",
    "modular/noise": "label_noise",
    "modular/attention": "attention",
    "modular/embedding": "embedding",
    "modular/mlp": "mlp_maps",
    "modular/circles": "circles_over_training",
    "modular/kaleidoscopes": "kaleidoscopes_over_training",
    "modular/fourier": "fourier_over_training",
}
OF_MANY_RUNS = (
    *(f"copying/fig{number}" for number in (2, 3, 4, 5, 6, 7)),
    *("copying/strings", "copying/leads", "copying/diagram", "modular/fig1b"),
)
AFTER_A_REPORT = {"copying": "copying/ablation", "modular": "modular/shift"}  # what to draw next


def kind_of(run: Run) -> str:
    """copying or modular: the study that a run belongs to."""
    return "copying" if isinstance(run.config.data, TextConfig) else "modular"


def study_of(run: Run, part: str = "") -> Any:
    """The module of that study, or `part` of it (".report")."""
    return import_module(f"grok_interp.studies.{kind_of(run)}{part}")


def require_runs_of(figure: str, runs: Sequence[Run]) -> None:
    """Raises ValueError for more runs than a figure is drawn from, and for runs of the other study."""
    if len(runs) > 1 and figure not in OF_MANY_RUNS:
        raise ValueError(f"{figure} is drawn from one run, got {len(runs)}; from many: {', '.join(OF_MANY_RUNS)}")
    kind = figure.partition("/")[0]
    for run in runs:
        if kind_of(run) != kind:
            raise ValueError(f"{figure} needs runs of the {kind} study, {run} is one of {kind_of(run)}")


def of_size(baselines: Mapping[Size, TrainConfig], size: Size, figure: str) -> TrainConfig:
    """The run that a figure's experiment varies. Raises ValueError for a size that it is not trained at."""
    if size not in baselines:
        raise ValueError(f"{figure} is trained at the sizes {', '.join(baselines)}, got --preset {size}")
    return baselines[size]
