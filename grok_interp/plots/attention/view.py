"""`AttentionView`: attention to look at, in a notebook, a report or a file of its own."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from grok_interp.analysis.ablated_model import Head, named
from grok_interp.files import write_text
from grok_interp.plots.attention.assets import notebook_html, render
from grok_interp.plots.attention.patterns_by_step import (
    Attentions,
    Names,
    Step,
    Tokens,
    patterns_by_step,
    token_strings,
)
from grok_interp.plots.attention.quantized import LEVELS, Fault, QuantizedPatterns, quantized
from grok_interp.plots.attention.static_image import static_png
from grok_interp.plots.attention.visible_tokens import visible_tokens
from grok_interp.plots.theme import BLUE, VERMILION

MOST_NAMED = 6  # heads with faults that are told one by one
Scores = xr.DataArray | Float[np.ndarray, "layer head"]


@dataclass(frozen=True, eq=False, repr=False)
class AttentionView:
    """Every head as a thumbnail, one drawn large by circuitsvis, with a slider where there are several steps.

    As the last line of a notebook's cell it shows itself. `heads` stand in the order of their scores. What is drawn is
    within 1/510 of the weights; rows that are no distribution are drawn in vermilion and told in words.

    Example:
        >>> import torch
    >>> from grok_interp import Transformer, attention_view, preset
        >>> model, tokens = Transformer(preset("copier-tiny"), seed=0), torch.tensor([1, 2, 3, 1])
        >>> view = attention_view(model, tokens, names=lambda numbers: [str(n) for n in numbers])
        >>> "<script" in view.page()
        True
    """

    tokens: Sequence[str]
    heads: Sequence[Head]
    steps: Sequence[Step]
    patterns: QuantizedPatterns  # step head query key
    scores: Sequence[float] | None
    score_name: str

    def html(self) -> str:
        """A fragment of a page that holds `attention_assets()` once before it."""
        return render("view.html.jinja", view=self, data=self._data(), faults=self.faults())

    def page(self) -> str:
        """A page of its own that opens offline."""
        return render("page.html.jinja", title=str(self), view=self.html())

    def write(self, path: Path | str) -> Path:
        write_text(Path(path), self.page())
        return Path(path)

    def png(self) -> bytes:
        """The first head at the last step, as a PNG: what is shown where no script may run."""
        return static_png(self.patterns.levels[-1, 0] / LEVELS, self.patterns.faults[-1, 0], self.tokens, self.title())

    def title(self) -> str:
        step = self.steps[-1]
        return named([self.heads[0]]) + (f", step {step:,}" if step is not None else "")

    def faults(self) -> list[str]:
        """For each head with rows that are no distribution, how many at all steps."""
        told = []
        for head, rows in zip(self.heads, self.patterns.faults.swapaxes(0, 1), strict=True):
            not_numbers, not_one = (int((rows == fault).sum()) for fault in (Fault.NOT_A_NUMBER, Fault.NOT_ONE))
            counts = [f"{not_numbers} hold values that are no numbers"] * bool(not_numbers)
            counts += [f"{not_one} hold no weights that sum to 1"] * bool(not_one)
            if counts:
                told.append(f"{named([head])}: of {rows.size:,} queries {' and '.join(counts)}")
        return told[:MOST_NAMED] + [f"and {len(told) - MOST_NAMED} more heads"] * (len(told) > MOST_NAMED)

    def _repr_html_(self) -> str:
        return notebook_html(self.page(), self.png(), f"Attention of {self.title()}")

    def _repr_png_(self) -> bytes:
        return self.png()

    def __repr__(self) -> str:  # notebooks keep it as the output's text
        return str(self)

    def __str__(self) -> str:
        steps = f" at {len(self.steps)} checkpoints" if len(self.steps) > 1 else ""
        return f"attention of {len(self.heads)} heads over {len(self.tokens)} tokens{steps}"

    def _data(self) -> Mapping[str, Any]:
        """What the scripts read; see patterns.js."""
        return {
            "tokens": list(self.tokens),
            "heads": [named([head]) for head in self.heads],
            "scores": ["-" if np.isnan(score) else f"{round(score, 2) + 0:.2f}" for score in self.scores or ()],
            "steps": list(self.steps),
            "causal": self.patterns.causal,
            "cells": _base64(self.patterns.cells()),
            "faults": _base64(self.patterns.faults) if self.patterns.faults.any() else "",
            "color": BLUE,
            "faultColor": VERMILION,
        }


def attention_view(
    attention: Attentions,
    tokens: Tokens,
    *,
    names: Names | None = None,
    heads: Sequence[Head] | None = None,
    steps: Sequence[int] | None = None,
    scores: Scores | None = None,
    score_name: str = "score",
) -> AttentionView:
    """A view of attention maps, of a hooked model, or of (step, maps or model) pairs such as a `Run`.

    Args:
        attention: maps, a hooked model, or an iterable of (step, maps or model).
        tokens: strings; for a model its token indices, of one sequence.
        names: turns token indices into strings: `vocabulary.show`, a tokenizer's `convert_ids_to_tokens`.
        heads: (layer, head) of those that are shown; all by default.
        steps: those that are shown; all by default.
        scores: layer x head; heads of the largest scores come first, those without one last.
        score_name: of the scores, for the reader.

    Returns:
        A view, which a notebook shows; `write` makes a page of it.

    Raises:
        ValueError: for another number of tokens, heads or steps that are not there, maps of different models, and for
            more than a browser draws: 256 tokens, 256 heads, 8 MB.

    Example:
        >>> import torch
        >>> from grok_interp import Transformer, preset
        >>> model, tokens = Transformer(preset("copier-tiny"), seed=0), torch.tensor([1, 2, 3, 1])
        >>> view = attention_view(model, tokens, names=lambda numbers: [str(n) for n in numbers])
        >>> len(view.heads), view.steps
        (4, [None])
    """
    if heads is not None and (not heads or len(set(heads)) < len(heads)):
        raise ValueError(f"heads= needs one (layer, head) or more, each once, got {list(heads)}")
    strings, found = token_strings(tokens, names), []
    for step, chosen, patterns in patterns_by_step(attention, tokens, heads=heads, steps=steps):
        found.append((step, chosen, quantized(patterns)))
    found.sort(key=lambda each: each[0] or 0)
    order, sorted_scores = _order(found[0][1], scores)
    return AttentionView(
        visible_tokens(strings),
        [found[0][1][place] for place in order],
        [step for step, _, _ in found],
        QuantizedPatterns(
            np.stack([each.levels[order] for _, _, each in found]),
            np.stack([each.faults[order] for _, _, each in found]),
        ),
        sorted_scores,
        score_name,
    )


def _order(heads: Sequence[Head], scores: Scores | None) -> tuple[list[int], list[float] | None]:
    """Places of the heads by falling score, and the scores in that order."""
    if scores is None:
        return list(range(len(heads))), None
    table = np.asarray(scores.transpose("layer", "head") if isinstance(scores, xr.DataArray) else scores, dtype=float)
    try:
        values = [float(table[layer, head]) for layer, head in heads]
    except (IndexError, TypeError) as error:
        raise ValueError(f"scores are layer x head and need every head drawn, got the shape {table.shape}") from error
    order = sorted(range(len(heads)), key=lambda place: (np.isnan(values[place]), -values[place]))
    return order, [values[place] for place in order]


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
