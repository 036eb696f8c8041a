"""Attention maps for a report's attention view, stored with the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jaxtyping import Int64
from torch import Tensor

from grok_interp.analysis.ablation_arguments import Head, named
from grok_interp.analysis.attention import AttentionMaps, HeadPatterns, head_patterns
from grok_interp.results.analyzer import Analyzer, tokens_hash
from grok_interp.runs.run import Run


def stored_attention(
    run: Run, tokens: Int64[Tensor, " pos"], *, heads: Sequence[Head], steps: Sequence[int], device: str = "cpu"
) -> Iterator[tuple[int, AttentionMaps]]:
    """(step, maps) at these steps; the maps of other heads are NaN.

    Args:
        run: a run of any study.
        tokens: one sequence.
        heads: (layer, head).
        steps: of checkpoints.
        device: where models run, a torch device.
    """
    heads = sorted(heads)  # in whatever order they are drawn
    analyzer = Analyzer(
        HeadPatterns.name,
        HeadPatterns,
        {"tokens": tokens_hash(tokens), "heads": named(heads)},
        lambda step, model: head_patterns([(step, model)], tokens, heads=heads),
    )
    (found,) = run.evaluate([analyzer], steps=steps, device=device)
    return found.maps(n_layers=run.model.n_layers, n_heads=run.model.n_heads)
