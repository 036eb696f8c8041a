"""Pictures of circles, embeddings, similarities and neurons: what is drawn is what the result holds."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import Tab, needs_a_browser
from fourier_truth import N_EXAMPLES, fourier_model
from ground_truth import MODULAR, random_model
from matplotlib.figure import Figure
from torch import Tensor

from grok_interp.analysis.circles import circle_pca
from grok_interp.analysis.embedding import embedding_pca
from grok_interp.analysis.grid import grid_comparisons
from grok_interp.analysis.mlp import mlp_activations
from grok_interp.analysis.similarity import cosine_similarity
from grok_interp.data.slot import slot_sequences
from grok_interp.plots import Axis, Cells, ColorScale, Drawing, Panel, on_paper, on_screen
from grok_interp.plots.page import Page, Section
from grok_interp.plots.pictures import similarity as similarity_picture
from grok_interp.plots.pictures.circles import circles as circles_picture
from grok_interp.plots.pictures.embedding import embedding as embedding_picture
from grok_interp.plots.pictures.grids import grids as grids_picture
from grok_interp.plots.pictures.neuron_maps import neuron_maps

WHERE: dict[str, Any] = dict(p=5, slot=1)


def tokens_of(p: int) -> Tensor:
    return slot_sequences((2, 1), p, slot=1, n_examples=N_EXAMPLES, seed=0)


def rendered(figure: Figure) -> str:
    """As SVG, where text stays text."""
    page = io.StringIO()
    figure.savefig(page, format="svg")
    return page.getvalue()


def drawn(drawing: Drawing, folder: Path, tab: Tab) -> list[dict[str, Any]]:
    """The first trace of each graph, as a browser has it."""
    page = Page("", "", [], [Section("Drawn", "", drawing)], {}).write(folder / "page.html")
    tab.open(page.as_uri())
    wanted = "['x', 'y', 'hovertemplate'].reduce((o, k) => ({ ...o, [k]: t[k] }), { z: t.z.map(r => [...r]) })"
    return tab.ask(f"[...document.querySelectorAll('.graph')].map(({{ data: [t] }}) => {wanted})")


def matrix(values: np.ndarray) -> Drawing:
    rows, columns = (list(range(size)) for size in values.shape)
    return Drawing([Panel(Axis("x"), Axis("y"), [Cells(values, columns, rows, ColorScale("", (-1, 1)))])])


@pytest.mark.parametrize("p", [5, 13])
def test_every_pair_is_a_point_of_both_panels(p: int) -> None:
    model = fourier_model(p, frequency=1)
    circles = circle_pca([(7, model)], p, tokens_of(p), slot=1, layer=0, head=0)
    figure = on_paper(circles_picture(circles))
    assert "L0H0 at x and y of slot 1, task (2, 1); logarithms to base 2, step 7" in rendered(figure)
    for axis, variable in zip(figure.axes[:2], ("x", "y"), strict=True):
        places = np.concatenate([dots.get_offsets() for dots in axis.collections])
        expected = circles["projection"][0].to_numpy().reshape(-1, 2)
        np.testing.assert_allclose(np.sort(places, axis=0), np.sort(expected, axis=0))
        colors = {tuple(color) for dots in axis.collections for color in dots.get_facecolors()}
        assert len(colors) == p, "one for each logarithm, one for zero"
        assert len(axis.texts) == (p * p if p == 5 else 0)
        for text in axis.texts:
            row = np.flatnonzero((expected == text.get_position()).all(axis=1))
            numbers = row // p if variable == "x" else row % p
            assert int(text.get_text()) in numbers


def test_numbers_stand_at_their_embedding_by_parity() -> None:
    series = [(step, fourier_model(7, frequency=1, parity=parity)) for step, parity in ((0, 0.0), (9, 2.0))]
    embedding = embedding_pca(series, p=7)
    figure = on_paper(embedding_picture(embedding), step=0)
    assert "embeddings of the numbers; logarithms to base 3, step 0" in rendered(figure)
    assert len(figure.axes) == 3
    even, odd, zero = figure.axes[1].collections  # component 0 against component 2
    points = embedding.at(0)["projection"].isel(component=[0, 2]).to_numpy()
    for drawn, numbers in ((even, [1, 2, 4]), (odd, [3, 5, 6]), (zero, [0])):  # the squares modulo 7 are even
        np.testing.assert_allclose(drawn.get_offsets(), points[numbers])


def test_the_matrix_is_drawn_as_it_is() -> None:
    series = [(step, random_model(MODULAR, seed=step)) for step in (3, 4)]
    similarity = cosine_similarity(series, tokens=tokens_of(5), **WHERE, position="z", layer=1)
    figure = on_paper(similarity_picture.similarity(similarity, step=3))
    assert "block 1 at z of slot 1, task (2, 1), step 3" in rendered(figure)
    (image,) = figure.axes[0].images
    np.testing.assert_array_equal(image.get_array(), similarity["similarity"][0])
    assert image.get_clim() == (-1, 1)
    assert figure.axes[0].get_xticks().tolist() == [0, 5, 10, 15, 20]
    with pytest.raises(ValueError, match=r"no step 5 in this result, analyzed steps: \[3, 4\]"):
        similarity_picture.similarity(similarity, step=5)


@needs_a_browser
@pytest.mark.parametrize("p", [5, 13])
def test_the_matrix_on_a_screen_is_the_matrix_and_names_every_pair(p: int, tmp_path: Path, tab: Tab) -> None:
    model = fourier_model(p, frequency=1)
    where: dict[str, Any] = {"p": p, "slot": 1, "position": "z", "layer": 0}
    similarity = cosine_similarity([(3, model)], tokens=tokens_of(p), **where)
    (trace,) = drawn(similarity_picture.similarity(similarity), tmp_path, tab)
    np.testing.assert_allclose(np.array(trace["z"]), similarity["similarity"][0], atol=0.00051)
    names = [f"({x}, {y})" for x in range(p) for y in range(p)]
    assert trace["x"] == trace["y"] == names
    assert trace["hovertemplate"].startswith("x' %{x}, x %{y}<br>cosine similarity: %{z")


def test_of_many_numbers_the_matrix_holds_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity_picture, "MOST_NUMBERS", 3)
    similarity = cosine_similarity([(3, random_model(MODULAR))], tokens=tokens_of(5), **WHERE, position="z", layer=1)
    (graph,) = on_screen(similarity_picture.similarity(similarity)).graphs
    assert graph.traces[0]["x"][:4] == ["(0, 0)", "(0, 2)", "(0, 4)", "(2, 0)"]
    kept = [5 * x + y for x in (0, 2, 4) for y in (0, 2, 4)]
    np.testing.assert_allclose(graph.traces[0]["z"], similarity["similarity"][0].values[np.ix_(kept, kept)], atol=1e-4)
    assert graph.layout["title"]["text"].endswith("one in 2 of x and y")


def test_the_largest_matrix_leaves_a_page_below_its_limit() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, (31**2, 31**2))
    (graph,) = on_screen(matrix(noise)).graphs
    assert len(graph.script()) < 2_600_000


@needs_a_browser
def test_a_gap_of_a_large_heatmap_stays_a_gap(tmp_path: Path, tab: Tab) -> None:
    values = np.arange(101 * 103).reshape(101, 103) / 1000 - 5
    values[7, 11] = np.nan
    (trace,) = drawn(matrix(values), tmp_path, tab)
    assert trace["z"][7][11] is None
    np.testing.assert_allclose(np.array(trace["z"], float), values, atol=1e-9)


@pytest.mark.parametrize("p", [5, 13])
def test_every_pair_is_a_dot_on_the_screen_that_says_its_logarithms(p: int) -> None:
    circles = circle_pca([(7, fourier_model(p, frequency=1))], p, tokens_of(p), slot=1, layer=0, head=0)
    logs = {pow(circles.dataset.attrs["root"], log, p): log for log in range(p - 1)}
    for graph, variable in zip(on_screen(circles_picture(circles)).graphs, ("x", "y"), strict=True):
        assert len(graph.traces) == p, "one color for each logarithm, one for zero"
        found = {}
        for trace in graph.traces:
            found |= dict(zip(trace["hovertext"], zip(trace["x"], trace["y"], strict=True), strict=True))
            of_variable = {text.split("<br>")[variable == "y"] for text in trace["hovertext"]}
            assert len(of_variable) == 1 or trace is graph.traces[0]
        assert len(found) == p * p
        for text, place in found.items():
            x, y = (int(number) for number in re.findall(r"^[xy] = (\d+)", text.replace("<br>", "\n"), re.MULTILINE))
            np.testing.assert_allclose(place, circles["projection"][0].sel(x=x, y=y), rtol=1e-4)
            for name, number in (("x", x), ("y", y)):
                said = f"log {name} = {logs[number]}" if number else "no logarithm"
                assert f"{name} = {number}, {said}" in text


def test_a_grid_on_the_screen_is_the_grid() -> None:
    inputs = torch.tensor([[1, 1], [2, 1], [1, 3]])
    grids = grid_comparisons(random_model(MODULAR), 5, (2, 1), inputs, shots=[1, 3])
    screen = on_screen(grids_picture(grids))
    model_1, model_3, _, _, ratio_1, _, _, _, _, regression_3 = (graph.traces[0] for graph in screen.graphs)
    for grid, trace in zip(grids, (model_1, model_3), strict=True):
        np.testing.assert_array_equal(trace["z"], grid["right"].sel(who="model"))
        for (x, y), name in np.ndenumerate(np.array(trace["customdata"], dtype=object)):
            right = grid["right"].sel(x=x, y=y).to_series().map({0: "wrong", 1: "correct"})
            assert name.split("<br>") == [f"x = {x}, y = {y}", *(f"{who}: {said}" for who, said in right.items())]
    np.testing.assert_array_equal(ratio_1["z"], grids[0].model_minus("ratio matching"))
    np.testing.assert_array_equal(regression_3["z"], grids[1].model_minus("modular regression"))
    assert model_1["hovertemplate"].startswith("%{customdata}")
    assert screen.graphs[0].layout["title"]["text"] == f"model<br>k = 1: {grids[0].counts()['model']} correct"


def test_each_neuron_has_its_map_on_one_scale() -> None:
    activations = mlp_activations([(3, random_model(MODULAR))], tokens=tokens_of(5), **WHERE, position="y", layer=0)
    neurons = activations.most_varied(8)
    figure = on_paper(neuron_maps(activations, neurons))
    assert "MLP of block 0 at y of slot 1, task (2, 1), step 3" in rendered(figure)
    images = [axis.images[0] for axis in figure.axes if axis.images]
    assert len({image.get_clim() for image in images}) == 1 and len(images) == 8
    for image, neuron in zip(images, neurons, strict=True):
        np.testing.assert_array_equal(image.get_array(), activations["activation"][0, neuron])


def test_too_little_to_draw_is_refused() -> None:
    model, tokens = fourier_model(5, frequency=1), tokens_of(5)
    with pytest.raises(ValueError, match=r"no neuron to draw: name some"):
        neuron_maps(mlp_activations([(0, model)], tokens=tokens, **WHERE, position="x", layer=0), [])
    with pytest.raises(ValueError, match="a picture needs two components, the PCA kept 1"):
        circles_picture(circle_pca([(0, model)], tokens=tokens, **WHERE, layer=0, head=0, n_components=1))
    with pytest.raises(ValueError, match="a picture needs two components, the PCA kept 1"):
        embedding_picture(embedding_pca([(0, model)], p=5, n_components=1))
