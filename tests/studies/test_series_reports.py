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
from local_hub import LocalHub, serving
from trainer_folder import CFG, STEPS, SYMBOLS, page, run_command, save_tokenizer

from grok_interp import Run, Transformer, induction_scores, is_run, llama_copier, to_huggingface
from grok_interp.runs import hub_files
from grok_interp.runs.series_run import SeriesRun
from grok_interp.studies.copying.copying_results import analyze, evaluation_inputs
from grok_interp.studies.watch import watch_run

REPOSITORY = "lab/tiny-60k"


@pytest.fixture
def hub(saved: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    for step in STEPS:
        folder = shutil.copytree(saved / f"checkpoint-{step}", tmp_path / "hub" / REPOSITORY / f"step{step}")
        save_tokenizer(folder, bos=True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(hub_files, "WAITS", (0.0,))
    with serving(tmp_path / "hub") as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        yield served


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
    assert "fraction of the total drop in validation loss" in page(run)
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


def save_one_layer(checkpoint: Path) -> None:
    """A model of another architecture than the others of the series."""
    other = llama_copier(n_layers=1, n_heads=2, d_model=16, d_mlp=20, d_vocab=47, n_ctx=64)
    to_huggingface(Transformer(other, seed=0)).save_pretrained(checkpoint)


def test_mixed_architectures_keep_what_was_evaluated(
    trainer: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    save_one_layer(trainer / "checkpoint-2")
    run = tmp_path / "run"
    assert run_command("analyze", trainer, "--run", run) == 2
    said = capsys.readouterr().err
    assert "checkpoint-2, has n_layers 1 where step 0, read before it, has 2: `audit` finds" in said
    assert "leave it out (--skip STEP" in said
    assert run_command("report", run) == 0
    assert "evaluated at 2 of 4 checkpoints" in page(run)


def test_results_of_the_odd_one_are_not_joined_with_those_of_the_others(
    trainer: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    save_one_layer(trainer / "checkpoint-0")
    run = tmp_path / "run"
    assert run_command("analyze", trainer, "--run", run) == 2
    assert "has n_layers 2 where step 0, read before it, has 1" in capsys.readouterr().err
    for options in ((), ("--skip", "0")):
        assert run_command("analyze", trainer, "--run", run, *options) == 2
        said = capsys.readouterr().err
        assert "of another architecture than now (another layer axis): evaluate into another folder" in said
    assert run_command("analyze", trainer, "--run", tmp_path / "another", "--skip", "0") == 0


def test_sizes_are_those_of_the_checkpoints_that_are_left(trainer: Path, tmp_path: Path) -> None:
    """The first is another model, with as many layers and heads."""
    fresh = tmp_path / "fresh"
    assert run_command("analyze", trainer, "--run", fresh, "--skip", "0") == 0
    own = Run.open(fresh).model
    sizes = dict(n_layers=own.n_layers, n_heads=own.n_heads, d_vocab=own.d_vocab, n_ctx=own.n_ctx)
    other = llama_copier(**sizes, d_model=2 * own.d_model, d_mlp=20)
    to_huggingface(Transformer(other, seed=0)).save_pretrained(trainer / "checkpoint-0")
    run = tmp_path / "run"
    assert run_command("analyze", trainer, "--run", run) == 2
    assert Run.open(run).model.d_model == other.d_model
    assert run_command("analyze", trainer, "--run", run, "--skip", "0") == 0
    assert Run.open(run).model == own
