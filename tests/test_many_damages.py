"""200 altered or truncated files: each is refused, made again, named by `audit` or harmless."""

from pathlib import Path

import pytest
from damage import OUTCOMES, damage_table

REFUSED, NAMED, HARMLESS, UNNOTICED = OUTCOMES


def test_no_damage_to_any_kind_of_file_goes_unnoticed(own_cache: Path, tmp_path: Path) -> None:
    table = damage_table(tmp_path, n=200, seed=1)
    assert {name: counts.total() for name, counts in table.items()} == dict.fromkeys(table, 25)
    assert sum(counts[UNNOTICED] for counts in table.values()) == 0, table
    assert {name for name, counts in table.items() if counts[REFUSED] > 20} == {
        "config.json",
        "checkpoints",
        "resume points",
        "saved results",
        "evaluation text",
    }
    assert table["metrics.jsonl"][NAMED] > 20


def test_it_would_be_noticed_if_a_damage_were_not(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grok_interp.runs.record.is_unaltered", lambda _: True)
    assert damage_table(tmp_path, n=60, seed=0, only="config.json")["config.json"][UNNOTICED] > 0
