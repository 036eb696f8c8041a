"""The embeddings of the numbers, even and odd logarithms apart (B.5 of "Learning to grok")."""

from __future__ import annotations

from itertools import combinations

import xarray as xr

from grok_interp.analysis.embedding import EmbeddingPCA
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import Points
from grok_interp.plots.pictures.circles import component, require_two_components
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import BLACK, BLUE, ORANGE


@picture(EmbeddingPCA)
def embedding(embedding: EmbeddingPCA) -> Drawing:
    """Every two of the first three components over training; a point has its number.

    Args:
        embedding: with two components or more.

    Raises:
        ValueError: for fewer than two components.

    Example:
        >>> from grok_interp import Transformer, embedding_pca, preset
        >>> model = Transformer(preset("modular-tiny"), seed=0)
        >>> embedding(embedding_pca(model, p=5))
        Drawing of 3 panels: component 1 ...
    """
    require_two_components(embedding.dataset)
    pairs = list(combinations(range(min(embedding.dataset.sizes["component"], 3)), 2))
    panels = [
        Panel(
            component(embedding.dataset, across),
            component(embedding.dataset, up),
            frames={
                int(step): _points(embedding.at(int(step))["projection"], across, up)
                for step in embedding.dataset["checkpoint"].values
            },
            square=True,
        )
        for across, up in pairs
    ]
    title = f"embeddings of the numbers; logarithms to base {embedding.dataset.attrs['root']}"
    return Drawing(panels, columns=len(pairs), title=title)


def _points(points: xr.DataArray, across: int, up: int) -> list[Points]:
    numbers, logs = points["number"].to_numpy(), points["log"].to_numpy()
    kinds = {
        "even log": ((numbers > 0) & (logs % 2 == 0), BLUE),
        "odd log": ((numbers > 0) & (logs % 2 == 1), ORANGE),
        "zero": (numbers == 0, BLACK),
    }
    marks = []
    for label, (chosen, color) in kinds.items():
        right, above = (points.isel(component=each).to_numpy()[chosen] for each in (across, up))
        texts = [str(number) for number in numbers[chosen]]
        marks.append(Points(right, above, label, color, texts, texts=texts, noun="numbers"))
    return marks
