"""Disk full, no permission, vanished files, no memory: one message, a documented exit code, nothing lost."""

import errno
import json
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grok_interp.cli import main
from grok_interp.configs import TextConfig, TrainConfig
from grok_interp.data.corpus import open_corpus
from grok_interp.files import HOST
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.training import loop
from grok_interp.training.divergence import Update

FAULT, NO_MEMORY = 3, 4
Command = list[str]


@pytest.fixture
def command(text_file: Path, own_cache: Path, tmp_path: Path) -> Command:
    return ["train", "copier-tiny", "--run", str(tmp_path / "run"), "--data.source", str(text_file), "--device", "cpu"]


@pytest.fixture(scope="module")
def undisturbed(text_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The checkpoints of a run that met no fault."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROK_INTERP_CACHE", str(folder / "cache"))
        arguments = ["--run", str(folder / "run"), "--data.source", str(text_file), "--device", "cpu", "--quiet"]
        assert main(["train", "copier-tiny", *arguments]) == 0
    return checkpoint_bytes(folder / "run")


def checkpoint_bytes(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((directory / "checkpoints").iterdir())}


def hidden(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob(".*")} - {".lock"}


@pytest.fixture
def largest_file() -> Iterator[Callable[[int], None]]:
    """The system refuses longer files with an error like that of a full disk, to every library alike."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda n_bytes: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("n_bytes", "file"),
    [
        (20_000, "cache/corpora/"),
        (40_000, "run/checkpoints/step_00000000.safetensors"),
        (100_000, "run/resume/step_00000020.state"),
    ],
)
def test_a_file_that_may_not_grow_is_named_and_the_same_command_resumes(
    n_bytes: int, file: str, command: Command, undisturbed: dict[str, bytes], largest_file, tmp_path: Path, capsys
) -> None:
    if not file.startswith("cache"):
        source = command[command.index("--data.source") + 1]
        open_corpus(TextConfig(source=source), 256)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    largest_file(n_bytes)
    assert main(command) == FAULT
    largest_file(before)
    *_, message = capsys.readouterr().err.splitlines()
    assert message.startswith(f"grok-interp: {tmp_path}/{file}")
    assert "File too large; the file may not grow further" in message
    assert hidden(tmp_path) == set()
    assert main(command) == 0
    assert checkpoint_bytes(tmp_path / "run") == undisturbed


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "No space left on device; free some space and repeat the command"),
        (errno.EROFS, "Read-only file system; choose a folder that can be written"),
        (errno.EACCES, "Permission denied; change the permissions, or choose another folder"),
    ],
)
@pytest.mark.parametrize("nth", [1, 3, 7])
def test_a_fault_at_any_write_loses_nothing(
    number: int,
    advice: str,
    nth: int,
    command: Command,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys,
) -> None:
    fsync, calls = os.fsync, []

    def failing(file: int) -> None:
        calls.append(file)
        if len(calls) == nth:
            raise OSError(number, os.strerror(number))
        fsync(file)

    with monkeypatch.context() as patch:
        patch.setattr("grok_interp.files.os.fsync", failing)
        assert main(command) == FAULT
    *_, message = capsys.readouterr().err.splitlines()
    assert message.startswith(f"grok-interp: {tmp_path / 'run'}/")
    assert message.split(": ", 2)[2].startswith(advice)
    assert hidden(tmp_path) == set()
    assert main(command) == 0
    assert checkpoint_bytes(tmp_path / "run") == undisturbed


def test_a_full_disk_under_the_log_is_named_too(
    command: Command, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def full(file: Path, lines: str) -> None:
        with file.open("a") as log:
            log.write(lines[: len(lines) // 2])
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    with monkeypatch.context() as patch:
        patch.setattr("grok_interp.runs.recorder.append_metrics", full)
        assert main(command) == FAULT
    assert f"{tmp_path / 'run' / 'metrics.jsonl'}: No space left on device" in capsys.readouterr().err
    assert main(command) == 0
    assert checkpoint_bytes(tmp_path / "run") == undisturbed
    assert Run.open(tmp_path / "run").metrics["step"].tolist() == list(range(1, 21))


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        ("x" * 300, "File name too long; choose a shorter name"),
        ("file/run", "Not a directory; a part of this path is a file"),
    ],
)
def test_a_folder_that_cannot_be_is_refused_with_its_name(
    run: str, reason: str, command: Command, tmp_path: Path, capsys
) -> None:
    (tmp_path / "file").write_text("")
    command[command.index("--run") + 1] = str(tmp_path / run)
    assert main(command) == FAULT
    assert f"{run}" in (message := capsys.readouterr().err.splitlines()[-1])
    assert reason in message


def test_a_checkpoint_that_vanishes_while_it_is_read_is_named(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    assert main(command) == 0
    (tmp_path / "run" / "checkpoints" / "step_00000010.safetensors").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("grok_interp.runs.saved_checkpoints.SavedCheckpoints.steps", (0, 10, 20))
        assert main(["analyze", str(tmp_path / "run")]) == FAULT
    assert re_named("step_00000010.safetensors: No such file or directory; it was moved or deleted", capsys)
    assert main(["analyze", str(tmp_path / "run")]) == 0


def re_named(text: str, capsys) -> bool:
    return text in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 99 bytes.\nmore"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    ],
)
def test_without_memory_the_remedy_is_named_and_the_folder_stays_free(
    error: Exception, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def no_memory(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(loop, "learn_batch", no_memory)
        assert main(command) == NO_MEMORY
    message = capsys.readouterr().err.splitlines()[-1]
    assert "grok-interp: out of memory: give a smaller --micro-batch-size or model" in message
    assert not (tmp_path / "run").exists()
    assert main([*command, "--micro-batch-size", "2"]) == 0


def test_an_error_that_is_not_understood_is_not_hidden(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(loop, "learn_batch", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        main(command)


def interrupt_at(step: int) -> Callable[[Update], None]:
    def on_update(update: Update) -> None:
        if update.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return on_update


@pytest.mark.parametrize(
    "damage",
    [b'{"step": 7, "tok', b"\xff\xfe\n", b"[" * 5_000 + b"\n", b"3\n", b'{"step": "7"}\n', b"\0" * 64, b'{"step": 1}'],
)
@pytest.mark.parametrize("where", ["end", "begin"])
def test_a_damaged_line_of_the_log_never_blocks(damage: bytes, where: str, tiny: TrainConfig, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_training(directory, tiny, on_update=interrupt_at(12))
    log = directory / "metrics.jsonl"
    content = log.read_bytes()
    log.write_bytes(content + damage if where == "end" else damage.rstrip(b"\n") + b"\n" + content)
    assert Run.open(directory).metrics["step"].tolist() == list(range(1, 13))
    run_training(directory, tiny)
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 21))


def a_dead_process() -> int:
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


def test_what_killed_processes_left_is_removed_at_the_next_start(command: Command, tmp_path: Path) -> None:
    assert main(command) == 0
    dead, folders = a_dead_process(), [tmp_path / "run", tmp_path / "run" / "checkpoints", tmp_path / "run" / "resume"]
    for folder in folders:
        for owner in (f"{dead}@{HOST}", f"{os.getpid()}@{HOST}", f"{dead}@elsewhere-{HOST}"):
            (folder / f".step_00000003.state.{owner}").write_text("half")
    corpora = tmp_path / "cache" / "corpora"
    (corpora / f".building-x.{dead}@{HOST}").mkdir()
    assert main(command) == 0
    kept = {f".step_00000003.state.{os.getpid()}@{HOST}", f".step_00000003.state.{dead}@elsewhere-{HOST}"}
    assert all(hidden(folder) == kept for folder in folders[1:])
    assert main([*command[:3], str(tmp_path / "other"), *command[4:], "--data.validation-fraction", "0.1"]) == 0
    assert hidden(corpora) == set()
