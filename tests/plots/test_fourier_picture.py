"""The picture of Fourier analysis over training: what is drawn is what the results hold."""

from types import SimpleNamespace

import numpy as np
import pytest
from ground_truth import MODULAR, random_model
from matplotlib.colors import to_hex

from grok_interp.analysis.fourier import GROUPS, fourier_spectrum
from grok_interp.analysis.fourier_loss import CONDITIONS, fourier_losses
from grok_interp.analysis.fourier_top import top_frequency_fraction
from grok_interp.data.slot import slot_sequences
from grok_interp.plots import on_paper
from grok_interp.plots.pictures.fourier import GROUP_COLORS, fourier


@pytest.fixture(scope="module")
def results() -> SimpleNamespace:
    pairs = [(step, random_model(MODULAR, seed=step)) for step in (0, 2, 10)]
    tokens = slot_sequences((2, 1), 11, slot=1, n_examples=3, seed=0)
    losses = [fourier_losses(pairs, 11, tokens, group=group, frequencies=(2, 5)) for group in GROUPS]
    return SimpleNamespace(
        spectrum=fourier_spectrum(pairs, p=11),
        losses=losses,
        tops=top_frequency_fraction(pairs, p=11, n_key=2, seed=0),
    )


def test_each_panel_holds_its_result(results: SimpleNamespace) -> None:
    additive, multiplicative, losses, tops, _ = on_paper(fourier(results.spectrum, results.losses, results.tops)).axes
    for axis, group in ((additive, "additive"), (multiplicative, "multiplicative")):
        (mesh,) = axis.collections
        np.testing.assert_allclose(mesh.get_array(), results.spectrum["fraction"].sel(group=group).T)
        assert mesh.get_clim() == (0, float(results.spectrum["fraction"].max())), "one color scale"
        assert mesh.get_coordinates()[0, :, 0].tolist() == [-1, 1, 6, 14], "columns meet half way between checkpoints"
    lines = {line.get_label(): line for line in losses.lines}
    for found in results.losses:
        group = found.dataset.attrs["group"]
        for condition in CONDITIONS[1:]:
            line = lines[f"{condition}: {group} frequency 2, 5"]
            np.testing.assert_allclose(line.get_ydata(), found.loss(condition))
            assert to_hex(line.get_color()) == GROUP_COLORS[group].lower()
    np.testing.assert_allclose(lines["full"].get_ydata(), results.losses[0].loss("full"))
    assert losses.lines[0].get_ydata()[0] == pytest.approx(np.log(11)), "chance, ln p"
    for group, fraction, quantile in zip(GROUPS, tops.lines[::2], tops.lines[1::2], strict=True):
        of_group = results.tops.dataset.sel(group=group)
        np.testing.assert_allclose(fraction.get_ydata(), of_group["fraction"])
        np.testing.assert_allclose(quantile.get_ydata(), of_group["null_q95"])
        assert fraction.get_xdata().tolist() == [0, 2, 10]


def test_one_checkpoint_is_no_picture_over_training(results: SimpleNamespace) -> None:
    spectrum = fourier_spectrum([(0, random_model(MODULAR))], p=11)
    with pytest.raises(ValueError, match="a picture over training needs two checkpoints or more, the spectrum has 1"):
        fourier(spectrum, results.losses, results.tops)
