"""A circuit of attention heads: which heads read from which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grok_interp.analysis.ablation_arguments import Head, named
from grok_interp.analysis.edge_paths import Edge
from grok_interp.plots.drawing import Drawing, KeyEntry, Panel
from grok_interp.plots.marks import Axis, Line, Points
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import BLUE, GRAY, GREEN, VERMILION

ROLES = {"previous-token head": BLUE, "induction head": GREEN, "other head": GRAY}
GAP = 0.2  # of an edge, at both of its ends
INPUTS = {"q": "queries", "k": "keys", "v": "values"}


@picture()
def circuit(edges: Sequence[Edge], *, n_layers: int, n_heads: int) -> Drawing:
    """Every head at its place, later layers above; a line for each edge, from a sender to a receiver.

    Args:
        edges: one or more, from previous-token heads to induction heads.
        n_layers: of the model.
        n_heads: of a layer.

    Raises:
        ValueError: for no edge.

    Example:
        >>> from grok_interp.analysis.edge_paths import Edge
        >>> circuit([Edge((0, 1), (1, 0))], n_layers=2, n_heads=2)
        Drawing of 1 panel: layer against head
    """
    if not edges:
        raise ValueError("a circuit needs one edge or more, got none")
    senders, receivers = ({getattr(edge, end) for edge in edges} for end in ("sender", "receiver"))
    heads: dict[str, list[Head]] = {role: [] for role in ROLES}
    for layer, head in np.ndindex(n_layers, n_heads):
        place = (layer, head)
        role = "induction head" if place in receivers else "previous-token head" if place in senders else "other head"
        heads[role].append(place)
    through = " and ".join(INPUTS[each] for each in sorted({edge.through for edge in edges}))
    reads = f"is read by the {through} of"
    marks: list[Line | Points] = [_edge(edge, reads) for edge in edges]
    marks += [_heads(each, role) for role, each in heads.items() if each]
    x, y = (
        Axis(name, limits=(-0.6, n - 0.4), whole=True, format=".0f", ticks={place: str(place) for place in range(n)})
        for name, n in (("head", n_heads), ("layer", n_layers))
    )
    key = [KeyEntry(role, color, kind="dot", switches=False) for role, color in ROLES.items() if heads[role]]
    return Drawing([Panel(x, y, marks)], key=[*key, KeyEntry(reads, VERMILION, switches=False)])


def _edge(edge: Edge, key: str) -> Line:
    """It ends short of the names at its ends."""
    (low, start), (high, end) = edge.sender, edge.receiver
    places = np.array([GAP, 1 - GAP])
    return Line(start + (end - start) * places, low + (high - low) * places, str(edge), VERMILION, key, width=1.8)


def _heads(heads: Sequence[Head], role: str) -> Points:
    names = [named([head]) for head in heads]
    x, y = [head for _, head in heads], [layer for layer, _ in heads]
    return Points(x, y, role, ROLES[role], names, texts=names, written="instead", noun="heads")
