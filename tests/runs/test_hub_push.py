"""A run that is pushed to a hub, which the tests serve on the loopback: others load the same models."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hf_xet
import huggingface_hub
import pytest
import torch
from local_hub import LocalHub, serving

from grok_interp import CheckpointSeries, Run, Transformer, from_huggingface, push, training_preset
from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.data.foreign_vocabulary import TokenizerVocabulary
from grok_interp.runs import hub_files, hub_uploads

REPOSITORY = "lab/copier"
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # in the library's upload
STEPS = (0, 1, 3)


def trained(cfg, step: int) -> Transformer:
    return Transformer(cfg, seed=step).eval()


def written(config: TrainConfig, folder: Path, steps: tuple[int, ...] = STEPS, shift: int = 0) -> Run:
    return Run.write(folder, config, [(step, trained(config.model, step + shift)) for step in steps])


@pytest.fixture
def run(tiny: TrainConfig, tmp_path: Path) -> Run:
    return written(replace(tiny, n_steps=3, warmup_steps=0, checkpoint_steps=STEPS), tmp_path / "run")


@pytest.fixture
def hub(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """An empty hub; waits are short, and files are uploaded by the LFS protocol."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(hub_files, "WAITS", (0.0, 0.0, 0.0))
    (tmp_path / "hub").mkdir()
    with serving(tmp_path / "hub") as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        yield served


def uploads(hub: LocalHub) -> int:
    return sum(request.startswith("PUT") for request in hub.requests)


def test_what_is_pushed_is_loaded_again(hub: LocalHub, run: Run) -> None:
    from transformers import AutoModelForCausalLM

    assert push(run, REPOSITORY).uploaded == STEPS
    series = CheckpointSeries.from_hub(REPOSITORY)
    assert series.steps == run.steps
    tokens = torch.randint(0, 256, (3, 17), generator=torch.Generator().manual_seed(0))
    for step, model in series:
        torch.testing.assert_close(model(tokens), run.load(step)(tokens), atol=2e-5, rtol=1e-4)
        theirs = from_huggingface(AutoModelForCausalLM.from_pretrained(hub.revision(REPOSITORY, f"step{step}")))
        own = run.load(step)
        assert all(torch.equal(a, b) for a, b in zip(theirs.parameters(), own.parameters(), strict=True))


def test_main_is_the_last_checkpoint(hub: LocalHub, run: Run) -> None:
    push(run, REPOSITORY)
    weights = {name: (hub.revision(REPOSITORY, name) / "model.safetensors").read_bytes() for name in ("main", "step3")}
    assert weights["main"] == weights["step3"]


def test_what_comes_with_the_weights(hub: LocalHub, run: Run) -> None:
    """The configuration is the run's, without local paths; the tokenizer is that of bytes."""
    push(run, REPOSITORY)
    folder = hub.revision(REPOSITORY, "step1")
    record = json.loads((folder / "grok_interp.json").read_text())
    assert (record["step"], record["weights"]) == (1, run.checkpoints.checksum(1))
    expected = run.config.with_data(source="pathlib.txt").to_dict()
    assert record["train"] == json.loads(json.dumps(expected))
    card = (folder / "README.md").read_text()
    assert "Steps: 0, 1, 3." in card and f'from_hub("{REPOSITORY}")' in card
    everything = b"".join(file.read_bytes() for file in folder.iterdir())
    assert str(Path(run.config.data.source).parent).encode() not in everything
    vocabulary = TokenizerVocabulary.load(folder / "tokenizer.json", 256)
    assert vocabulary.encode("aé \n\0") == [97, 0xC3, 0xA9, 32, 10, 0]


def test_a_second_push_uploads_nothing(hub: LocalHub, run: Run) -> None:
    push(run, REPOSITORY)
    before = uploads(hub)
    again = push(run, REPOSITORY)
    assert (again.uploaded, again.skipped, again.n_bytes) == ((), STEPS, 0)
    assert uploads(hub) == before == len(STEPS)


def test_an_interrupted_push_resumes(hub: LocalHub, run: Run) -> None:
    hub.fails_after = 1
    with pytest.raises(ValueError, match="cannot be reached"):
        push(run, REPOSITORY)
    assert CheckpointSeries.from_hub(REPOSITORY).steps == (0,)
    hub.fails_after = None
    assert push(run, REPOSITORY).uploaded == (1, 3)
    assert CheckpointSeries.from_hub(REPOSITORY).steps == STEPS


def test_checkpoints_that_came_since_are_added_and_main_stays_last(hub: LocalHub, run: Run) -> None:
    push(run, REPOSITORY)
    run.checkpoints.save(2, trained(run.config.model, 2))
    assert push(run, REPOSITORY).uploaded == (2, 3)
    last = hub.revision(REPOSITORY, "step3") / "model.safetensors"
    assert (hub.revision(REPOSITORY, "main") / "model.safetensors").read_bytes() == last.read_bytes()


def test_a_dry_run_writes_nothing(hub: LocalHub, run: Run) -> None:
    planned = push(run, REPOSITORY, dry_run=True)
    assert planned.uploaded == STEPS and planned.n_bytes > 3 * 4 * run.config.model.n_params
    assert not any(request.startswith(("POST", "PUT")) for request in hub.requests)
    assert str(planned).startswith("lab/copier: 3 revisions to upload (")


@pytest.mark.parametrize(("dry_run", "n_waits"), [(True, 0), (False, 3)])
def test_a_dry_run_does_not_wait_for_a_hub_that_is_not_there(
    hub: LocalHub, run: Run, monkeypatch: pytest.MonkeyPatch, dry_run: bool, n_waits: int
) -> None:
    waits: list[float] = []
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(hub_files.time, "sleep", waits.append)
    with pytest.raises(ValueError, match="lab/copier at http://127.0.0.1:9 cannot be reached"):
        push(run, REPOSITORY, dry_run=dry_run)
    assert len(waits) == n_waits


def test_a_dry_run_gives_up_on_a_hub_that_does_not_answer(
    hub: LocalHub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_uploads, "DRY_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ValueError, match="lab/copier at .* cannot be reached"):
            push(run, REPOSITORY, dry_run=True)


@pytest.mark.skipif(huggingface_hub.__version__ < "2", reason="huggingface_hub 1 does without Xet by itself")
@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, r"has no Xet.*\(404 Not Found\).*set HF_HUB_DISABLE_XET=1.*the same command then resumes"),
        (405, r"has no Xet.*set HF_HUB_DISABLE_XET=1"),
        (403, r"refuses it .*403 Forbidden.*log in with `hf auth login`"),
    ],
)
def test_a_hub_that_refuses_xet_is_asked_once_and_the_remedy_is_named(
    hub: LocalHub, run: Run, monkeypatch: pytest.MonkeyPatch, status: int, message: str
) -> None:
    waits: list[float] = []
    hub.xet = status
    monkeypatch.setattr(hub_files.time, "sleep", waits.append)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", False)
    with pytest.raises(ValueError, match=message):
        push(run, REPOSITORY)
    assert not waits
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    assert push(run, REPOSITORY).uploaded == STEPS


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("XetAuthenticationError", "refuses it .*log in with"),
        ("XetObjectNotFoundError", "fails at Xet, .*expired.*check the network, or set HF_HUB_DISABLE_XET=1"),
    ],
)
def test_errors_of_the_client_of_xet_are_explained(hub: LocalHub, error: str, message: str) -> None:
    def upload() -> None:
        raise getattr(hf_xet, error)("expired")

    with pytest.raises(ValueError, match=message):
        hub_uploads.HubUploads(REPOSITORY).ask(upload)


def test_a_private_repository(hub: LocalHub, run: Run) -> None:
    push(run, REPOSITORY, private=True)
    assert (hub.folder / REPOSITORY / ".visibility" / "private").exists()


def test_another_run_is_not_pushed_over_it(hub: LocalHub, run: Run, tmp_path: Path) -> None:
    push(run, REPOSITORY)
    other = written(run.config, tmp_path / "other", shift=7)
    with pytest.raises(ValueError, match="revision step0 of lab/copier has other weights than .*other. Nothing was up"):
        push(other, REPOSITORY)


def put(hub: LocalHub, revision: str, **files: str) -> None:
    """Files that somebody else has put into a revision; `_` of a name stands for its dot."""
    folder = hub.revision(REPOSITORY, revision)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)


def everything(hub: LocalHub) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in (hub.folder / REPOSITORY).rglob("*") if file.is_file()}


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"model_safetensors": "theirs", "config_json": "{}"},
            "main has config.json, model.safetensors, and it has no",
        ),
        ({"pytorch_model_bin": "theirs"}, "main has pytorch.model.bin, and it has no grok_interp.json"),
        ({"model_ckpt": "theirs"}, "main has model.ckpt, and it has no grok_interp.json"),
    ],
)
def test_a_model_from_elsewhere_is_kept(
    hub: LocalHub, run: Run, files: dict[str, str], said: str, dry_run: bool
) -> None:
    put(hub, "main", **files)
    before = everything(hub)
    with pytest.raises(ValueError, match=f"lab/copier holds a model that is not of .*run: {said}") as refusal:
        push(run, REPOSITORY, dry_run=dry_run)
    assert str(refusal.value).endswith("Nothing was uploaded: push into another repository")
    assert everything(hub) == before


@pytest.mark.parametrize("revision", ["step512", "checkpoint-100"])
def test_a_series_from_elsewhere_is_not_mixed_with_the_run(hub: LocalHub, run: Run, revision: str) -> None:
    put(hub, "main", README_md="a card")
    put(hub, revision, model_safetensors="theirs", config_json="{}")
    before = everything(hub)
    with pytest.raises(ValueError, match=f"{revision} has config.json, model.safetensors, and it has no grok_interp"):
        push(run, REPOSITORY)
    assert everything(hub) == before


@pytest.mark.parametrize("there", ["{", "[]", "{}", '{"train": {}, "data": {"hash": ""}}'])
def test_a_record_that_is_no_runs_is_not_that_of_the_run(hub: LocalHub, run: Run, there: str) -> None:
    push(run, REPOSITORY)
    (hub.revision(REPOSITORY, "main") / "grok_interp.json").write_text(there)
    with pytest.raises(ValueError, match="and its grok_interp.json is not that of a run"):
        push(run, REPOSITORY)


def test_a_repository_with_a_card_alone_is_empty(hub: LocalHub, run: Run) -> None:
    put(hub, "main", README_md="a card", _gitattributes="")
    assert push(run, REPOSITORY).uploaded == STEPS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"intervene": ("L0H1 zero from 1",)}, r"intervene: \(\) there, \('L0H1 zero from 1',\) here"),
        ({"n_steps": 5}, "n_steps: 3 there, 5 here"),  # the learning rate falls more slowly
    ],
)
def test_another_training_with_the_same_initialization_is_refused(
    hub: LocalHub, run: Run, tmp_path: Path, change: dict, said: str
) -> None:
    push(run, REPOSITORY)
    other = written(replace(run.config, **change), tmp_path / "other", (0,))
    before = everything(hub)
    with pytest.raises(ValueError, match=f"not of .*other: main has .*it was trained otherwise .{said}.. Nothing"):
        push(other, REPOSITORY)
    assert everything(hub) == before


def test_a_training_on_other_data_is_refused(hub: LocalHub, run: Run) -> None:
    push(run, REPOSITORY)
    record = hub.revision(REPOSITORY, "main") / "grok_interp.json"
    facts = json.loads(record.read_text())
    record.write_text(json.dumps({**facts, "data": {"hash": "0" * 64}}))
    with pytest.raises(ValueError, match="and it was trained on other data. Nothing was uploaded"):
        push(run, REPOSITORY)


def test_a_run_that_was_trained_further_is_pushed_again(hub: LocalHub, tiny: TrainConfig, tmp_path: Path) -> None:
    config = replace(tiny, n_steps=3, warmup_steps=0, final_factor=1.0, checkpoint_steps=STEPS)
    push(written(config, tmp_path / "run"), REPOSITORY)
    longer = replace(config, n_steps=7, checkpoint_steps=(*STEPS, 5))
    moved = Run.write(tmp_path / "longer", longer, [(each, trained(config.model, each)) for each in (*STEPS, 5, 7)])
    assert push(moved, REPOSITORY).uploaded == (5, 7)
    weights = {name: (hub.revision(REPOSITORY, name) / "model.safetensors").read_bytes() for name in ("main", "step7")}
    assert weights["main"] == weights["step7"]


@pytest.mark.parametrize("steps", [STEPS, (1,)])
def test_a_shorter_copy_leaves_main_at_the_newest_step(
    hub: LocalHub, tiny: TrainConfig, tmp_path: Path, steps: tuple[int, ...]
) -> None:
    longer = replace(tiny, n_steps=7, warmup_steps=0, final_factor=1.0, checkpoint_steps=(*STEPS, 7))
    push(written(longer, tmp_path / "longer", (*STEPS, 7)), REPOSITORY)
    before = everything(hub)
    shorter = written(replace(longer, n_steps=3, checkpoint_steps=STEPS), tmp_path / "shorter", steps)
    again = push(shorter, REPOSITORY)
    assert (again.uploaded, again.skipped) == ((), steps)
    assert everything(hub) == before


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_shorter_copy_with_another_step_is_refused(
    hub: LocalHub, tiny: TrainConfig, tmp_path: Path, dry_run: bool
) -> None:
    longer = replace(tiny, n_steps=7, warmup_steps=0, final_factor=1.0, checkpoint_steps=STEPS)
    push(written(longer, tmp_path / "longer", (*STEPS, 7)), REPOSITORY)
    before = everything(hub)
    shorter = written(replace(longer, n_steps=3, checkpoint_steps=(2,)), tmp_path / "shorter", (0, 2))
    said = "lab/copier has step 7 of this training, and .*shorter, which ends at step 2, has step 2, which is not there"
    with pytest.raises(ValueError, match=said + ".*Nothing was uploaded: push a copy of the run that has step 7 too"):
        push(shorter, REPOSITORY, dry_run=dry_run)
    assert everything(hub) == before


def test_other_weights_are_refused_before_anything_is_uploaded(hub: LocalHub, run: Run, tmp_path: Path) -> None:
    """Also where an earlier step is missing on the hub."""
    push(run, REPOSITORY)
    other = written(run.config, tmp_path / "other", shift=7)
    other.checkpoints.save(0, trained(run.config.model, 0))
    other.checkpoints.path(1).unlink()
    other.checkpoints.save(2, trained(run.config.model, 2))
    before = everything(hub)
    with pytest.raises(ValueError, match="revision step3 of lab/copier has other weights"):
        push(other, REPOSITORY)
    assert everything(hub) == before


def test_a_token_that_may_not_write(hub: LocalHub, run: Run) -> None:
    hub.read_only = True
    with pytest.raises(ValueError, match="lab/copier at http.* refuses it .*log in with `hf auth login`, or set HF_T"):
        push(run, REPOSITORY)


def test_a_run_without_checkpoints(hub: LocalHub, tiny: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no checkpoints yet"):
        push(Run.create(tmp_path / "empty", tiny), REPOSITORY)


def test_a_modular_run_has_no_tokenizer(hub: LocalHub, tmp_path: Path) -> None:
    config = replace(training_preset("modular-p11"), n_steps=3, checkpoint_steps=(0,), warmup_steps=0)
    run = written(config, tmp_path / "modular", steps=(0,))
    push(run, "lab/modular")
    assert not (hub.revision("lab/modular", "step0") / "tokenizer.json").exists()
    tokens = torch.arange(11)[None]
    theirs = CheckpointSeries.from_hub("lab/modular").load(0)
    torch.testing.assert_close(theirs(tokens), run.load(0)(tokens), atol=2e-5, rtol=1e-4)


def test_the_command_and_the_analysis_of_what_it_pushed(hub: LocalHub, run: Run, tmp_path: Path, capsys) -> None:
    main(["push", str(run), REPOSITORY, "--dry-run"])
    assert "3 revisions to upload" in capsys.readouterr().out
    assert main(["push", str(run), REPOSITORY, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["uploaded"] == list(STEPS)
    assert main(["analyze", f"hub:{REPOSITORY}", "--run", str(tmp_path / "theirs"), "--quiet"]) == 0
    assert Run.open(tmp_path / "theirs").steps == STEPS
