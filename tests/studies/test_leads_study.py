"""Leads of runs: head scores are kept with each run, and the picture is drawn from several."""

from ground_truth import measured

from grok_interp.runs.run import Run
from grok_interp.studies.copying.leading_scores import indicators_of_run


def test_scores_of_a_run_are_kept_until_a_checkpoint_differs(seeds: list[Run]) -> None:
    told: list[tuple[int, int]] = []

    def ask() -> object:
        return indicators_of_run(seeds[0], on_checkpoint=lambda *each: told.append(each))

    first = ask()
    assert told == [(done, 11) for done in range(1, 12)] and seeds[0].results.has("indicator_scores")
    again = ask()
    assert len(told) == 11 and again.dataset.equals(first.dataset)
    seeds[0].checkpoints.save(20, seeds[0].load(0))
    changed = ask()
    assert len(told) == 12 and (measured(changed)[:, 0] == measured(changed)[:, -1]).all()
