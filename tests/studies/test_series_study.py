"""Checkpoints from elsewhere through the command line, each from nothing to a report by two commands."""

import json
import shlex
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import nano_gpt
import pytest
import torch
from families import FAMILIES
from local_hub import LocalHub, serving
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from grok_interp import CheckpointSeries, Run, Transformer, induction_scores, is_run, llama_copier, to_huggingface
from grok_interp.cli import main
from grok_interp.runs import hub_files
from grok_interp.runs.record import write_record
from grok_interp.runs.series_run import SeriesRun
from grok_interp.studies.copying.results import analyze, evaluation_inputs
from grok_interp.studies.copying.series_inputs import noted_inputs
from grok_interp.studies.watch import watch_run

CFG = llama_copier(n_layers=2, n_heads=2, d_model=16, d_mlp=20, d_vocab=47, n_ctx=64)
SYMBOLS = ["<s>", "\n", *"0123456789abcdefghijklmnopqrstuvwxyz.,"]
REPOSITORY = "lab/tiny-60k"
STEPS = (0, 1, 2, 512)


def trained(step: int) -> Transformer:
    return Transformer(CFG, seed=step).eval()


def save_tokenizer(folder: Path, *, bos: bool = False, is_listed: bool = True, n_more: int = 0, first: int = 0) -> Path:
    """One token for each character, and `n_more`; with `bos`, token `first` before every text, listed as special."""
    symbols = [*SYMBOLS, *(f"more {number}" for number in range(n_more))]
    vocabulary = {symbol: number for number, symbol in enumerate(symbols)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="."))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    if is_listed:
        tokenizer.add_special_tokens(["<s>"])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", first)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def save_trainer(folder: Path, steps: tuple[int, ...] = STEPS) -> Path:
    for step in steps:
        to_huggingface(trained(step)).save_pretrained(folder / f"checkpoint-{step}")
    return folder


@pytest.fixture
def trainer(tmp_path: Path) -> Path:
    """Trainer's output_dir."""
    return save_trainer(tmp_path / "out")


@pytest.fixture
def hub(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    for step in STEPS:
        folder = tmp_path / "hub" / REPOSITORY / f"step{step}"
        to_huggingface(trained(step)).save_pretrained(folder)
        save_tokenizer(folder, bos=True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(hub_files, "WAITS", (0.0,))
    with serving(tmp_path / "hub") as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        yield served


def run_command(*words: object) -> int:
    return main([*map(str, words), *(["--device", "cpu"] if words[0] not in ("list", "audit") else [])])


def page(run: Path) -> str:
    return (run / "report.html").read_text()


def test_a_hub_from_nothing_to_a_report_that_needs_no_network(
    hub: LocalHub, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run = tmp_path / "pythia"
    assert run_command("analyze", f"hub:{REPOSITORY}", "--every", 3, "--run", run, "--quiet") == 0
    asked = len(hub.requests)
    assert run_command("report", run) == 0
    assert "too few, 8 are needed." in capsys.readouterr().out
    assert "exact-match accuracy on hexadecimal strings" in page(run)
    assert run_command("reproduce", "copying/fig6", "--run", run) == 0
    assert run_command("reproduce", "copying/fig2", "--run", run) == 0
    assert len(hub.requests) == asked, "only the command that names the hub uses the network"
    assert Run.open(run).steps == (0, 512)
    text = page(run)
    assert f"hub:{REPOSITORY}" in text and "token 0 (BOS) is first" in text
    assert f"{512 * 2_097_152:,}" not in text, "these are the tokens of Pythia"
    assert "No validation text was named" in text
    assert (run / "figures" / "copying_fig6.pdf").stat().st_size > 1000
    inputs = evaluation_inputs(Run.open(run))
    assert inputs.samples.task.bos == 0 and inputs.tokens.shape[1] % 2 == 1
    assert inputs.hexadecimal is not None
    assert inputs.hexadecimal.task.alphabet == tuple(SYMBOLS.index(digit) for digit in "0123456789abcdef")


def test_revisions_of_a_hub_by_name(hub: LocalHub, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run, source = tmp_path / "run", f"hub:{REPOSITORY}"
    assert run_command("analyze", source, "--revisions", "step512", "step1", "--run", run, "--quiet") == 0
    opened = Run.open(run)
    assert opened.steps == (1, 512) and isinstance(opened, SeriesRun)
    assert opened.command() == f"grok-interp analyze {source} --run {run} --revisions step512 step1"
    assert run_command("analyze", source, "--revisions", "step1{step}", "step2", "--run", run) == 2
    assert "takes names of revisions, or one pattern; 'step1{step}' is a pattern" in capsys.readouterr().err
    assert run_command("analyze", source, "--revisions", "step3", "--run", run) == 2
    assert "no revision 'step3'; it has 4" in (message := capsys.readouterr().err)
    assert "give --revisions names that it has" in message


def test_a_bad_revision_is_named_and_the_command_goes_on_without_it(
    hub: LocalHub, tmp_path: Path, own_cache: Path, capsys: pytest.CaptureFixture
) -> None:
    run, source = tmp_path / "run", f"hub:{REPOSITORY}"
    (hub.revision(REPOSITORY, "step2") / "model.safetensors").write_bytes(b"nothing")
    assert run_command("analyze", source, "--run", run) == 2
    message = capsys.readouterr().err
    assert f"step 2, revision 'step2' of {REPOSITORY}, cannot be read as a causal language model" in message
    assert message.strip().endswith("leave it out with --skip 2")
    assert str(own_cache) not in message and "skip=" not in message
    assert run_command("analyze", source, "--run", run, "--skip", 2) == 0
    assert Run.open(run).steps == (0, 1, 512)
    (hub.revision(REPOSITORY, "step1") / "model.safetensors").unlink()
    capsys.readouterr()
    assert run_command("analyze", source, "--run", run, "--skip", 2) == 2
    assert "step 1, revision 'step1' of lab/tiny-60k, is no checkpoint" in (message := capsys.readouterr().err)
    assert "--skip 1" in message
    assert run_command("analyze", source, "--run", run, "--skip", 1, 2, "--quiet") == 0
    assert Run.open(run).steps == (0, 512)


def test_ablations_download_a_revision_once_for_each_pass(hub: LocalHub, tmp_path: Path) -> None:
    """The disk has room for one checkpoint: the results, attention patterns, and ablations in all ways take a pass
    each."""
    text = tmp_path / "text.txt"
    text.write_text("a plain text of letters, digits and more. " * 60)
    words = ["--text", text, "--max-gb", 1e-9, "--figure", "copying/ablation"]
    assert run_command("analyze", f"hub:{REPOSITORY}", "--run", tmp_path / "run", *words) == 0
    weights = Counter(request.split("/")[-2] for request in hub.downloads() if request.endswith("safetensors"))
    assert len(weights) == len(STEPS)
    assert max(weights.values()) <= 3, weights


def test_skip_leaves_out_checkpoints_on_disk(trainer: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (trainer / "checkpoint-2" / "model.safetensors").write_bytes(b"nothing")
    run = tmp_path / "run"
    assert run_command("analyze", trainer, "--run", run, "--skip", 2, "--quiet") == 0
    assert Run.open(run).steps == (0, 1, 512)
    capsys.readouterr()
    assert run_command("analyze", trainer, "--run", run, "--skip", 3) == 2
    assert "--skip 3 is no step of the series, its steps are 0, 1, 2, 512" in capsys.readouterr().err


def test_what_was_evaluated_is_kept_when_the_hub_is_lost(
    hub: LocalHub, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, lost = tmp_path / "pythia", hub_files.HubRepository.download

    def download(repository: hub_files.HubRepository, revision: str) -> Path:
        if revision == "step2":
            monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
            repository._infos.clear()
        return lost(repository, revision)

    monkeypatch.setattr(hub_files.HubRepository, "download", download)
    assert run_command("analyze", f"hub:{REPOSITORY}", "--run", run) == 2
    assert "cannot be reached" in capsys.readouterr().err
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    assert run_command("report", run) == 0
    assert "Partial: evaluated at 2 of 4 checkpoints" in page(run)
    monkeypatch.setattr(hub_files.HubRepository, "download", lost)
    hub.requests.clear()
    shutil.rmtree(tmp_path / "cache")
    assert run_command("analyze", f"hub:{REPOSITORY}", "--run", run) == 0
    assert run_command("report", run) == 0
    assert "Partial" not in page(run)


def test_trainers_folder_without_a_tokenizer(trainer: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = tmp_path / "run"
    assert run_command("analyze", trainer, "--run", run, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert [fact["result"] for fact in facts] == ["accuracy", "induction"], "without text or digits"
    shutil.rmtree(trainer)
    assert run_command("report", run) == 0
    text = page(run)
    assert "tokens are numbers; no token is put first" in text
    assert "hexadecimal strings are left out" in text
    assert is_run(run) and isinstance(Run.open(run), SeriesRun)
    capsys.readouterr()
    assert run_command("list", "runs", "--folder", tmp_path, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["checkpoints"] == len(STEPS) and row["parameters"] == CFG.n_params and row["report"]


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


@pytest.mark.parametrize("has_text", [False, True])
def test_the_command_that_a_report_suggests_works(
    trainer: Path, tmp_path: Path, capsys: pytest.CaptureFixture, has_text: bool
) -> None:
    run, text = tmp_path / "run", tmp_path / "text.txt"
    text.write_text("a plain text of letters, digits and more. " * 60)
    save_tokenizer(trainer)
    assert run_command("analyze", trainer, "--run", run, *(["--text", text] if has_text else [])) == 0
    shutil.rmtree(trainer)
    capsys.readouterr()
    assert run_command("report", run) == 0
    (suggested,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("next: "))
    program, *words = shlex.split(suggested.removeprefix("next: "))
    assert program == "grok-interp" and words[0] == "reproduce"
    assert run_command(*words) == 0
    (drawn,) = (run / "figures").glob(f"{words[1].replace('/', '_')}.pdf")
    assert drawn.stat().st_size > 1000


def test_text_gives_a_loss_and_ablations(trainer: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run, text = tmp_path / "run", tmp_path / "text.txt"
    save_tokenizer(trainer)
    text.write_text("a plain text of letters, digits and more. " * 60)
    assert run_command("analyze", trainer, "--run", run, "--text", text, "--figure", "copying/ablation") == 0
    shutil.rmtree(trainer)
    capsys.readouterr()
    assert run_command("reproduce", "copying/ablation", "--run", run) == 0
    assert run_command("report", run) == 0
    assert "whether the models were trained on it is not known" in page(run)
    assert "fraction of the total fall of the validation loss" in page(run)
    assert run_command("reproduce", "copying/heads", "--run", run) == 2
    message = capsys.readouterr().err
    assert f"not evaluated at step 512: `grok-interp analyze {trainer} --run {run}` does it" in message


def test_files_of_a_plain_torch_model(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run, pattern, shell = tmp_path / "run", tmp_path / "ckpt_{step}.pt", tmp_path / "my_gpt.py"
    for step in STEPS:
        torch.save({"model": nano_gpt.trained(step).state_dict()}, str(pattern).format(step=step))
    shutil.copy(nano_gpt.__file__, shell)
    assert run_command("analyze", pattern, "--run", run) == 2
    assert "files of weights: give --model" in capsys.readouterr().err
    assert run_command("analyze", pattern, "--run", run, "--model", f"{shell}:nothing") == 2
    assert "my_gpt.py has no 'nothing'" in capsys.readouterr().err
    assert run_command("analyze", pattern, "--run", run, "--model", f"{shell}:adapted", "--bos", 3) == 0
    shell.unlink()
    assert run_command("report", run) == 0
    assert "21 numbered symbols" in page(run), "23 without BOS and the end of a string"
    assert "token 3 (BOS) is first" in page(run)
    found = induction_scores([(512, nano_gpt.adapted(512))], evaluation_inputs(Run.open(run)).tokens)
    stored = analyze(Run.open(run)).induction["I"].sel(checkpoint=[512])
    torch.testing.assert_close(torch.tensor(stored.values), torch.tensor(found["I"].values), atol=1e-6, rtol=1e-5)


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


def test_watch_shows_what_is_stored(trainer: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert run_command("analyze", trainer, "--run", run, "--every", 3, "--quiet") == 0
    shutil.rmtree(trainer)

    def shown(step: int) -> None:
        assert step == 512
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch_run(Run.open(run), port=0, on_page=shown, seconds=0)


def test_figures_of_a_flagged_series_say_so(trainer: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = tmp_path / "run"
    shutil.rmtree(trainer / "checkpoint-2")
    shutil.copytree(trainer / "checkpoint-512", trainer / "checkpoint-2")
    assert run_command("analyze", trainer, "--run", run) == 0
    assert "audit: duplicate: steps 2, 512 have the same weights" in capsys.readouterr().out
    assert run_command("reproduce", "copying/fig6", "--run", run) == 0
    assert "Audit of the checkpoints" in (run / "figures" / "copying_fig6.svg").read_text()
    assert run_command("report", run) == 0
    assert "steps 2, 512 have the same weights" in page(run)
    capsys.readouterr()
    assert run_command("audit", run) == 0
    assert "duplicate: steps 2, 512" in capsys.readouterr().out


def test_a_config_of_another_computation_is_told_by_the_report(
    trainer: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run, file = tmp_path / "run", trainer / "checkpoint-2" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"rms_norm_eps": 0.01}))
    assert run_command("analyze", trainer, "--run", run) == 0
    said = "config: the config of step 2 has rms_norm_eps 0.01 where the others have"
    assert f"audit: {said}" in capsys.readouterr().out
    shutil.rmtree(trainer)
    assert run_command("report", run) == 0
    assert said in page(run)
    capsys.readouterr()
    assert run_command("audit", run, "--json") == 0
    assert "config" in [each["kind"] for each in json.loads(capsys.readouterr().out)["findings"]]


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


# What is refused


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


def test_mixed_architectures_keep_what_was_evaluated(
    trainer: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    other = llama_copier(n_layers=1, n_heads=2, d_model=16, d_mlp=20, d_vocab=47, n_ctx=64)
    to_huggingface(Transformer(other, seed=0)).save_pretrained(trainer / "checkpoint-2")
    run = tmp_path / "run"
    assert run_command("analyze", trainer, "--run", run) == 2
    assert "checkpoint-2 has n_layers 1 where the others have 2" in capsys.readouterr().err
    assert run_command("report", run) == 0
    assert "evaluated at 2 of 4 checkpoints" in page(run)


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
