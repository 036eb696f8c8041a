"""A run from elsewhere reads nothing outside its folder, and no network, unless the user has named it."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.data import sources
from grok_interp.places import is_named, name_place
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training

WORDS = "the quick brown fox jumps over the lazy dog and runs away "


@pytest.fixture
def strangers_run(tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run as it comes from another machine: this user has trained nothing, and the text is a folder of his."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("GROK_INTERP_CACHE", str(tmp_path / "elsewhere"))
        run_training(tmp_path / "run", replace(tiny, n_steps=1, warmup_steps=0, checkpoint_steps=(0,)))
    return tmp_path / "run"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The sources that were read."""
    read: list[str] = []
    documents = sources.documents

    def noted(source: str, **options) -> Iterator[tuple[str, bytes]]:
        read.append(source)
        return documents(source, **options)

    monkeypatch.setattr("grok_interp.data.corpus.documents", noted)
    yield read


def name_in_config(run: Path, source: str) -> None:
    record = json.loads((run / "config.json").read_text())
    record["train"]["data"]["source"] = source
    del record["sha256"]
    (run / "config.json").write_text(json.dumps(record))


@pytest.mark.parametrize("verb", ["analyze", "report"])
def test_text_of_a_strangers_choice_is_not_read(
    verb: str, strangers_run: Path, opened: list[str], tmp_path: Path, capsys
) -> None:
    private = tmp_path / "private"
    private.mkdir()
    (private / "letter.txt").write_text(WORDS * 200)
    name_in_config(strangers_run, str(private))
    assert main([verb, str(strangers_run)]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert f"config.json reads text outside the run's folder that you have not named before: '{private}'" in message
    assert "add --trust-source" in message
    assert opened == [] and not (tmp_path / "cache" / "corpora").exists()


def test_a_data_set_of_a_strangers_choice_is_not_downloaded(strangers_run: Path, opened: list[str], capsys) -> None:
    name_in_config(strangers_run, "hub:someone/tracks-who-asks")
    assert main(["analyze", str(strangers_run)]) == 2
    assert "downloads a data set that you have not named before: 'hub:someone/tracks" in capsys.readouterr().err
    assert opened == []


def test_the_user_says_so_once(strangers_run: Path, text_file: Path, opened: list[str], tmp_path: Path) -> None:
    assert main(["analyze", str(strangers_run)]) == 2
    assert main(["analyze", str(strangers_run), "--trust-source", "--quiet"]) == 0
    assert set(opened) == {str(text_file)}
    shutil.rmtree(strangers_run / "results")
    assert main(["report", str(strangers_run), "--quiet"]) == 0


def test_a_folder_of_runs_is_trusted_as_a_whole(strangers_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not named before"):
        assert Run.open(strangers_run).data
    assert len(Run.below(tmp_path, trust_source=True)) == 1
    assert Run.open(strangers_run).data


def test_who_trains_has_named_the_text(tiny: TrainConfig, tmp_path: Path) -> None:
    run_training(tmp_path / "run", replace(tiny, n_steps=1, warmup_steps=0, checkpoint_steps=(0,)))
    assert Run.open(tmp_path / "run").data


def test_training_another_config_names_nothing(strangers_run: Path, tiny: TrainConfig, tmp_path: Path) -> None:
    name_in_config(strangers_run, str(tmp_path))
    with pytest.raises(ValueError, match="holds a run of another config"):
        run_training(strangers_run, tiny)
    assert not is_named(str(tmp_path), inside=strangers_run)


def test_text_in_the_runs_own_folder_and_the_standard_library_are_read(strangers_run: Path, text_file: Path) -> None:
    shutil.copy(text_file, strangers_run / text_file.name)
    name_in_config(strangers_run, str(strangers_run / text_file.name))
    assert Run.open(strangers_run).data
    assert is_named("stdlib", inside=strangers_run)


@pytest.mark.parametrize("where", ["results", "checkpoints/step_00000001.safetensors", "text/deep/notes.txt"])
def test_a_link_out_of_the_run_is_not_followed(where: str, strangers_run: Path, tmp_path: Path, capsys) -> None:
    target, link = tmp_path / "target", strangers_run / where
    link.parent.mkdir(exist_ok=True, parents=True)
    target.mkdir() if where == "results" else shutil.copy(strangers_run / "config.json", target)
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    assert main(["analyze", str(strangers_run)]) == 2
    assert f"{link} is a link out of the run, to {target}. If you trust" in capsys.readouterr().err
    assert main(["list", "--folder", str(tmp_path)]) == 0
    assert f"left out: {strangers_run}: " in capsys.readouterr().err
    Run.open(strangers_run, trust_source=True)
    Run.open(strangers_run)


def test_links_within_a_run_and_to_a_run_are_followed(strangers_run: Path, tmp_path: Path) -> None:
    (strangers_run / "last.safetensors").symlink_to(strangers_run / "checkpoints" / "step_00000001.safetensors")
    (tmp_path / "alias").symlink_to(strangers_run)
    assert Run.open(tmp_path / "alias").steps == (0, 1)


def test_a_link_to_itself_is_named_and_breaks_no_list(strangers_run: Path, tmp_path: Path, capsys) -> None:
    (link := strangers_run / "checkpoints" / "step_00000007.safetensors").symlink_to(link)
    assert main(["list", "--folder", str(tmp_path), "--json"]) == 0
    assert [row["run"] for row in json.loads(capsys.readouterr().out)] == [str(strangers_run)]
    assert main(["analyze", str(strangers_run), "--trust-source"]) == 3
    assert f"{link}: Too many levels of symbolic links; a link leads to itself: delete it" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["~nobody-of-that-name", "~nobody-of-that-name/{step}.pt"])
def test_the_home_of_nobody_is_a_name_like_any_other(place: str, own_cache: Path, tmp_path: Path, capsys) -> None:
    assert main(["audit", place]) == 2
    assert place in capsys.readouterr().err
    assert main(["train", "copier-tiny", "--run", str(tmp_path / "run"), "--data.source", place]) == 2
    assert f"no corpus at '{place}'" in capsys.readouterr().err


def test_a_place_has_many_spellings(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").mkdir()
    name_place("text")
    name_place("hub:text")
    name_place("hub:owner/name")
    for same in ("~/text", "./text", str(tmp_path / "text"), "run/../text", f"hub:{tmp_path}/text", "hub:owner/name"):
        assert is_named(same, inside=run), same
    for other in ("~", "run/../text2", "text/..", "hub:owner/other", "owner/name", "hub:text2"):
        assert not is_named(other, inside=run), other
    monkeypatch.chdir("/")
    assert not is_named("text", inside=run), "another place now"
