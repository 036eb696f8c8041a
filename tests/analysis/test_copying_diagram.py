"""The diagram of synthetic data, on accuracies read by eye."""

from dataclasses import replace

import numpy as np
import pytest

from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.analysis.copying_diagram import copying_diagram
from grok_interp.configs import TrainConfig
from grok_interp.plots import on_paper
from grok_interp.plots.pictures.copying_diagram import copying_diagram as picture
from grok_interp.presets import training_preset


def run(copies: float, random: float, seed: int, exact: float) -> tuple[TrainConfig, CopyingAccuracy]:
    """A run of two checkpoints of 10 samples: all copied at the first, `exact` of them at the last."""
    config = replace(training_preset("copier-tiny"), init_seed=seed)
    correct = np.ones((2, 10, 1, 3))
    correct[1, round(10 * exact) :, :, 2] = 0
    coords = {"checkpoint": [0, 7], "sequence": [0]}
    accuracy = CopyingAccuracy.of_arrays({"correct": correct}, coords)
    return config.with_data(copy_fraction=copies, random_fraction=random), accuracy


RUNS = [run(0.0, 0.25, 0, 0.1), run(0.5, 0.25, 0, 0.4), run(0.5, 0.25, 1, 0.8), run(0.5, 0.0, 0, 0.3)]


def test_cells_are_means_over_the_seeds_that_are_there() -> None:
    diagram = copying_diagram(reversed(RUNS))
    assert diagram.mean().sel(copy_fraction=0.5, random_fraction=0.25) == pytest.approx(0.6)
    assert diagram.spread().sel(copy_fraction=0.5, random_fraction=0.25) == pytest.approx(0.2)
    assert diagram.n_seeds().values.tolist() == [[0, 1], [1, 2]]
    assert np.isnan(diagram.mean().sel(copy_fraction=0.0, random_fraction=0.0))
    assert str(diagram).startswith("exact-match accuracy of 4 runs; the highest mean is 60%, with copies in 50%")


def test_the_picture_says_each_cell_with_its_seeds() -> None:
    texts = {text.get_text() for text in on_paper(picture(copying_diagram(RUNS))).axes[0].texts}
    assert texts == {"10% ± 0%\n1 seed", "60% ± 20%\n2 seeds", "30% ± 0%\n1 seed"}


def test_what_makes_no_diagram_is_refused() -> None:
    with pytest.raises(ValueError, match="needs at least one run"):
        copying_diagram([])
    with pytest.raises(ValueError, match=r"two runs with .* = \(0.5, 0.0, 0\)"):
        copying_diagram([RUNS[3], RUNS[3]])
    with pytest.raises(ValueError, match="needs runs on text"):
        copying_diagram([(training_preset("modular-tiny"), RUNS[0][1])])
