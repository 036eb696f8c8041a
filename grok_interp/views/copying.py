"""Figure 2 of "Language Models 'Grok' to Copy": copying accuracy and loss over training."""

from __future__ import annotations

from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from grok_interp.analysis.comparison import TrainingCurves
from grok_interp.views.interactive import Line, Twin, line_graph
from grok_interp.views.theme import BLUE, ORANGE, VERMILION, new_figure


def plot_copying_and_loss(curves: TrainingCurves) -> Figure:
    """Accuracy (left axis, %) and validation loss (right axis, nats) of one condition, by updates; tokens above.

    The mean over seeds, and each seed thinly where there are several. Raises ValueError for several conditions.
    """
    condition, tokens_per_step = _only_condition(curves), int(curves.array["tokens_per_step"].item())
    with new_figure(6.4, 3.4) as (figure, axis):
        _draw(axis, 100 * curves.of("per_token", condition), color=ORANGE, label="suffix tokens copied")
        _draw(axis, 100 * curves.of("whole", condition), color=VERMILION, label="whole suffixes copied", lw=2)
        axis.set(xlabel="training step (updates)", ylabel="copying accuracy (%)", ylim=(0, 100))
        right = axis.twinx()
        _draw(right, curves.of("loss", condition), color=BLUE, label="validation loss")
        right.set(ylabel="validation loss (nats)", ylim=(0, None))
        right.grid(False)
        right.spines["right"].set_visible(True)
        above = axis.secondary_xaxis("top", functions=(lambda s: s * tokens_per_step, lambda t: t / tokens_per_step))
        above.set_xlabel("training tokens")
        above.xaxis.set_major_formatter(EngFormatter())
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def copying_twin(curves: TrainingCurves) -> Twin:
    """Accuracy (%) and validation loss (nats) of one condition by updates, one above the other.

    The mean over seeds, and each seed thinly where there are several. Raises ValueError for several conditions.
    """
    condition = _only_condition(curves)

    copied = [
        *_lines(100 * curves.of("per_token", condition), "suffix tokens copied", ORANGE),
        *_lines(100 * curves.of("whole", condition), "whole suffixes copied", VERMILION),
    ]
    loss = _lines(curves.of("loss", condition), "validation loss", BLUE)
    x = "training step (updates)"
    graphs = [
        line_graph(copied, x=x, y="copying accuracy (%)", y_range=(0, 100), decimals=1),
        line_graph(loss, x=x, y="validation loss (nats)"),
    ]
    steps = curves.of("loss", condition)["checkpoint"].values.tolist()
    return Twin(graphs, steps, [*copied, *loss])


def _lines(seeds: xr.DataArray, name: str, colour: str) -> list[Line]:
    steps, values = seeds["checkpoint"].to_numpy(), seeds.transpose("seed", "checkpoint").to_numpy()
    thin = [Line(name, steps, seed, colour, thin=True) for seed in values] if len(values) > 1 else []
    return [*thin, Line(name, steps, seeds.mean("seed").to_numpy(), colour)]


def _only_condition(curves: TrainingCurves) -> str:
    if curves.array.sizes["condition"] != 1:
        raise ValueError(f"one condition is drawn, got {curves.array['condition'].values.tolist()}: choose one")
    return curves.array["condition"].item()


def _draw(axis: Axes, curves: xr.DataArray, *, color: str, label: str, lw: float = 1.5) -> Any:
    if curves.sizes["seed"] > 1:
        axis.plot(curves["checkpoint"], curves.transpose("checkpoint", "seed"), color=color, lw=0.5, alpha=0.5)
    axis.plot(curves["checkpoint"], curves.mean("seed"), color=color, label=label, lw=lw)
