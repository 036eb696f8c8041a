"""Whole commands at miniature size, from training to a report and its figures."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.presets import DESCRIBED
from grok_interp.studies.modular.further_figures import FIGURES as MODULAR_FIGURES


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


def test_modular_arithmetic_gets_from_tasks_to_a_report_and_its_figures(tmp_path: Path, capsys) -> None:
    run, figures = str(tmp_path / "run"), tmp_path / "run" / "figures"
    assert main(["train", "modular-tiny", "--run", run, "--device", "cpu"]) == 0
    assert main(["analyze", run]) == 0
    assert "8 shots at 5 checkpoints" in capsys.readouterr().out
    assert main(["report", run, "--threshold", "0.05"]) == 0
    assert (
        "the phase is o.o.d. generalization >99% (probability over 2,600-2,601 contexts per split). "
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


def test_the_demo_is_one_command_of_six_lines_and_can_be_repeated(
    tiny: TrainConfig, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setitem(DESCRIBED, "copier-mini", ("", tiny))
    command = ["demo", str(tmp_path / "demo"), "--seed", "3"]
    assert main(command) == 0
    printed = capsys.readouterr()
    sentence, report = printed.out.splitlines()
    assert "copying emerged" in sentence and report.startswith("report: ")
    steps = [line.partition(": ")[0] for line in printed.err.splitlines()]
    steps = [step for step in steps if step != "writing the report"]  # which a slow machine shows
    assert steps == ["training", "analyzing checkpoints", "ablating heads and edges", "next"]
    assert main(command) == 0
    assert capsys.readouterr().out == printed.out
    assert (tmp_path / "demo" / "report.html").exists()
    config = json.loads((tmp_path / "demo" / "config.json").read_text())["train"]
    assert (config["init_seed"], config["data_seed"]) == (3, 3)


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
