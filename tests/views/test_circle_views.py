"""Pictures of circles, embeddings, similarities and neurons: what is drawn is what the result holds."""

import io
from typing import Any

import numpy as np
import pytest
from fourier_truth import N_EXAMPLES, fourier_model
from ground_truth import MODULAR, random_model
from matplotlib.figure import Figure
from torch import Tensor

from grok_interp.analysis.circles import circle_pca
from grok_interp.analysis.embedding import embedding_pca
from grok_interp.analysis.mlp import mlp_activations
from grok_interp.analysis.similarity import cosine_similarity
from grok_interp.data.slot import slot_sequences
from grok_interp.views.circles import plot_circles, plot_embedding
from grok_interp.views.matrices import plot_mlp_activations, plot_similarity

WHERE: dict[str, Any] = dict(p=5, slot=1)


def tokens_of(p: int) -> Tensor:
    return slot_sequences((2, 1), p, slot=1, n_examples=N_EXAMPLES, seed=0)


def rendered(figure: Figure) -> str:
    """As SVG, where text stays text."""
    page = io.StringIO()
    figure.savefig(page, format="svg")
    return page.getvalue()


@pytest.mark.parametrize("p", [5, 13])
def test_every_pair_is_a_point_of_both_panels(p: int) -> None:
    model = fourier_model(p, frequency=1)
    circles = circle_pca([(7, model)], tokens_of(p), p=p, slot=1, layer=0, head=0)
    figure = plot_circles(circles)
    assert "L0H0 at x and y of slot 1, task (2, 1), step 7; logarithms to base 2" in rendered(figure)
    for axis, variable in zip(figure.axes[:2], ("x", "y"), strict=True):
        (dots,) = axis.collections
        np.testing.assert_allclose(dots.get_offsets(), circles.array[0].to_numpy().reshape(-1, 2))
        colours = {tuple(colour) for colour in dots.get_facecolors()}
        assert len(colours) == p, "one for each logarithm, one for zero"
        numbers = [text.get_text() for text in axis.texts]
        rows = np.arange(p * p) // p if variable == "x" else np.arange(p * p) % p
        assert numbers == ([str(row) for row in rows] if p == 5 else [])


def test_numbers_stand_at_their_embedding_by_parity() -> None:
    series = [(step, fourier_model(7, frequency=1, parity=parity)) for step, parity in ((0, 0.0), (9, 2.0))]
    embedding = embedding_pca(series, p=7)
    figure = plot_embedding(embedding, step=0)
    assert "embeddings at step 0" in rendered(figure)
    assert len(figure.axes) == 3
    even, odd, zero = figure.axes[1].collections  # component 0 against component 2
    points = embedding.at(0).isel(component=[0, 2]).to_numpy()
    for drawn, numbers in ((even, [1, 2, 4]), (odd, [3, 5, 6]), (zero, [0])):  # the squares modulo 7 are even
        np.testing.assert_allclose(drawn.get_offsets(), points[numbers])


def test_the_matrix_is_drawn_as_it_is() -> None:
    series = [(step, random_model(MODULAR, seed=step)) for step in (3, 4)]
    similarity = cosine_similarity(series, tokens_of(5), **WHERE, position="z", layer=1)
    figure = plot_similarity(similarity, step=3)
    assert "block 1 at z of slot 1, task (2, 1), step 3" in rendered(figure)
    (image,) = figure.axes[0].images
    np.testing.assert_array_equal(image.get_array(), similarity.array[0])
    assert image.get_clim() == (-1, 1)
    assert figure.axes[0].get_xticks().tolist() == [0, 5, 10, 15, 20]
    with pytest.raises(ValueError, match=r"no step 5 in this result, analyzed steps: \[3, 4\]"):
        plot_similarity(similarity, step=5)


def test_each_neuron_has_its_map_on_one_scale() -> None:
    activations = mlp_activations([(3, random_model(MODULAR))], tokens_of(5), **WHERE, position="y", layer=0)
    neurons = activations.most_varied(8)
    figure = plot_mlp_activations(activations, neurons)
    assert "MLP of block 0 at y of slot 1, task (2, 1), step 3" in rendered(figure)
    images = [axis.images[0] for axis in figure.axes if axis.images]
    assert len({image.get_clim() for image in images}) == 1 and len(images) == 8
    for image, neuron in zip(images, neurons, strict=True):
        np.testing.assert_array_equal(image.get_array(), activations.array[0, neuron])


def test_too_little_to_draw_is_refused() -> None:
    model, tokens = fourier_model(5, frequency=1), tokens_of(5)
    with pytest.raises(ValueError, match=r"no neuron to draw: name some"):
        plot_mlp_activations(mlp_activations([(0, model)], tokens, **WHERE, position="x", layer=0), [])
    with pytest.raises(ValueError, match="a picture needs two components, the PCA kept 1"):
        plot_circles(circle_pca([(0, model)], tokens, **WHERE, layer=0, head=0, n_components=1))
    with pytest.raises(ValueError, match="a picture needs two components, the PCA kept 1"):
        plot_embedding(embedding_pca([(0, model)], p=5, n_components=1))
