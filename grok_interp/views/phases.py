"""The phase diagram over n_id and alpha (Figure 1b), and the accuracies that it is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from grok_interp.analysis.phase_diagram import PhaseDiagram
from grok_interp.analysis.phases import PHASES, percent
from grok_interp.data.modular import SPLITS
from grok_interp.views.heatmaps import heatmap_graph
from grok_interp.views.interactive import Graph, Line, Twin
from grok_interp.views.shots import SPLIT_NAMES
from grok_interp.views.theme import BLUE, ORANGE, SKY, VERMILION, new_figure

PHASE_COLOURS = dict(zip(PHASES.values(), (SKY, BLUE, ORANGE, VERMILION, "#dddddd"), strict=True))
UNNAMED, NO_RUN = "#999999", "#ffffff"
DARK = "#111111"  # on a light cell, also where the page is dark


def plot_phase_diagram(diagram: PhaseDiagram, *, threshold: float) -> Figure:
    """The most probable phase of each cell's best seed with its probability and the number of seeds; beside it the
    last-shot accuracy on each split."""
    phases = diagram.phases(threshold=threshold).transpose("n_id", "alpha")
    best = diagram.best()
    with new_figure(14, 3.4, ncols=5, sharey=True) as (figure, axes):
        axes[0].imshow(_colours(phases.values), origin="lower", aspect="auto")
        axes[0].set_title("most probable phase")
        for (row, column), text in np.ndenumerate(_cell_texts(diagram, threshold)):
            axes[0].text(column, row, text, ha="center", va="center", color=DARK, fontsize=7)
        for axis, split in zip(axes[1:], SPLITS, strict=True):
            values = best.sel(split=split).transpose("n_id", "alpha")
            axis.imshow(values, origin="lower", aspect="auto", vmin=0, vmax=1, cmap="viridis")
            for (row, column), value in np.ndenumerate(values.values):
                if np.isfinite(value):
                    axis.text(column, row, f"{value:.0%}", ha="center", va="center", color="w" if value < 0.6 else DARK)
            axis.set_title(SPLIT_NAMES[split])
        alphas, n_id = phases["alpha"].values, phases["n_id"].values
        for axis in axes:
            axis.set(xlabel="alpha", xticks=range(len(alphas)), xticklabels=[f"{alpha:g}" for alpha in alphas])
            axis.grid(False)
        axes[0].set(ylabel="tasks trained on", yticks=range(len(n_id)), yticklabels=n_id)
        shown = {name: colour for name, colour in PHASE_COLOURS.items() if (phases == name).any()}
        if any(str(name).startswith("unnamed") for name in phases.values.flat):
            shown["another combination"] = UNNAMED
        figure.legend(
            handles=[Patch(color=colour, label=name) for name, colour in shown.items()],
            loc="outside lower center",
            ncols=len(shown),
        )
    return figure


def phase_twin(diagram: PhaseDiagram, *, threshold: float) -> Twin:
    """The same five maps; a cell of the first says each phase with its probability, and the number of seeds."""
    phases = diagram.phases(threshold=threshold).transpose("n_id", "alpha")
    described = diagram.described(threshold=threshold).transpose("n_id", "alpha")
    best = diagram.best().transpose("split", "n_id", "alpha")
    names = list(dict.fromkeys(phases.values.flat))
    codes = [[names.index(name) if name else np.nan for name in row] for row in phases.values]
    shown = {name: PHASE_COLOURS.get(name, UNNAMED) for name in names}
    scale = [[edge / len(names), colour] for i, colour in enumerate(shown.values()) for edge in (i, i + 1)]
    discrete = {"colours": scale, "limits": (-0.5, len(names) - 0.5), "customdata": described.values.tolist()}
    text = {"text": _cell_texts(diagram, threshold).tolist(), "texttemplate": "%{text}"}
    graphs = [_map(phases, codes, "most probable phase", hover="%{customdata}", **discrete, **text)]
    for split in SPLITS:
        shares = {"texttemplate": "%{z:.0%}", "colours": "Viridis", "limits": (0, 1)}
        graphs.append(_map(phases, best.sel(split=split).values, SPLIT_NAMES[split], hover="%{z:.1%}", **shares))
    legend = [Line(name, [], [], colour) for name, colour in shown.items() if name]
    return Twin(graphs, [], legend, columns=3)


def _map(cells: xr.DataArray, values: ArrayLike, title: str, *, hover: str, **options: Any) -> Graph:
    """n_id x alpha, at equal distances."""
    alphas, n_id = ([f"{each:g}" for each in cells[dim].values] for dim in ("alpha", "n_id"))
    return heatmap_graph(
        values,
        x="alpha",
        y="tasks trained on",
        title=title,
        hover=hover + "<br>%{y} tasks, alpha %{x}",
        names=(n_id, alphas),
        xgap=1,
        ygap=1,
        **options,
    )


def _cell_texts(diagram: PhaseDiagram, threshold: float) -> np.ndarray:
    """n_id x alpha: the probability of the most probable phase, and the number of seeds; empty without a run."""
    found = diagram.probabilities(threshold=threshold).transpose("n_id", "alpha").values
    seeds = diagram.n_seeds().transpose("n_id", "alpha").values
    texts = [
        f"{percent(cell.probability)}, n={n}" if cell else "" for cell, n in zip(found.flat, seeds.flat, strict=True)
    ]
    return np.array(texts, dtype=object).reshape(found.shape)


def _colours(phases: np.ndarray) -> np.ndarray:
    flat = [to_rgb(PHASE_COLOURS.get(name, UNNAMED if name else NO_RUN)) for name in phases.flat]
    return np.array(flat).reshape(*phases.shape, 3)
