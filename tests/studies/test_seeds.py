"""Several seeds on one page: aligned at the onset, and a null result that is titled as one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ground_truth import INDUCTION_HEAD, distinct_copy_samples, induction_circuit, repeated_distinct_tokens
from training_truth import curves_of_runs

from grok_interp import head_ablation, load_reference
from grok_interp.analysis.aligned_curves import aligned_curves
from grok_interp.analysis.comparison import TrainingCurves
from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.copying import CopyingResults, analyze
from grok_interp.studies.copying.first_screen import FirstScreen
from grok_interp.studies.copying.seeds import Seeds
from grok_interp.studies.copying.seeds_report import are_seeds

ONSETS = {0: 800.0, 1: 1200.0}


def two_seeds() -> TrainingCurves:
    return curves_of_runs({("one", seed): (onset, 0.9) for seed, onset in ONSETS.items()})


def test_curves_are_aligned_at_the_onset_of_each_seed() -> None:
    found = aligned_curves(two_seeds(), ONSETS)
    offsets = found.dataset["offset"].to_numpy()
    assert (offsets[0], offsets[-1]) == (-800, 1600), "from the start of the earliest seed to twice as much after"
    np.testing.assert_allclose(found["per_token"].interp(offset=0), 0, atol=0.05)
    halfway = found["per_token"].interp(offset=200).to_numpy()
    np.testing.assert_allclose(halfway, 0.45, atol=0.05, err_msg="both rise at once, 400 updates apart in training")
    assert found.mean("per_token").sel(offset=1600) == pytest.approx(0.9, abs=0.05)
    assert (found["loss_fall"].isel(offset=-1) > 0.9).all()
    assert str(found) == "curves of 2 seeds, aligned at onsets from 800 to 1,200"


def test_what_cannot_be_aligned_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the onset of one seed or more of \[0, 1\], got 1 and onsets of \[\]"):
        aligned_curves(two_seeds(), {})
    with pytest.raises(ValueError, match=r"got 1 and onsets of \[7\]"):
        aligned_curves(two_seeds(), {7: 800.0})
    both = curves_of_runs({(name, 0): (800.0, 0.9) for name in "ab"})
    with pytest.raises(ValueError, match="need one condition .* got 2"):
        aligned_curves(both, {0: 800.0})


@pytest.fixture(scope="module")
def results() -> CopyingResults:
    return analyze(load_reference("copier-mini"))


def test_the_sentence_of_several_seeds(results: CopyingResults) -> None:
    ablation = head_ablation(
        [(0, induction_circuit())],
        distinct_copy_samples(),
        repeated_distinct_tokens(),
        heads=[INDUCTION_HEAD],
        how="zero",
        n_draws=1,
        seed=0,
    )
    seeds = Seeds({0: FirstScreen(results, ablation), 1: FirstScreen(results, ablation)}, two_seeds())
    onset, made = FirstScreen(results, None).onset.value, FirstScreen(results, None).loss_made.value
    assert seeds.answer() == (
        f"Copying emerged in 2 of 2 seeds, at step {onset:,.0f} (both seeds agree), after {made:.0%} (both seeds "
        "agree) of the drop in validation loss; ablating each seed's induction heads removes 100% (both seeds "
        "agree) of it (random heads: 0% (both seeds agree)). Brackets: 95% CI over seeds."
    )
    assert len(seeds.cards()) == 6
    assert seeds.cards()[0].value == "2 of 2" and "95% CI 34-100%" in seeds.cards()[0].label


def test_a_null_result_is_titled_as_one(tiny: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The real command, on a folder of two seeds that were hardly trained."""
    folder = tmp_path / "seeds"
    for seed in (0, 1):
        run_training(folder / f"seed{seed}", replace(tiny, init_seed=seed, data_seed=seed))
    assert main(["report", str(folder), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(
        "Copying emerged in 0 of 2 seeds within 20 updates (2 of them undecided: too few checkpoints, or too much "
        "noise): exact match at the end is 0% (both seeds agree)."
    )
    page = (folder / "report.html").read_text()
    assert "Copying emerged in no seed." in page and "Heads and ablations, seed by seed" in page
    assert "nan" not in said


def test_only_runs_that_differ_in_their_seeds_are_seeds(tiny: TrainConfig, tmp_path: Path) -> None:
    def run_of(name: str, config: TrainConfig) -> Run:
        return run_training(tmp_path / name, replace(config, n_steps=2, checkpoint_steps=(0, 2), warmup_steps=0))

    one, two = run_of("one", tiny), run_of("two", replace(tiny, init_seed=5))
    other = run_of("other", replace(tiny, init_seed=6, batch_size=2))
    assert are_seeds([one, two])
    assert not are_seeds([one]) and not are_seeds([one, two, other]) and not are_seeds([one, one])
