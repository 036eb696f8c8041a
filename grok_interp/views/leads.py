"""Leading indicators drawn: by how many updates each score moves before the onset, a dot for each seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from grok_interp.analysis.leading_indicators import LeadingIndicators
from grok_interp.views.theme import BLACK, BLUE, new_figure

BELOW = 0.2  # of a row, where the seeds are
TITLES = {"strongest": "strongest head at the end", "median": "median over heads"}
X = "lead over the onset (updates)\nabove 0: the score moves first"


def plot_leads(result: LeadingIndicators) -> Figure:
    """A panel for the strongest head and one for the median over heads; right of 0 the score moves first.

    Dots are seeds, bars the mean and its 95% interval over seeds. Under each score: how many seeds have a lead.
    """
    table, n_seeds = result.summary(), result.array.sizes["seed"]
    scores = result.array["score"].values.tolist()
    with new_figure(7.2, 1.4 + 0.55 * len(scores), ncols=len(TITLES), squeeze=False) as (figure, axes):
        for axis, (followed, title) in zip(axes.flat, TITLES.items(), strict=True):
            rows = table[table["followed"] == followed]
            for place, row in enumerate(rows.to_dict("records")):
                leads = result.array.sel(score=row["score"], followed=followed).dropna("seed").to_numpy()
                _draw(axis, place, row, leads)
            names = [
                f"{row['score'].replace('_', ' ')}\n{row['seeds']} of {n_seeds} seeds"
                for row in rows.to_dict("records")
            ]
            axis.set_yticks(range(len(scores)), names)
            axis.set(title=title, xlabel=X, ylim=(len(scores) - 0.5, -0.5))
            axis.axvline(0, color="0.5", lw=0.8)
    return figure


def _draw(axis: Any, place: int, row: Mapping[Any, Any], leads: Any) -> None:
    axis.plot(leads, [place + BELOW] * len(leads), "o", color=BLUE, alpha=0.5, ms=4, mew=0)
    if row["seeds"] > 1:
        axis.plot([row["low"], row["high"]], [place, place], color=BLACK, lw=1.2)
    axis.plot(row["lead"], place, "|", color=BLACK, ms=9, mew=1.6)
