"""Leads of several runs are drawn."""

import pytest

from grok_interp.cli import main
from grok_interp.runs.run import Run
from grok_interp.studies.copying.leading_scores import leads_of_runs, leads_section


def test_leads_are_drawn_from_several_runs(seeds: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    result = leads_of_runs(seeds)
    assert result.dataset["seed"].values.tolist() == [0, 1]
    assert result.dataset["score"].values.tolist() == [
        "previous_token",
        "k_composition",
        "prefix_matching",
        "weight_norm",
    ]
    section = leads_section(seeds)
    assert section.drawing is not None and section.table is not None
    assert (
        len(section.drawing.panels) == 2
        and str(result) in section.text
        and "the largest value at the last" in section.text
    )
    assert {"seed", "head", "onset", "lead"} <= set(section.table.columns)
    asked = [option for run in seeds for option in ("--run", str(run))]
    assert main(["reproduce", "copying/leads", *asked, "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    assert "copying_leads.svg" in printed.out
    with pytest.raises(ValueError, match=r"got two runs of one init_seed: \[0, 0\]"):
        leads_of_runs([seeds[0], seeds[0]])
