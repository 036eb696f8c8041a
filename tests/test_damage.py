"""Altered and truncated files: which are refused, made again, or named by `audit`."""

import json
from pathlib import Path

import pytest

from grok_interp.cli import main
from grok_interp.configs import TextConfig, TrainConfig
from grok_interp.data.corpus import open_corpus
from grok_interp.places import cache_directory
from grok_interp.runs.damage import damaged_files
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training


def flip(file: Path, at: int = -20) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


@pytest.fixture
def run(tiny: TrainConfig, tmp_path: Path) -> Run:
    run = run_training(tmp_path / "run", tiny)
    assert main(["analyze", str(run), "--quiet"]) == 0
    return run


def test_audit_lists_what_is_damaged(run: Run, capsys) -> None:
    results = sorted((run.directory / "results").glob("*.nc.gz"))
    corpus = next((cache_directory() / "corpora").glob("*/training.bin"))
    damaged = [
        run.directory / "metrics.jsonl",
        run.directory / "resume" / "step_00000020.state",
        results[0],
        run.directory / "results" / "evaluation_text.safetensors",
        corpus,
    ]
    assert main(["audit", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["damaged"] == []
    flip(damaged[0], at=damaged[0].read_bytes().index(b'"loss": 5.') + 10)
    for file in damaged[1:]:
        flip(file)
    flip(run.checkpoints.path(10))
    assert main(["audit", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["path"] for each in found["damaged"]] == [*map(str, damaged[:-1]), str(corpus.parent)]
    assert found["damaged"][0]["message"] == "1 damaged lines are left out (1); restore it to have them"
    assert [(each["kind"], each["steps"]) for each in found["findings"]] == [("unreadable", [10])]


def test_audit_names_a_damaged_config(run: Run, capsys) -> None:
    (run.directory / "config.json").write_text("{")
    assert main(["audit", str(run)]) == 2
    assert f"{run.directory / 'config.json'} is damaged" in capsys.readouterr().err


def test_a_config_that_was_edited_is_refused_until_its_checksum_is_taken_out(run: Run) -> None:
    file = run.directory / "config.json"
    edited = json.loads(file.read_text())
    edited["train"]["learning_rate"] *= 2
    file.write_text(json.dumps(edited))
    with pytest.raises(
        ValueError, match=r'config\.json was altered since it was written.* take its field "sha256" out'
    ):
        Run.open(run.directory)
    del edited["sha256"]
    file.write_text(json.dumps(edited))
    assert Run.open(run.directory).config.learning_rate == 2 * run.config.learning_rate


def test_lines_cut_from_the_end_of_a_log_are_noticed(run: Run) -> None:
    log = run.directory / "metrics.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:12]))
    assert [each.message for each in damaged_files(run)] == [
        "it ends at step 12, the last checkpoint is of step 20; restore it"
    ]


def test_a_log_without_checksums_is_read_as_it_is(run: Run) -> None:
    log = run.directory / "metrics.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    log.write_text("".join(json.dumps({name: row[name] for name in row if name != "crc32"}) + "\n" for row in rows))
    assert damaged_files(run) == [] and Run.open(run.directory).metrics.equals(run.metrics)


@pytest.mark.parametrize("name", ["training.bin", "validation.bin", "leaks.bin", "manifest.json"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_corpus_is_built_again(name: str, damage: str, tiny: TrainConfig) -> None:
    assert isinstance(tiny.data, TextConfig)
    corpus = open_corpus(tiny.data, 256)
    file = corpus.directory / name
    before = {each.name: each.read_bytes() for each in corpus.directory.iterdir()}
    if damage == "flipped":
        flip(file)
    elif damage == "cut":
        file.write_bytes(before[name][:-5])
    else:
        file.unlink()
    again = open_corpus(tiny.data, 256)
    assert {each.name: each.read_bytes() for each in again.directory.iterdir()} == before
    assert {each.name for each in again.directory.parent.iterdir()} == {again.directory.name, ".lock"}
