"""Each head alone: the hand-written circuit needs its two heads and no other, and only one of them has an I(L, H)."""

from typing import Any

import numpy as np
import pytest
import torch
from ground_truth import (
    INDUCTION_HEAD,
    PREVIOUS_TOKEN_HEAD,
    distinct_copy_samples,
    induction_circuit,
    random_model,
    repeated_distinct_tokens,
)
from scipy import stats

from grok_interp.analysis.ablated_model import ablated
from grok_interp.analysis.ablation_samples import MEASURES
from grok_interp.analysis.loss import position_losses, window_losses
from grok_interp.analysis.single_ablation import SingleAblation, single_ablation
from grok_interp.configs import ModelConfig, llama_copier

CFG: ModelConfig = llama_copier(n_layers=2, n_heads=3, d_model=30, d_mlp=17, d_vocab=23, n_ctx=47)


def of_circuit(how: str = "zero", **options: Any) -> SingleAblation:
    model = induction_circuit()
    return single_ablation([(7, model)], distinct_copy_samples(), repeated_distinct_tokens(), how=how, **options)


def test_the_circuit_needs_its_two_heads_and_no_other() -> None:
    result = of_circuit()
    assert result["exact_match_intact"].sel(checkpoint=7) == 1.0
    whole = result.at(7)["exact_match"]
    needed = {PREVIOUS_TOKEN_HEAD, INDUCTION_HEAD}
    assert {head for head in np.ndindex(whole.shape) if float(whole[head]) == 0.0} == needed
    assert set(result.costliest()[:2]) == needed
    assert set(np.unique(whole)) == {0.0, 1.0}
    assert "each of 10 heads ablated alone (zero)" in str(result)


def test_the_paths_to_induction_targets_are_the_induction_heads_alone() -> None:
    result = of_circuit("edges", n_match=1)
    assert result.costliest()[0] == INDUCTION_HEAD
    lost = result.effect("exact_match").isel(checkpoint=0)
    assert float(lost.sum()) == float(lost[INDUCTION_HEAD]) == -1.0


def test_every_cell_is_the_model_without_that_head() -> None:
    """Sizes that differ, and a model in which all heads matter: swapped axes cannot pass."""
    models, windows = [(step, random_model(CFG, seed=step)) for step in (3, 5)], repeated_distinct_tokens()
    result = single_ablation(models, distinct_copy_samples(), windows, how="mean", reference=windows[:2, :17])
    assert all(result[measure].shape == (2, 2, 3) for measure in MEASURES)
    for step, model in models:
        without = ablated(model, [(1, 2)], "mean", reference=windows[:2, :17])
        expected = position_losses([(0, without)], windows).mean().item()
        assert result.at(step)["loss"][1, 2].item() == pytest.approx(expected)
        intact = position_losses([(0, model)], windows).mean().item()
        assert result.at(step)["loss_intact"].item() == pytest.approx(intact)
    assert len(torch.tensor(result["loss"].to_numpy()).unique()) == 12


def test_options_that_are_missing_are_refused() -> None:
    with pytest.raises(ValueError, match="resample ablation needs `reference`"):
        of_circuit("resample")


def test_intervals_are_over_samples_and_paired_with_intact() -> None:
    model, windows = random_model(CFG), repeated_distinct_tokens(n_sequences=7)
    result = single_ablation([(3, model)], distinct_copy_samples(), windows, how="zero")
    without, intact = (
        window_losses(each, windows, batch_size=64).numpy() for each in (ablated(model, [(1, 2)], "zero"), model)
    )
    for found, values in (
        ([result[name] for name in ("loss_low", "loss_high")], without),
        (result.effect_interval("loss"), without - intact),
    ):
        low, high = (float(end.sel(checkpoint=3, layer=1, head=2)) for end in found)
        half = stats.t.ppf(0.975, 6) * values.std(ddof=1) / np.sqrt(7)
        np.testing.assert_allclose((low, high), (values.mean() - half, values.mean() + half))
    table = result.to_frame()
    assert len(table) == result["loss"].size and table["loss_intact_low"].notna().all()
    np.testing.assert_allclose(table["loss_intact"], intact.mean())


def test_numbers_are_told_with_their_intervals() -> None:
    result = of_circuit()
    assert result.in_words("exact_match") == "100.0% [72.2, 100.0]", "Wilson, of 10 strings"
    assert result.in_words("exact_match", INDUCTION_HEAD) == "0.0% [0.0, 27.8]"
    assert result.in_words("loss").count(",") == 1
