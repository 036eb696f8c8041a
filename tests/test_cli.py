"""The real command line, at miniature size."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from grok_interp.cli import main
from grok_interp.cli.output import Output, printable
from grok_interp.configs import TrainConfig
from grok_interp.runs.run import Run
from grok_interp.studies.catalog import figures


def test_the_version_is_that_of_the_package(capsys) -> None:
    declared = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]["version"]
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"grok-interp {declared}\n"


def test_a_reader_gets_from_text_to_a_report(train_tiny: list[str], tmp_path: Path, capsys) -> None:
    run = str(tmp_path / "run")
    assert main(train_tiny) == 0
    assert main(["analyze", run]) == 0
    assert main(["report", run, "--threshold", "0.2"]) == 0
    assert main(["list", "--folder", str(tmp_path), "--json"]) == 0
    printed = capsys.readouterr().out
    assert "5 checkpoints up to step 20" in printed
    assert "I(L,H) of 2 x 2 heads at 5 checkpoints" in printed
    assert "Cannot tell when copying emerged: 5 checkpoints are too few, 8 are needed." in printed
    assert "heads with I(L, H) above 0.2" in (tmp_path / "run" / "report.html").read_text()
    (row,) = json.loads(printed[printed.index("[\n") :])
    assert (row["run"], row["finished"], row["analyzed"], row["report"]) == (run, True, True, True)
    assert (tmp_path / "run" / "report.html").stat().st_size > 1_000_000


def test_help_is_light_and_names_every_verb() -> None:
    script = "import sys\nfrom grok_interp.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    script += "print(sorted({'torch', 'transformer_lens', 'xarray', 'numpy', 'matplotlib'} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[]"
    assert all(
        verb in printed
        for verb in ("demo", "train", "analyze", "report", "watch", "reproduce", "sweep", "list", "doctor")
    )


@pytest.mark.parametrize("verb", ["demo", "analyze", "report", "watch", "reproduce", "sweep", "list", "doctor"])
def test_every_verb_explains_itself(verb: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert f"usage: grok-interp {verb}" in capsys.readouterr().out


def test_explanations_are_broken_where_the_terminal_ends(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    assert "or of modular runs, whose phase diagram it draws." in capsys.readouterr().out


def test_every_training_flag_is_explained(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["train", "copier-mini", "--help"])
    printed = capsys.readouterr().out
    assert all(f"--{flag}" in printed for flag in ("learning-rate", "model.n-layers", "data.copy-fraction", "n-steps"))


def test_figures_are_listed_with_what_they_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "figures", "--json"]) == 0
    rows = {row["figure"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["copying/fig3"]["runs"] == "one or more" and rows["modular/fig1c"]["runs"] == "one"
    assert rows["modular/fig1c"]["shows"] == "accuracy by number of shots"
    assert list(rows) == list(figures())


def test_claims_of_every_study_are_listed(capsys) -> None:
    assert main(["list", "claims", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {
        "study": "copying",
        "claim": "The loss follows the number of tokens",
        "source": "Figure 4",
        "varied": "batch_size",
    } in rows
    assert len(rows) == len({row["claim"] for row in rows}) == 10


def test_lists_and_doctor_speak_json(capsys) -> None:
    assert main(["list", "presets", "--json"]) == 0
    rows = {row["preset"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["copier-paper"]["parameters"] == 162_417_408
    assert all(row["trainable"] for row in rows.values())
    assert main(["doctor", "--json"]) == 0
    found = {row["what"]: row["found"] for row in json.loads(capsys.readouterr().out)}
    assert found["transformer-lens"][0] in "34"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "copier-tiny", "--run", "{run}", "--data.source", "/nowhere"], "no corpus at '/nowhere'"),
        (["train", "copier-tiny", "--run", "{run}", "--device", "cuda:99"], "device 'cuda:99' was asked for, torch"),
        (["report", "{run}"], "no run at .*it has no config.json"),
        (["analyze", "{run}"], "no run at"),
        (["list", "--folder", "{run}"], "no folder .*: runs are written by"),
    ],
)
def test_wrong_input_gets_one_message_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, own_cache: Path, capsys
) -> None:
    run = tmp_path / "run"
    assert main([argument.format(run=run) for argument in arguments]) == 2
    errors = capsys.readouterr().err
    assert re.search(message, errors)
    assert not run.exists(), "nothing half-written is left behind"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "copier-huge", "--run", "{run}"], "copier-paper, copier-mini, copier-deep"),
        (["train", "copier-tiny", "--run", "{run}", "--learning-rate", "-1"], "learning_rate must be positive"),
        (["train", "copier-tiny", "--run", "{run}", "--model.d-head", "7"], "d_head must be even"),
        (["train", "copier-tiny", "--run", "{run}", "--data.segment-lengths", "60", "64"], "leave no room for a copy"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused_while_parsing(
    arguments: list[str], message: str, tmp_path: Path, capsys
) -> None:
    try:
        status = main([argument.format(run=tmp_path / "run") for argument in arguments])
    except SystemExit as ended:  # tyro prints the error of a config itself since 1.0.16
        status = ended.code
    assert status == 2
    printed = capsys.readouterr()
    assert message in " ".join((printed.out + printed.err).replace("│", " ").split())
    assert not (tmp_path / "run").exists(), "nothing half-written is left behind"


def test_an_empty_corpus_is_refused(tmp_path: Path, own_cache: Path, capsys) -> None:
    (tmp_path / "empty.txt").write_text("")
    assert (
        main(["train", "copier-tiny", "--run", str(tmp_path / "run"), "--data.source", str(tmp_path / "empty.txt")])
        == 2
    )
    assert "is empty: it needs at least one document with text" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_dry_run_tells_what_training_will_take_and_leaves_nothing_behind(
    train_tiny: list[str], own_cache: Path, tmp_path: Path, capsys
) -> None:
    assert main([*train_tiny, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    labels = ("parameters", "tokens", "data", "an update", "device", "memory", "time", "checkpoints", "resume", "disk")
    assert all(line.startswith(label) for line, label in zip(printed.splitlines(), labels, strict=True))
    assert "5,120 in 20 updates of 256" in printed
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_every_so_many_tokens_and_resumed_with_the_same_flag(
    train_tiny: list[str], tmp_path: Path, capsys
) -> None:
    every = ["--checkpoint-tokens", "2_000"]  # an update trains on 256
    assert main([*train_tiny, *every, "--dry-run"]) == 0
    assert "checkpoints    4 of " in capsys.readouterr().out
    assert main([*train_tiny, *every]) == 0
    names = sorted(file.stem for file in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == ["step_00000000", "step_00000008", "step_00000016", "step_00000020"]
    assert main([*train_tiny, *every]) == 0
    assert main(train_tiny) == 2
    assert "checkpoint_steps: (0, 8, 16, 20) there" in capsys.readouterr().err


def test_more_checkpoints_than_anybody_wants_are_refused_at_once(train_tiny: list[str], tmp_path: Path, capsys) -> None:
    assert main([*train_tiny, "--n-steps", "1000000000", "--checkpoint-tokens", "256"]) == 2
    assert "every 256 tokens makes 1,000,000,000 checkpoints in 1,000,000,000 steps" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("jobs", ["0", "-3"])
def test_a_number_of_jobs_below_one_is_refused(jobs: str, tmp_path: Path, capsys) -> None:
    command = ["reproduce", "copying/fig3", "--preset", "tiny", "--folder", str(tmp_path / "sweep"), "--jobs", jobs]
    assert main(command) == 2
    assert f"--jobs needs 1 process or more, got {jobs}" in capsys.readouterr().err
    assert not (tmp_path / "sweep").exists()


def test_checkpoints_closer_than_an_update_are_refused(train_tiny: list[str], tmp_path: Path, capsys) -> None:
    assert main([*train_tiny, "--checkpoint-tokens", "255"]) == 2
    assert "every 255 tokens was asked for, but a step trains on 256: ask for 256 or more" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_narrow_terminal_wraps_sentences_and_breaks_no_name_or_number(capsys, monkeypatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "30")
    name, note = "runs/" + "x" * 40, "some words that do not fit"
    Output().show([{"run": name, "parameters": 1234567, "note": note}])
    printed = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert any(name in line and "1,234,567" in line for line in printed.splitlines())
    assert note not in printed
    assert all(word in printed for word in note.split())


def test_what_looks_like_markup_is_shown_as_it_is(capsys, monkeypatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    Output().show_facts({"onset [red]": "600 [500, 700]"})
    assert "600 [500, 700]" in (shown := capsys.readouterr().out)
    assert "onset [red]" in shown


def test_claims_are_a_table_for_a_reader_and_whole_for_a_program(
    tiny: TrainConfig, tmp_path: Path, monkeypatch, capsys
) -> None:
    from grok_interp.studies.claim import JudgedClaim
    from grok_interp.studies.copying import sweep_report

    claim = JudgedClaim("Dropout helps", "Figure 7", "loss", "undecided", "difference 0.1 [-1, 1]", 3, 12, None, 6, 4)
    page = tmp_path / "report.html"
    monkeypatch.setattr(sweep_report, "write_sweep_report", lambda *_, **options: (page, [claim]))
    Run.create(tmp_path / "baseline" / "seed0", tiny)
    assert main(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "verdict    claim          by    seeds  needed  needed if half  runs trained  runs used",
        "undecided  Dropout helps  loss  3      12      -               6             4",
        f"report: {page}",
    ]
    assert main(["report", str(tmp_path), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["claims"]
    assert (found["verdict"], found["evidence"]) == ("undecided", "difference 0.1 [-1, 1]")


HOSTILE = "\x1b]0;title\x07\x1b[2Jrun\x9b31m\u202e\r"


@pytest.mark.parametrize("colored", ["", "1"])
def test_names_from_elsewhere_cannot_control_the_terminal(colored: str, capsys, monkeypatch) -> None:
    if colored:
        monkeypatch.setenv("FORCE_COLOR", "1")
    output = Output()
    output.show([{"run": HOSTILE}])
    output.show_facts({HOSTILE: HOSTILE})
    output.say(HOSTILE)
    output.warn(Path(HOSTILE), HOSTILE)
    output.finish([], made=[], then=HOSTILE)
    Output(quiet=True).finish([], made=[HOSTILE], then="")
    assert main(["analyze", HOSTILE]) == 2
    printed = capsys.readouterr()
    seen = re.sub(r"\x1b\[[0-9;]*m", "", printed.out + printed.err)
    assert all(char.isprintable() or char == "\n" for char in seen)
    assert seen.count("run") >= 9, "escaped, not dropped"


def test_letters_of_every_script_are_printed_as_they_are() -> None:
    assert printable("Größe 模型 נסיון\n\tx") == "Größe 模型 נסיון\n\tx"
    assert printable("\ud800\0") == r"\ud800\x00"


def test_the_command_to_type_next_is_quoted_for_the_shell(train_tiny: list[str], tmp_path: Path, capsys) -> None:
    run = tmp_path / "my run; echo $(whoami) 'x'"
    train_tiny[train_tiny.index("--run") + 1] = str(run)
    assert main(train_tiny) == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert shlex.split(last.removeprefix("next: ")) == ["grok-interp", "report", str(run)]
    assert main(["list", "--folder", str(tmp_path)]) == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert shlex.split(last.removeprefix("next: ")) == ["grok-interp", "report", str(run)]
