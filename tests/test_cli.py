"""The real command line, at miniature size."""

import contextlib
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from grok_interp.cli import main
from grok_interp.cli.output import Output, printable
from grok_interp.configs import TrainConfig
from grok_interp.presets import DESCRIBED
from grok_interp.runs.run import Run
from grok_interp.studies.catalog import figures
from grok_interp.studies.modular.further_figures import FIGURES as MODULAR_FIGURES


def test_the_version_is_that_of_the_package(capsys) -> None:
    declared = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]["version"]
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"grok-interp {declared}\n"


@pytest.fixture
def train_tiny(text_file: Path, own_cache: Path, tmp_path: Path) -> list[str]:
    return ["train", "copier-tiny", "--run", str(tmp_path / "run"), "--data.source", str(text_file), "--device", "cpu"]


def in_a_process(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "grok_interp.cli", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def test_a_warning_is_one_line(train_tiny: list[str]) -> None:
    process = in_a_process(*train_tiny, "--intervene", "L1H0 zero from 500", "--n-steps", "5")
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 0
    warning, progress, *_ = errors.splitlines()
    assert warning.startswith("WARNING: intervene: 'L1H0 zero from 500' has no effect, the run ends after 5 updates")
    assert progress.startswith("training: 5 of 5"), "and no line of code"


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


def test_modular_arithmetic_gets_from_tasks_to_a_report_and_its_figures(tmp_path: Path, capsys) -> None:
    run, figures = str(tmp_path / "run"), tmp_path / "run" / "figures"
    assert main(["train", "modular-tiny", "--run", run, "--device", "cpu"]) == 0
    assert main(["analyze", run]) == 0
    assert "8 shots at 5 checkpoints" in capsys.readouterr().out
    assert main(["report", run, "--threshold", "0.05"]) == 0
    assert (
        "the phase is o.o.d. generalization >99% over 2,600-2,601 contexts per split. "
        "One seed; others may differ." in capsys.readouterr().out
    )
    assert "phase at that step (learned: above 0.05)" in (tmp_path / "run" / "report.html").read_text()
    for name in (name.removeprefix("modular/") for name in MODULAR_FIGURES):
        assert main(["reproduce", f"modular/{name}", "--run", run]) == 0
        assert (figures / f"modular_{name}.svg").stat().st_size > 5_000
    assert main(["reproduce", "modular/fig3", "--run", run, "--out", str(tmp_path / "mine" / "training")]) == 0
    assert (tmp_path / "mine" / "training.pdf").exists()


def test_a_figure_of_the_other_study_or_of_too_many_runs_is_refused(train_tiny: list[str], tmp_path, capsys) -> None:
    run = str(tmp_path / "run")
    main(train_tiny)
    assert main(["reproduce", "copying/fig6", "--run", run]) == 0
    assert main(["reproduce", "modular/fig5", "--run", run]) == 2
    assert "modular/fig5 needs runs of the modular study" in capsys.readouterr().err
    assert main(["reproduce", "copying/ablation", "--run", run, "--run", run]) == 2
    assert "copying/ablation is drawn from one run, got 2" in capsys.readouterr().err
    assert main(["reproduce", "copying/fig3", "--run", run, "--run", run]) == 2
    assert "two runs of condition batch_size=4 with init_seed 0" in capsys.readouterr().err
    assert main(["reproduce", "copying/fig3"]) == 2
    assert "needs --run DIR, or --preset" in capsys.readouterr().err


def test_the_demo_is_one_command_and_can_be_repeated(tiny: TrainConfig, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(DESCRIBED, "copier-mini", ("", tiny))
    for _ in range(2):
        assert main(["demo", str(tmp_path / "demo"), "--seed", "3"]) == 0
    assert (tmp_path / "demo" / "report.html").exists()
    config = json.loads((tmp_path / "demo" / "config.json").read_text())["train"]
    assert (config["init_seed"], config["data_seed"]) == (3, 3)
    assert capsys.readouterr().out.count("report: ") == 2


def test_ctrl_c_exits_with_130_says_how_to_go_on_and_a_partial_report_is_possible(
    train_tiny: list[str], tmp_path: Path, capsys
) -> None:
    process = in_a_process(*train_tiny, "--n-steps", "1000000")
    checkpoint = tmp_path / "run" / "checkpoints" / "step_00000020.safetensors"
    while not checkpoint.exists():
        assert process.poll() is None, "the training ended before it could be interrupted"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "nothing is lost, the same command resumes from here" in errors
    assert "Traceback" not in errors
    assert main(["report", str(tmp_path / "run")]) == 0
    assert "report: " in capsys.readouterr().out
    assert "Partial run: analyzed up to step 20 of 1,000,000" in (tmp_path / "run" / "report.html").read_text()


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


def test_a_damaged_checkpoint_stops_the_analysis_until_it_is_deleted(
    train_tiny: list[str], tmp_path: Path, capsys
) -> None:
    main(train_tiny)
    damaged = tmp_path / "run" / "checkpoints" / "step_00000010.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-1000] ^= 1
    damaged.write_bytes(bytes(content))
    assert main(["report", str(tmp_path / "run")]) == 2
    assert "step_00000010.safetensors is damaged" in capsys.readouterr().err
    damaged.unlink()
    assert main(["report", str(tmp_path / "run")]) == 0


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


def on_a_terminal(*arguments: str, **environment: str) -> str:
    """What a reader sees, stdout and stderr together, in a terminal of its own."""
    parent, child = pty.openpty()
    variables = {"TERM": "xterm-256color", "COLUMNS": "60", **environment}
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    command = [sys.executable, "-m", "grok_interp.cli", *arguments]
    process = subprocess.Popen(command, stdin=child, stdout=child, stderr=child, env=inherited | variables)
    os.close(child)
    seen = b""
    with contextlib.suppress(OSError):  # Linux: the other side has closed
        while piece := os.read(parent, 4096):
            seen += piece
    os.close(parent)
    assert process.wait() == 0
    return seen.decode()


def test_on_a_terminal_tables_are_coloured_unless_no_color_is_set(train_tiny: list[str], tmp_path: Path) -> None:
    assert main(train_tiny) == 0
    listing = ["list", "--folder", str(tmp_path)]
    green = "\x1b[32myes"
    assert green in on_a_terminal(*listing)
    colorless = on_a_terminal(*listing, NO_COLOR="1")
    assert "yes" in colorless
    assert not re.search(r"\x1b\[[0-9;]*(3|4|9|10)[0-7]", colorless)


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


def test_quiet_verbs_print_paths_alone(train_tiny: list[str], tmp_path: Path, capfd) -> None:
    run = tmp_path / "run"
    said = {}
    for arguments in (train_tiny, ["analyze", str(run)], ["report", str(run)], ["list", "--folder", str(tmp_path)]):
        assert main([*arguments, "--quiet"]) == 0
        said[arguments[0]] = capfd.readouterr()
    assert {verb: printed.err for verb, printed in said.items()} == dict.fromkeys(said, "")
    assert said["train"].out == said["list"].out == f"{run}\n"
    assert said["report"].out == f"{run / 'report.html'}\n"
    assert [Path(line).exists() for line in said["analyze"].out.splitlines()] == [True] * 4
    assert main(["analyze", str(tmp_path / "none"), "--quiet"]) == 2
    assert "no run at" in capfd.readouterr().err, "errors are never quiet"


def test_verbs_speak_json_alone_on_stdout(train_tiny: list[str], tmp_path: Path, capsys) -> None:
    def spoken(*arguments: str):
        assert main([*arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    run = str(tmp_path / "run")
    assert spoken(*train_tiny, "--dry-run")["warnings"] == []
    assert (spoken(*train_tiny)["run"], spoken(*train_tiny)["last_step"]) == (run, 20)
    (found,) = (each for each in spoken("analyze", run) if each["result"] == "accuracy")
    assert Path(found["file"]).exists()
    reported = spoken("report", run)
    assert Path(reported["report"]).exists()
    exact = "exact-match accuracy at the last checkpoint, 95% CI (100 samples x 2 strings)"
    assert "% [" in reported["numbers"][exact]
    drawn = spoken("reproduce", "copying/fig6", "--run", run)
    assert [Path(file).suffix for file in drawn["files"]] == [".svg", ".pdf"]


def test_verbs_name_the_command_to_type_next_and_it_works(train_tiny: list[str], tmp_path: Path, capsys) -> None:
    command, typed = train_tiny, []
    for _ in range(3):
        assert main(command) == 0
        *_, last = capsys.readouterr().err.splitlines()
        command = last.removeprefix("next: grok-interp ").split()
        typed.append(command[0])
    assert typed == ["report", "reproduce", "report"]
    assert main(["list", "--folder", str(tmp_path / "cache")]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (f"no runs in {tmp_path / 'cache'}\n", "next: grok-interp demo\n")


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
