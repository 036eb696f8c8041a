"""Path patching: which edges between heads does copying need, at every checkpoint?

Edges are cut as in `edge_paths`, a group of them at a time. Accuracies (0 to 1) and the loss (nats) are those of
`head_ablation`, on the same samples and windows. Intervals are 95% over samples and windows, effects paired with the
intact model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from grok_interp.analysis.ablation_samples import (
    MEASURES,
    BesideIntact,
    arrays_by_sample,
    bounds,
    cis_over_samples,
    effect_bounds,
    in_words,
    means,
    measured_by_sample,
    value_bounds,
)
from grok_interp.analysis.checkpoints_of import Checkpoints, checkpoints_of
from grok_interp.analysis.edge_paths import Edge, edge_ablated
from grok_interp.arguments import checked
from grok_interp.counted import counted
from grok_interp.data.copying import CopySamples
from grok_interp.data.token_rows import Tokens, token_rows


class EdgeAblation(BesideIntact):
    """Copying accuracy (0 to 1) and loss (nats) without each group of edges; `exact_match_intact`: with all of them.

    `exact_match_low` and `exact_match_high` are the ends of the 95% interval, `exact_match_effect_low` and
    `exact_match_effect_high` those of the difference to intact; the same for `per_token` and `loss`.
    """

    name = "edge_ablation"
    dims = ("checkpoint", "group")
    measures: ClassVar = {
        **MEASURES,
        **bounds("", dims),
        **bounds("_effect", dims),
        **{f"{name}_intact": replace(each, dims=("checkpoint",)) for name, each in MEASURES.items()},
    }

    def in_words(self, measure: str, group: str) -> str:
        """Of the last checkpoint: 96.6% [95.8, 97.3]

        Args:
            measure: exact_match, per_token (fractions) or loss (nats).
            group: the name of a group of edges, or "intact".
        """
        ends = (self[name][-1].sel(group=group) for name in (measure, f"{measure}_low", f"{measure}_high"))
        return in_words(measure, *map(float, ends))

    def __str__(self) -> str:
        groups = self.dataset["group"].values.tolist()
        most = groups[int(self["per_token"][-1].argmin("group"))]
        return (
            f"{counted(len(groups), 'group')} of edges ablated at "
            f"{counted(self.dataset.sizes['checkpoint'], 'checkpoint')}; "
            f"per-token accuracy at the last: {float(self['per_token_intact'][-1]):.1%} intact, lowest without {most}, "
            f"{self.in_words('per_token', most)}{cis_over_samples(self.dataset.attrs)}{self.warning()}"
        )


@checked
def edge_ablation(
    checkpoints: Checkpoints,
    samples: CopySamples,
    windows: Tokens,
    *,
    groups: Mapping[str, Sequence[Edge]],
    reference: Tokens,
    batch_size: int = 64,
) -> EdgeAblation:
    """Every (step, model) without each group of edges in turn.

    Args:
        checkpoints: one model, (step, model) pairs, or a series of checkpoints.
        samples: strings of the copying test, from `CopyTask.sample()`.
        windows: held-out text, rows of tokens.
        groups: name -> edges that are cut together, one or more.
        reference: rows of tokens over which the mean of a sender is taken.
        batch_size: samples per forward pass; changes memory, not the result.

    Raises:
        ValueError: for no group, for edges that `edge_ablated` refuses, and as `checkpoints_of` does.

    Example:
        >>> from grok_interp import CopyTask, Transformer, preset
        >>> model, samples = Transformer(preset("copier-tiny"), seed=0), CopyTask.fitting(64, n_samples=3).sample()
        >>> groups = {"one edge": [Edge((0, 1), (1, 0))]}
        >>> found = edge_ablation(model, samples, samples.context, groups=groups, reference=samples.context)
        >>> dict(found["per_token"].sizes)
        {'checkpoint': 1, 'group': 1}
    """
    if not isinstance(groups, Mapping) or not groups:
        raise ValueError(f"edge_ablation needs one group of edges or more (groups, name -> edges), got {groups!r}")
    text = token_rows(windows, "windows")
    steps, rows = [], []
    for step, model in checkpoints_of(checkpoints):
        models = [model, *(edge_ablated(model, edges, reference=reference) for edges in groups.values())]
        rows.extend(measured_by_sample(each, samples, text, batch_size=batch_size) for each in models)
        steps.append(step)
    by_sample = arrays_by_sample(rows, (len(steps), 1 + len(groups)))
    without, intact = [each[:, 1:] for each in by_sample], [each[:, 0] for each in by_sample]
    arrays = means(without) | value_bounds(without, len(samples.task.queries))
    arrays |= effect_bounds(without, [each[:, None] for each in intact], len(samples.task.queries)) | means(
        intact, suffix="_intact"
    )
    attrs = {"edges": {name: " ".join(map(str, edges)) for name, edges in groups.items()}}
    attrs |= {"n_samples": len(samples.strings), "n_windows": len(text)}
    return EdgeAblation.of_arrays(arrays, {"checkpoint": steps, "group": list(groups)}, attrs)
