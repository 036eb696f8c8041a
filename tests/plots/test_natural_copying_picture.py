"""The picture of copying in natural text draws what the result holds."""

import numpy as np
import torch
from ground_truth import CIRCUIT, induction_circuit, random_tokens, repeated_distinct_tokens
from matplotlib.colors import to_hex

from grok_interp.analysis.natural_copying import NaturalCopying, natural_copying
from grok_interp.plots import on_paper
from grok_interp.plots.pictures.natural_copying import natural_copying as picture
from grok_interp.plots.theme import BLACK, BLUE, SKY, VERMILION

COLORS = {BLUE: "first", VERMILION: "repeat", BLACK: "benefit", SKY: "position"}
MODELS = [(step, induction_circuit(sharpness=sharpness)) for step, sharpness in ((0, 0.0), (1000, 30.0), (2000, 30.0))]


def result_of(models=MODELS) -> NaturalCopying:
    """Some windows repeat and some do not, so that every measure is defined."""
    windows = torch.cat([repeated_distinct_tokens(half=19), random_tokens(CIRCUIT, length=38)])
    return natural_copying(models, windows, n=3)


def test_lines_and_bands_are_the_numbers_of_the_result() -> None:
    result = result_of()
    figure, drawn = on_paper(picture(result)), set()
    named = {text.get_text() for text in figure.legends[0].texts}
    assert len(named) == 4
    for axis in figure.axes:
        lines = [line for line in axis.lines if line.get_label() in named]
        for line, band in zip(lines, axis.collections, strict=True):
            measure = COLORS[to_hex(line.get_color()).upper()]
            mean, low, high = result[measure].transpose("estimate", "checkpoint").to_numpy()
            assert line.get_xdata().tolist() == [0, 1000, 2000]
            np.testing.assert_allclose(line.get_ydata(), mean)
            corners = band.get_paths()[0].vertices
            for step, bounds in zip((0, 1000, 2000), zip(low, high, strict=True), strict=True):
                heights = corners[corners[:, 0] == step, 1]
                np.testing.assert_allclose([heights.min(), heights.max()], bounds)
            drawn.add(measure)
    assert drawn == set(COLORS.values())


def test_axes_have_units_and_the_title_says_what_is_compared() -> None:
    figure = on_paper(picture(result_of()))
    losses, differences = figure.axes
    assert losses.get_ylabel() == "loss (nats per token)" and losses.get_ylim()[0] == 0
    assert differences.get_ylabel().replace("\n", " ") == "loss difference (nats per token)"
    assert {axis.get_xlabel() for axis in figure.axes} == {"training step (updates)"}
    assert figure.get_suptitle() == "tokens after the same 3 tokens: 80 pairs, 5 documents"


def test_a_single_checkpoint_is_a_dot() -> None:
    for axis in on_paper(picture(result_of(MODELS[-1:]))).axes:
        assert {line.get_marker() for line in axis.lines[-2:]} == {"o"}
