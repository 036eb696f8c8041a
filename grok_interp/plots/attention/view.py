"""`AttentionView`: attention to look at, in a notebook, a report or a file of its own."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from grok_interp.arguments import checked
from grok_interp.files import write_atomically, write_text
from grok_interp.plots.attention.assets import notebook_html, render
from grok_interp.plots.attention.patterns_by_step import Attentions, Step, patterns_by_step
from grok_interp.plots.attention.quantized import LEVELS, Fault, QuantizedPatterns, quantized
from grok_interp.plots.attention.static_image import static_png
from grok_interp.plots.attention.view_heads import HeadName, ViewHead, grid_of, head_name, parsed_heads
from grok_interp.plots.attention.view_size import MOST_OF_CIRCUITSVIS
from grok_interp.plots.attention.view_tokens import Names, Tokens, view_tokens
from grok_interp.plots.attention.visible_tokens import visible_tokens
from grok_interp.plots.theme import BLUE, VERMILION

MOST_NAMED = 6  # heads with faults that are told one by one
Scores = xr.DataArray | Float[np.ndarray, "layer head"]


@dataclass(frozen=True, eq=False, repr=False)
class AttentionView:
    """Every head as a thumbnail, one drawn large, with a slider where there are several steps.

    As the last line of a notebook's cell it shows itself. `heads` are in the order of their scores. Up to 256 tokens
    circuitsvis draws the large one; of more tokens it is drawn whole at a smaller scale, which is stated, above a
    window in which each weight is a cell. What is drawn is within 1/510 of the weights; rows that do not sum to 1 are
    vermilion and described in words. Colors follow the reader's light or dark scheme; exported files are on white.

    Args:
        tokens: as they are shown, one for each position.
        heads: (layer, head) each, one or more; None where it is not known.
        steps: of the checkpoints; None for a single model.
        patterns: their weights, step x head x query x key, in 255 levels.
        scores: one for each head; None for heads without scores.
        score_name: what the scores are, with the unit where there is one.

    Example:
        >>> import torch
        >>> from grok_interp import Transformer, attention_view, preset
        >>> model, tokens = Transformer(preset("copier-tiny"), seed=0), torch.tensor([1, 2, 3, 1])
        >>> view = attention_view(model, tokens, names=lambda numbers: [str(n) for n in numbers])
        >>> "<script" in view.page()
        True
    """

    tokens: Sequence[str]
    heads: Sequence[ViewHead]
    steps: Sequence[Step]
    patterns: QuantizedPatterns  # step head query key
    scores: Sequence[float] | None
    score_name: str

    def html(self) -> str:
        """A fragment of a page that holds `attention_assets()` once before it."""
        return render("view.html.jinja", view=self, data=self._data(), faults=self.faults())

    def page(self) -> str:
        """A page of its own that opens offline."""
        circuitsvis = len(self.tokens) <= MOST_OF_CIRCUITSVIS
        return render("page.html.jinja", title=str(self), view=self.html(), circuitsvis=circuitsvis)

    def write(self, path: Path | str) -> Path:
        """The page as a file; the picture of `png` for a name that ends in .png.

        Args:
            path: of the file, which is replaced.
        """
        path = Path(path)
        if path.suffix.lower() == ".png":
            write_atomically(path, lambda scratch: scratch.write_bytes(self.png()))
        else:
            write_text(path, self.page())
        return path

    def png(self) -> bytes:
        """The first head at the last step with a color bar, as a PNG: also what is shown where no script may run."""
        return static_png(self.patterns.levels[-1, 0] / LEVELS, self.patterns.faults[-1, 0], self.tokens, self.title())

    def title(self) -> str:
        """Names the head and the step that `png` shows."""
        step = self.steps[-1]
        return head_name(self.heads[0]) + (f", step {step:,}" if step is not None else "")

    def faults(self) -> list[str]:
        """For each head with rows that do not sum to 1, how many at all steps."""
        told = []
        for head, rows in zip(self.heads, self.patterns.faults.swapaxes(0, 1), strict=True):
            not_numbers, not_one = (int((rows == fault).sum()) for fault in (Fault.NOT_A_NUMBER, Fault.NOT_ONE))
            counts = [f"{not_numbers} hold values that are no numbers"] * bool(not_numbers)
            counts += [f"{not_one} hold no weights that sum to 1"] * bool(not_one)
            if counts:
                told.append(f"{head_name(head)}: of {rows.size:,} queries {' and '.join(counts)}")
        return told[:MOST_NAMED] + [f"and {len(told) - MOST_NAMED} more heads"] * (len(told) > MOST_NAMED)

    def _repr_html_(self) -> str:
        return notebook_html(self.page(), self.png(), f"Attention of {self.title()}")

    def _repr_png_(self) -> bytes:
        return self.png()

    def __repr__(self) -> str:  # notebooks keep it as the output's text
        return str(self)

    def __str__(self) -> str:
        steps = f" at {len(self.steps)} checkpoints" if len(self.steps) > 1 else ""
        heads = f"{len(self.heads)} heads" if len(self.heads) > 1 else head_name(self.heads[0])
        return f"attention of {heads} over {len(self.tokens)} tokens{steps}"

    def _data(self) -> Mapping[str, Any]:
        """What the scripts read; see patterns.js."""
        return {
            "tokens": list(self.tokens),
            "heads": [head_name(head) for head in self.heads],
            "scores": ["-" if np.isnan(score) else f"{round(score, 2) + 0:.2f}" for score in self.scores or ()],
            "steps": list(self.steps),
            "causal": self.patterns.causal,
            "cells": _compressed(self.patterns.cells()),
            "faults": _compressed(self.patterns.faults) if self.patterns.faults.any() else "",
            "color": BLUE,
            "faultColor": VERMILION,
            "columns": 0 if self.scores else grid_of(self.heads)[1],
            "most": MOST_OF_CIRCUITSVIS,
        }


@checked
def attention_view(
    attention: Attentions,
    tokens: Tokens = None,
    *,
    names: Names | None = None,
    tokenizer: Any = None,
    heads: Sequence[HeadName] | None = None,
    layer: int | None = None,
    steps: Sequence[int] | None = None,
    scores: Scores | None = None,
    score_name: str = "score",
) -> AttentionView:
    """A view of attention patterns, of a hooked model on tokens, or of either at several checkpoints.

    Args:
        attention: one of
            an array (torch, NumPy, xarray) of attention weights, head x query x key, with or without a batch axis of 1
            in front, such as `cache["pattern", 0]`; or query x key of one head;
            a tuple of such arrays, one per layer, such as `outputs.attentions` of a Hugging Face model, or the outputs;
            a cache of `run_with_cache`; `AttentionMaps` or `HeadPatterns`;
            a hooked model, which is run on `tokens`;
            a `Run`, a mapping from step to any of these, or an iterable of (step, any of these).
        tokens: of one sequence: strings, or token ids (a tensor, an array or a list; 1 x pos too), or one text that the
            tokenizer splits. Positions if None, where no model is run.
        names: for ids, a string each or a function from ids to strings, such as `vocabulary.show`.
        tokenizer: of `transformers` or `tokenizers`; decodes ids to text. That of the model by default.
        heads: those that are shown, such as "L1H3" or (1, 3); all by default.
        layer: that an array without a layer axis is of, for the names of its heads: H3 without it, L1H3 with layer=1.
        steps: those that are shown; all by default.
        scores: layer x head; heads of the largest scores come first, those without one last.
        score_name: of the scores, for the reader.

    Returns:
        A view, which a notebook shows; `write` makes a page or a PNG of it.

    Raises:
        ValueError: for attention of other shapes or of several sequences, another number of tokens, heads or steps that
            are not there, maps of different models, and for more than a browser draws: 4,096 tokens, 256 heads, 12 MB.

    Example:
        >>> import torch
        >>> from grok_interp import Transformer, preset
        >>> model, tokens = Transformer(preset("copier-tiny"), seed=0), torch.tensor([1, 2, 3, 1])
        >>> view = attention_view(model, tokens, names=lambda numbers: [str(n) for n in numbers])
        >>> len(view.heads), view.steps
        (4, [None])
        >>> pattern = torch.ones(2, 4, 4).tril() / torch.arange(1, 5)[:, None]
        >>> print(attention_view(pattern, ["the", " cat", " the", " cat"], layer=3, heads=["L3H1"]))
        attention of L3H1 over 4 tokens
    """
    chosen = parsed_heads(heads)
    read = view_tokens(tokens, names=names, tokenizer=tokenizer, model=attention)
    found = []
    for step, available, patterns in patterns_by_step(attention, read, heads=chosen, steps=steps, layer=layer):
        found.append((step, available, quantized(patterns)))
    found.sort(key=lambda each: each[0] or 0)
    order, sorted_scores = _order(found[0][1], scores)
    n_tokens = found[0][2].levels.shape[-1]
    return AttentionView(
        visible_tokens(map(str, range(n_tokens)) if read.strings is None else read.strings),
        [found[0][1][place] for place in order],
        [step for step, _, _ in found],
        QuantizedPatterns(
            np.stack([each.levels[order] for _, _, each in found]),
            np.stack([each.faults[order] for _, _, each in found]),
        ),
        sorted_scores,
        score_name,
    )


def _order(heads: Sequence[ViewHead], scores: Scores | None) -> tuple[list[int], list[float] | None]:
    """Places of the heads by falling score, and the scores in that order."""
    if scores is None:
        return list(range(len(heads))), None
    if any(None in head for head in heads):
        raise ValueError("scores are layer x head, the array does not say its layer: give layer=")
    table = np.asarray(scores.transpose("layer", "head") if isinstance(scores, xr.DataArray) else scores, dtype=float)
    try:
        values = [float(table[head]) for head in heads]
    except (IndexError, TypeError) as error:
        raise ValueError(f"scores are layer x head and need every head drawn, got the shape {table.shape}") from error
    order = sorted(range(len(heads)), key=lambda place: (np.isnan(values[place]), -values[place]))
    return order, [values[place] for place in order]


def _compressed(values: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(values).tobytes())).decode()
