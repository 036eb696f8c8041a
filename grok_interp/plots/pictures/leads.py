"""Leading indicators: by how many updates each score of the heads moves before the onset of an ability."""

from __future__ import annotations

from typing import Any

from grok_interp.analysis.leading_indicators import LeadingIndicators
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import Axis, Line, Mark, Points
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import BLACK, BLUE, GRAY

BELOW = 0.2  # of a row, where the seeds are
TITLES = {"strongest": "strongest head at the end", "median": "median over heads"}
LEAD = Axis("lead over the onset; above 0 the score moves first", "updates", format="+,.0f")


@picture(LeadingIndicators)
def leads(result: LeadingIndicators) -> Drawing:
    """A panel for the strongest head and one for the median over heads; right of 0 the score moves first.

    Dots are seeds, bars the mean and its 95% interval over seeds. n: seeds in which the score has an onset.

    Args:
        result: of one seed or more.

    Example:
        >>> from grok_interp.analysis.leading_indicators import LeadingIndicators
        >>> words = {name: [[["rises"]]] if name == "outcome" else [[["L1H0"]]] for name in ("outcome", "head")}
        >>> numbers = {"lead": [[[100.0]]], "onset": [[[520.0]]], "ability_onset": [620.0]}
        >>> coords = {"score": ["previous_token"], "followed": ["strongest"], "seed": [0]}
        >>> leads(LeadingIndicators.of_arrays({**numbers, **words}, coords))
        Drawing of 2 panels: score against lead over the onset; above 0 the score moves first (updates)
    """
    table, n_seeds = result.summary(), result.dataset.sizes["seed"]
    panels = []
    for followed, title in TITLES.items():
        rows = table[table["followed"] == followed].to_dict("records")
        names = [f"{_named(row['score'])}\nn = {row['seeds']} of {n_seeds}" for row in rows]
        y = Axis("score", limits=(-0.5, len(rows) - 0.5), ticks=dict(enumerate(names)), reversed=True)
        onset = Line([0, 0], [-0.5, len(rows) - 0.5], "onset of the ability", GRAY, width=0.8)
        marks = [mark for place, row in enumerate(rows) for mark in _marks(result, row, place)]
        panels.append(Panel(LEAD, y, [onset, *marks], title))
    return Drawing(panels, columns=2)


def _named(score: str) -> str:
    return score.replace("_", " ").replace("k composition", "K-composition")


def _marks(result: LeadingIndicators, row: dict[Any, Any], place: int) -> list[Mark]:
    """Seeds, and above them their mean with its interval where there are several."""
    cell = result["lead"].sel(score=row["score"], followed=row["followed"]).dropna("seed")
    seeds = [f"seed {seed}" for seed in cell["seed"].values.tolist()]
    marks: list[Mark] = [Points(cell.to_numpy(), [place + BELOW] * len(seeds), "seed", BLUE, seeds, size=3)]
    if row["seeds"] > 1:
        interval = f"95% CI {row['low']:+,.0f} to {row['high']:+,.0f}"
        marks.append(Line([row["low"], row["high"]], [place, place], interval, BLACK, "95% interval over seeds"))
    named = f"{_named(row['score'])}, mean over seeds"
    return [*marks, Points([row["lead"]], [place], named, BLACK, [named], "mean over seeds", size=5)]
