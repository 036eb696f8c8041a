"""Figure 2 of "Language Models 'Grok' to Copy": copying accuracy and loss over training."""

from __future__ import annotations

from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from grok_interp.analysis.comparison import TrainingCurves
from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.views.interactive import Line, Twin, band, line_graph
from grok_interp.views.theme import BLUE, ORANGE, VERMILION, new_figure

PER_TOKEN, EXACT = "per-token accuracy", "exact-match accuracy"


def plot_copying_and_loss(curves: TrainingCurves, accuracy: CopyingAccuracy | None = None) -> Figure:
    """Accuracy (left axis, %) and validation loss (right axis, nats) of one condition, by updates; tokens above.

    The mean over seeds, and each seed thinly where there are several.

    Args:
        curves: of one condition.
        accuracy: of its only run: draws 95% intervals over samples as bands.

    Raises:
        ValueError: if there are several conditions.
    """
    condition, tokens_per_step = _only_condition(curves), int(curves.array["tokens_per_step"].item())
    with new_figure(6.4, 3.4) as (figure, axis):
        for name, color, low, high in _intervals(accuracy):
            axis.fill_between(low["checkpoint"], low, high, color=color, alpha=0.2, lw=0, label=f"_{name}")
        _draw(axis, 100 * curves.of("per_token", condition), color=ORANGE, label=PER_TOKEN)
        _draw(axis, 100 * curves.of("whole", condition), color=VERMILION, label=EXACT, lw=2)
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


def copying_twin(curves: TrainingCurves, accuracy: CopyingAccuracy | None = None) -> Twin:
    """Accuracy (%) and validation loss (nats) of one condition by updates, one above the other.

    The mean over seeds, and each seed thinly where there are several.

    Args:
        curves: of one condition.
        accuracy: of its only run: draws 95% intervals over samples as bands.

    Raises:
        ValueError: if there are several conditions.
    """
    condition = _only_condition(curves)

    copied = [
        *(
            band(Line(name, low["checkpoint"], low, color), low, high)
            for name, color, low, high in _intervals(accuracy)
        ),
        *_lines(100 * curves.of("per_token", condition), PER_TOKEN, ORANGE),
        *_lines(100 * curves.of("whole", condition), EXACT, VERMILION),
    ]
    loss = _lines(curves.of("loss", condition), "validation loss", BLUE)
    x = "training step (updates)"
    graphs = [
        line_graph(copied, x=x, y="copying accuracy (%)", y_range=(0, 100), decimals=1),
        line_graph(loss, x=x, y="validation loss (nats)"),
    ]
    steps = curves.of("loss", condition)["checkpoint"].values.tolist()
    return Twin(graphs, steps, [*copied, *loss])


def _intervals(accuracy: CopyingAccuracy | None) -> list[tuple[str, str, xr.DataArray, xr.DataArray]]:
    """Name, color, and low and high ends in percent, of each accuracy."""
    if accuracy is None:
        return []
    bounds = [(PER_TOKEN, ORANGE, accuracy.per_token_interval()), (EXACT, VERMILION, accuracy.exact_interval())]
    return [(name, color, 100 * found.sel(bound="low"), 100 * found.sel(bound="high")) for name, color, found in bounds]


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
