"""The circuit drawn: edges end short of the names at their ends."""

import numpy as np
import pytest

from grok_interp.analysis.edge_paths import Edge
from grok_interp.plots import on_paper
from grok_interp.plots.pictures.circuit import circuit


@pytest.mark.parametrize("n_layers", [2, 3, 6])
def test_on_paper_no_edge_crosses_a_name_of_its_ends(n_layers: int) -> None:
    edges = [Edge((0, 3), (1, 3)), Edge((0, 3), (1, 2)), Edge((0, 0), (n_layers - 1, 3))]
    figure = on_paper(circuit(edges, n_layers=n_layers, n_heads=4))
    figure.canvas.draw()
    (axis,) = figure.axes
    boxes = {text.get_text(): text.get_window_extent() for text in axis.texts}
    assert len(axis.lines) == len(edges)
    for edge, line in zip(edges, axis.lines, strict=True):
        places = axis.transData.transform(np.asarray(line.get_xydata()))
        for (layer, head), place in zip((edge.sender, edge.receiver), places, strict=True):
            assert not boxes[f"L{layer}H{head}"].contains(*place)
