"""Checkpoints from elsewhere through the command line: what is counted, evaluated once, kept and refused."""

import json
import shutil
from pathlib import Path

import nano_gpt
import pytest
import torch
from families import FAMILIES
from safetensors.torch import load_file, save_file
from trainer_folder import STEPS, SYMBOLS, page, run_command, save_tokenizer

from grok_interp import CheckpointSeries, Run
from grok_interp.runs.record import write_record
from grok_interp.runs.series_run import SeriesRun
from grok_interp.studies.copying.copying_results import evaluation_inputs
from grok_interp.studies.copying.series_inputs import noted_inputs


def test_skip_leaves_out_checkpoints_on_disk(trainer: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (trainer / "checkpoint-2" / "model.safetensors").write_bytes(b"nothing")
    run = tmp_path / "run"
    assert run_command("analyze", trainer, "--run", run, "--skip", 2, "--quiet") == 0
    assert Run.open(run).steps == (0, 1, 512)
    capsys.readouterr()
    assert run_command("analyze", trainer, "--run", run, "--skip", 3) == 2
    assert "--skip 3 is no step of the series, its steps are 0, 1, 2, 512" in capsys.readouterr().err


@pytest.mark.parametrize("biases", [0.0, 1.0])
@pytest.mark.parametrize("family", ["GPT-2", "LLaMA", "GPT-NeoX", "OPT"])
def test_the_parameters_are_those_of_the_file(family: str, biases: float, tmp_path: Path) -> None:
    """Whatever their values, and without what a bridge adds."""
    model = FAMILIES[family].build().hf
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.constant_(weight, biases)
    model.save_pretrained(tmp_path / "out" / "checkpoint-5")
    stored = load_file(tmp_path / "out" / "checkpoint-5" / "model.safetensors")
    series = CheckpointSeries.from_huggingface_folder(tmp_path / "out")
    run = SeriesRun.of_series(tmp_path / "run", series, source="out")
    assert run.model.n_params == sum(weight.numel() for weight in stored.values())


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_the_parameters_of_a_state_dict_are_counted_once_and_without_buffers(suffix: str, tmp_path: Path) -> None:
    shell = nano_gpt.adapted(0)
    model = shell.model
    model.register_buffer("mask", torch.ones(7, 11))
    if suffix == "pt":
        torch.save(model.state_dict(), tmp_path / "ckpt_0.pt")
    else:
        save_file(
            {name: weight.clone() for name, weight in model.state_dict().items()}, tmp_path / "ckpt_0.safetensors"
        )
    series = CheckpointSeries.from_files(tmp_path / f"ckpt_{{step}}.{suffix}", model=shell)
    run = SeriesRun.of_series(tmp_path / "run", series, source="files")
    assert run.model.n_params == sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize(("without", "remedy"), [("hooks=None", "hooks={"), ("hooks=None, weights=None", "hooks= for")])
def test_a_plain_torch_model_without_hooks_gets_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture, without: str, remedy: str
) -> None:
    shell = tmp_path / "my_gpt.py"
    shell.write_text(Path(nano_gpt.__file__).read_text() + f"\n\nbare = adapted({without})\n")
    torch.save(nano_gpt.trained(0).state_dict(), tmp_path / "ckpt_0.pt")
    pattern = tmp_path / "ckpt_{step}.pt"
    assert run_command("analyze", pattern, "--run", tmp_path / "run", "--model", f"{shell}:bare") == 2
    message = capsys.readouterr().err
    assert "TorchAdapter" in message and remedy in message


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def named():\n    raise KeyError('boo')", "named() raised KeyError('boo') in line 2 of my_gpt.py"),
        ("def named():\n    return len(5)", "named() raised TypeError(object of type 'int' has no len()) in line 2 of"),
        ("named = 3", "is 3 (int)"),
        (
            "def named(x):\n    return x",
            "raised TypeError(named() missing 1 required positional argument: 'x'); ",
        ),
        ("def named():\n    return None", "named() returned None (NoneType)"),
        (
            "import no_such_module",
            "my_gpt.py raised ModuleNotFoundError(No module named 'no_such_module') in line 1",
        ),
        ("\nnamed = (", "my_gpt.py raised SyntaxError('(' was never closed (my_gpt.py, line 2))"),
        ("import sys\nsys.exit(7)", "my_gpt.py raised SystemExit(7) in line 2 of my_gpt.py"),
        ("other = 3", "my_gpt.py has no 'named'"),
    ],
)
def test_a_file_or_function_that_gives_no_model_is_named_with_what_it_raised(
    code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_gpt.py").write_text(code)
    torch.save({"w": torch.ones(3)}, "ckpt_0.pt")
    for verb in (["audit"], ["analyze", "--run", "run"]):
        assert run_command(*verb, "ckpt_{step}.pt", "--model", "my_gpt.py:named") == 2
        said = " ".join(capsys.readouterr().err.split())
        assert "--model my_gpt.py:named" in said and message in said
        assert "a model of the sizes of the checkpoints, or a function without arguments that returns one" in said
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        ("raise KeyError('boo')", "raised KeyError('boo') in line"),
        ("return int('x')", "raised ValueError(invalid literal for int() with base 10: 'x') in line"),
        ("return model.wte(tokens) @ torch.ones(3)", "raised RuntimeError(size mismatch"),
    ],
)
def test_a_forward_pass_that_raises_is_named_with_the_checkpoint(
    forward: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """The second checkpoint alone; what was evaluated before it is kept."""
    code = f"""
def of_mine(model, tokens):
    if model.lm_head.weight[0, 0] > 100:
        {forward}
    return model(tokens, tokens)

mine = adapted(forward=of_mine)
"""
    shell = tmp_path / "my_gpt.py"
    shell.write_text(Path(nano_gpt.__file__).read_text() + code)
    for step in (0, 500):
        state = {name: weight.clone() for name, weight in nano_gpt.trained(step).state_dict().items()}
        state["lm_head.weight"][0, 0] += step
        torch.save({**state, "wte.weight": state["lm_head.weight"]}, tmp_path / f"ckpt_{step}.pt")
    words = ("analyze", tmp_path / "ckpt_{step}.pt", "--run", tmp_path / "run", "--model", f"{shell}:mine")
    assert run_command(*words) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert f"step 500: the forward pass of the model in the TorchAdapter {said}" in message
    assert "my_gpt.py: correct the model, or give forward=" in message
    assert Run.open(tmp_path / "run").results.folder.is_dir()


class Executed:
    """An object whose pickle calls a function."""

    def __reduce__(self) -> tuple:
        return print, ("executed",)


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (
            {"step": 5, "loss": 2.5},
            "for the command line, where --model is what weights are loaded into, save the state",
        ),
        ({"model": Executed()}, "for the command line, where --model is what weights are loaded into, save the state"),
        ({"w": torch.ones(3)}, "give the model= (--model on the command line) that was trained"),
    ],
)
def test_a_checkpoint_that_cannot_be_read_gets_a_remedy_of_the_command_line(
    content: dict, remedy: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    torch.save(content, tmp_path / "ckpt_0.pt")
    words = ("--run", tmp_path / "run", "--model", f"{nano_gpt.__file__}:adapted")
    assert run_command("analyze", tmp_path / "ckpt_{step}.pt", *words) == 2
    printed = capsys.readouterr()
    assert remedy in printed.err
    assert "executed\n" not in printed.out


def test_a_run_that_was_analyzed_before_findings_were_noted_opens(trainer: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert run_command("analyze", trainer, "--run", run, "--quiet") == 0
    record = json.loads((run / "config.json").read_text())
    del record["series"]["findings"]
    write_record(run, {"series": record["series"]})
    opened = Run.open(run)
    assert isinstance(opened, SeriesRun) and opened.source.findings == ()


def test_new_checkpoints_alone_are_evaluated(trainer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from grok_interp.runs.huggingface_folders import HuggingFaceFolders

    run = tmp_path / "run"
    assert run_command("analyze", trainer, "--run", run, "--every", 3, "--quiet") == 0
    loaded: list[int] = []
    load = HuggingFaceFolders.load

    def noted(series: HuggingFaceFolders, step: int) -> object:
        loaded.append(step)
        return load(series, step)

    monkeypatch.setattr(HuggingFaceFolders, "load", noted)
    assert run_command("analyze", trainer, "--run", run, "--every", 3, "--quiet") == 0
    assert loaded == []
    assert run_command("analyze", trainer, "--run", run, "--quiet") == 0
    assert loaded[:2] == [1, 2]
    assert Run.open(run).steps == STEPS


@pytest.mark.parametrize("is_listed", [False, True])
def test_the_token_that_a_tokenizer_puts_first_is_used_whether_it_is_listed_as_special_or_not(
    trainer: Path, tmp_path: Path, is_listed: bool
) -> None:
    run = tmp_path / "run"
    save_tokenizer(trainer, bos=True, is_listed=is_listed)
    assert run_command("analyze", trainer, "--run", run, "--quiet") == 0
    inputs = evaluation_inputs(Run.open(run))
    assert inputs.samples.task.bos == 0 and 0 not in inputs.samples.task.alphabet
    assert (inputs.tokens[:, 0] == 0).all() and (inputs.tokens[:, 1:] != 0).all()
    assert run_command("report", run) == 0
    assert "token 0 (BOS) is first" in page(run)


def test_a_tokenizer_that_is_given_later_brings_its_bos(trainer: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert run_command("analyze", trainer, "--run", run, "--quiet") == 0
    assert noted_inputs(Run.open(run)).bos is None
    for place in ("listed", "other"):
        (tmp_path / place).mkdir()
    file = save_tokenizer(tmp_path / "listed", bos=True)
    assert run_command("analyze", trainer, "--run", run, "--tokenizer", file, "--quiet") == 0
    assert noted_inputs(Run.open(run)).bos == 0
    assert run_command("analyze", trainer, "--run", run, "--bos", 7, "--quiet") == 0
    other = save_tokenizer(tmp_path / "other", n_more=1)
    assert run_command("analyze", trainer, "--run", run, "--tokenizer", other, "--quiet") == 0
    assert noted_inputs(Run.open(run)).bos == 7, "as it was given"


@pytest.mark.parametrize("bos", [SYMBOLS.index("\n"), SYMBOLS.index("0")])
def test_a_bos_that_tests_would_use_is_left_out_of_them(trainer: Path, tmp_path: Path, bos: int) -> None:
    save_tokenizer(trainer)
    run = tmp_path / "run"
    assert run_command("analyze", trainer, "--run", run, "--bos", bos, "--quiet") == 0
    inputs = evaluation_inputs(Run.open(run))
    assert inputs.samples.task.bos == bos != inputs.samples.task.separator
    assert (inputs.hexadecimal is None) == (SYMBOLS[bos] == "0")


def test_a_text_is_never_read_with_another_tokenizer(
    trainer: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run, text, other = tmp_path / "run", tmp_path / "text.txt", tmp_path / "other"
    text.write_text("a plain text of letters, digits and more. " * 60)
    other.mkdir()
    assert run_command("analyze", trainer, "--run", run, "--text", text) == 2
    assert run_command("analyze", trainer, "--run", run, "--quiet") == 0
    save_tokenizer(trainer)
    given = ("--tokenizer", trainer / "tokenizer.json", "--text", text)
    assert run_command("analyze", trainer, "--run", run, *given, "--quiet") == 0
    before = noted_inputs(Run.open(run))
    capsys.readouterr()
    file = save_tokenizer(other, n_more=1)
    assert run_command("analyze", trainer, "--run", run, "--tokenizer", file) == 2
    assert "text.txt was encoded with another tokenizer" in capsys.readouterr().err
    after = noted_inputs(Run.open(run))
    assert after.vocabulary.common == before.vocabulary.common and torch.equal(after.text, before.text)
    kept = run / "results" / "tokenizer.json"
    assert run_command("analyze", trainer, "--run", run, "--tokenizer", kept, "--quiet") == 0


def test_a_bos_that_is_refused_is_not_kept(trainer: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert run_command("analyze", trainer, "--run", run, "--bos", -1) == 2
    assert run_command("analyze", trainer, "--run", run, "--quiet") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["out"], "give --run DIR, where results are kept"),
        (["out", "--run", "run", "--every", "0"], "--every must be 1 or more"),
        (["out", "--run", "run", "--revisions", "step{step}"], "--revisions are those of a hub"),
        (["out", "--run", "run", "--text", "nothing.txt"], "no file nothing.txt"),
        (["out", "--run", "run", "--text", "notes.txt"], "no tokenizer came with the checkpoints: give --tokenizer"),
        (["out", "--run", "run", "--tokenizer", "notes.txt"], "notes.txt is no tokenizer.json"),
        (["out", "--run", "run", "--tokenizer", "large/tokenizer.json"], "has 60 tokens, the model's vocabulary 47"),
        (["out", "--run", "run", "--tokenizer", "beyond/tokenizer.json"], "adds token 50 to every text, the model's"),
        (["hub:lab/nothing", "--run", "run", "--max-gb", "0"], "--max-gb must be above 0, got 0.0"),
        (["out", "--run", "run", "--bos", "47"], "--bos must be a token of the model, 0 to 46, got 47"),
        (["out", "--run", "run", "--figure", "copying/fig99"], "no figure copying/fig99"),
        (["out", "--run", "other"], "other holds files but no run"),
        (["empty", "--run", "run"], "no series of checkpoints at empty: expected"),
        (["out/check-{step}", "--run", "run"], "nothing fits 'out/check-{step}'"),
        (["hub:lab/nothing", "--run", "run"], "HF_HUB_OFFLINE"),
        (["w_{step}.pt", "--run", "run", "--model", "gone.py:model"], "neither a preset nor FILE.py:NAME"),
        (["w_{step}.p*", "--run", "run", "--model", "copier-tiny"], "one checkpoint per step is needed"),
    ],
)
def test_bad_input_gets_one_message(
    trainer: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "other", "large", "beyond"):
        Path(folder).mkdir()
    save_tokenizer(Path("beyond"), bos=True, is_listed=False, first=50)
    save_tokenizer(Path("large"), n_more=20)
    for file in ("notes.txt", "other/notes.txt", "w_1.pt", "w_1.pth"):
        Path(file).write_text("some words")
    assert run_command("analyze", *words) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_folder_belongs_to_one_series(trainer: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = tmp_path / "run"
    assert run_command("analyze", trainer, "--run", run, "--every", 3) == 0
    shutil.copytree(trainer, tmp_path / "out2")
    assert run_command("analyze", tmp_path / "out2", "--run", run) == 2
    assert f"holds the results of {trainer}: give --run another directory" in capsys.readouterr().err
    assert run_command("train", "copier-tiny", "--run", run) == 2
    assert "has checkpoints from elsewhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("source", 3),
            ("options", "--every"),
            ("checksums", {}),
            ("model", {"n_layers": 2}),
            ("tokens_per_step", -1),
        ),
        *(("findings", value) for value in ("config", [["config", [2]]], [["config", 2, "said"]], [["", [2], "said"]])),
    ],
)
def test_a_reference_that_is_not_valid_is_refused(
    trainer: Path, tmp_path: Path, capsys: pytest.CaptureFixture, name: str, value: object
) -> None:
    file = tmp_path / "run" / "config.json"
    file.parent.mkdir()
    sizes = {name: 1 for name in ("n_layers", "n_heads", "d_model", "d_vocab", "n_ctx", "n_params")}
    series = {"source": "out", "options": [], "checksums": {"0": "00"}, "tokens_per_step": None}
    series["model"] = {"architecture": "tiny", **sizes}
    file.write_text(json.dumps({"series": series | {name: value}}))
    assert run_command("report", file.parent) == 2
    assert f"series.{name}" in capsys.readouterr().err
