"""Which figures there are, what draws them, and to which study a run belongs. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from grok_interp.configs import TextConfig, TrainConfig
from grok_interp.runs.run import Run

if TYPE_CHECKING:
    from grok_interp.plots.drawing import Drawing

Size = Literal["paper", "mini", "mini-adamw", "tiny"]  # of the runs that a preset trains for a figure


@dataclass(frozen=True)
class Picture:
    """A figure that `reproduce` draws; what draws it is imported when it is drawn.

    Args:
        drawn_by: a function of runs in the study's module.
        description: one line for who chooses a figure.
        of_many: drawn from several runs; otherwise from one.
    """

    drawn_by: str
    description: str
    of_many: bool = False

    def draw(self, runs: Sequence[Run], *, device: str) -> Drawing:
        """Of analyzed runs of one study; models run on `device`, a torch device."""
        return getattr(study_of(runs[0]), self.drawn_by)(*runs, device=device)


FIGURES = {
    "copying/fig2": Picture("figure_2", "copying accuracy and loss over training", of_many=True),
    "copying/fig3": Picture("figure_3", "copying at three batch sizes, against updates and tokens", of_many=True),
    "copying/fig4": Picture("figure_4", "loss and copying at three batch sizes", of_many=True),
    "copying/fig5": Picture("figure_5", "copying and loss at three learning rates", of_many=True),
    "copying/fig6": Picture("figure_6", "I(L, H) of every head over training, and when each forms", of_many=True),
    "copying/fig7": Picture("figure_7", "copying with attention dropout, weight decay and neither", of_many=True),
    "copying/strings": Picture("strings", "exact-match accuracy string by string, two alphabets", of_many=True),
    "copying/ablation": Picture("ablation", "accuracy after ablation of the induction heads, over training"),
    "copying/heads": Picture("single_heads", "accuracy after ablation of each head alone, against I(L, H)"),
    "copying/natural": Picture("natural", "loss on repeated n-grams of unmodified validation text"),
    "copying/leads": Picture("leads", "which head score moves before the onset of copying", of_many=True),
    "copying/diagram": Picture(
        "synthetic_data_diagram", "final accuracy against the fractions of synthetic windows", of_many=True
    ),
    "modular/fig1b": Picture("figure_1b", "phase diagram over the tasks trained on and alpha", of_many=True),
    "modular/fig1c": Picture("figure_1c", "accuracy by number of shots"),
    "modular/fig3": Picture("figure_3", "last-shot accuracy on the four splits over training"),
    "modular/fig5": Picture("figure_5", "one unseen task: answers query by query, beside both algorithms"),
    "modular/fig6": Picture("figure_6", "circle of circles: principal components of one head"),
    "modular/fig7": Picture("figure_7", "cosine similarity of a block's output over all pairs (x, y)"),
    "modular/shift": Picture("algorithm_shift", "likelihood of each algorithm by number of shots"),
    "modular/noise": Picture("label_noise", "accuracy by number of shots with wrong examples"),
    "modular/attention": Picture("attention", "attention patterns of all heads on an unseen task"),
    "modular/embedding": Picture("embedding", "principal components of the number embeddings"),
    "modular/mlp": Picture("mlp_maps", "activations of MLP neurons over all pairs (x, y)"),
    "modular/circles": Picture("circles_over_training", "circularity of every head over training"),
    "modular/kaleidoscopes": Picture("kaleidoscopes_over_training", "patterns in block outputs over training"),
    "modular/fourier": Picture("fourier_over_training", "Fourier spectra, restricted and excluded loss over training"),
}
OF_MANY_RUNS = tuple(name for name, picture in FIGURES.items() if picture.of_many)
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
