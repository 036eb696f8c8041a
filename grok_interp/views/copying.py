"""Figure 2 of "Language Models 'Grok' to Copy": copying accuracy and loss over training."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.analysis.loss import PositionLoss
from grok_interp.views.theme import BLUE, ORANGE, VERMILION, new_figure


def plot_copying_and_loss(accuracy: CopyingAccuracy, loss: PositionLoss, *, tokens_per_step: int) -> Figure:
    """Accuracy (left axis, %) and validation loss (right axis, nats) against updates, and tokens above."""
    with new_figure(6.4, 3.4) as (figure, axis):
        steps = accuracy.array["checkpoint"]
        axis.plot(steps, 100 * accuracy.per_token(), color=ORANGE, label="suffix tokens copied")
        axis.plot(steps, 100 * accuracy.exact(), color=VERMILION, label="whole suffixes copied", lw=2)
        axis.set(xlabel="training step (updates)", ylabel="copying accuracy (%)", ylim=(0, 100))
        right = axis.twinx()
        right.plot(loss.array["checkpoint"], loss.mean(), color=BLUE, label="validation loss")
        right.set(ylabel="validation loss (nats)", ylim=(0, None))
        right.grid(False)
        right.spines["right"].set_visible(True)
        above = axis.secondary_xaxis("top", functions=(lambda s: s * tokens_per_step, lambda t: t / tokens_per_step))
        above.set_xlabel("training tokens")
        above.xaxis.set_major_formatter(EngFormatter())
        figure.legend(loc="outside lower center", ncols=3)
    return figure
