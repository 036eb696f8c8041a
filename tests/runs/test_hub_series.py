"""Revisions on a hub, which the tests make and serve on the loopback."""

import json
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import torch
from local_hub import LocalHub, serving

from grok_interp import (
    CheckpointSeries,
    Transformer,
    audit,
    induction_scores,
    llama_copier,
    repeated_tokens,
    to_huggingface,
)
from grok_interp.files import DamagedFileError
from grok_interp.runs import hub_files

CFG = llama_copier(n_layers=2, n_heads=2, d_model=16, d_mlp=20, d_vocab=31, n_ctx=24)
TOKENS = repeated_tokens(n_sequences=3, half=7, alphabet=range(31), seed=0)
REPOSITORY = "lab/tiny-60k"
STEPS = (0, 1, 2, 512, 1000)


def trained(step: int) -> Transformer:
    return Transformer(CFG, seed=step).eval()


@pytest.fixture(scope="module")
def revisions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub's folder with one repository, `main` beside the steps."""
    folder = tmp_path_factory.mktemp("hub")
    for name, step in {"main": 1000, **{f"step{step}": step for step in STEPS}}.items():
        to_huggingface(trained(step)).save_pretrained(folder / REPOSITORY / name)
    return folder


@pytest.fixture
def hub(revisions: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A copy of the repository, served; waits are short."""
    import shutil

    shutil.copytree(revisions, tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(hub_files, "WAITS", (0.0, 0.0, 0.0))
    with serving(tmp_path / "hub") as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        yield served


def edit_config(folder: Path, **fields: int) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def folders(cache: Path) -> list[Path]:
    return [file.parent for file in cache.rglob(hub_files.COMPLETE)]


def test_steps_and_tokens_come_from_the_names(hub: LocalHub) -> None:
    series = CheckpointSeries.from_hub(REPOSITORY)
    assert series.steps == STEPS
    assert series.tokens(512) is None, "Pythia's tokens for an update are not those of another repository"
    assert series.tokens_per_step is None
    assert hub.downloads() == [], "nothing is downloaded before it is needed"


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"every": 2}, (0, 2, 1000)),
        ({"revisions": ["step512", "step1"]}, (1, 512)),
        ({"revisions": "step51{step}"}, (2,)),
    ],
)
def test_some_revisions(hub: LocalHub, options: dict, steps: tuple[int, ...]) -> None:
    assert CheckpointSeries.from_hub(REPOSITORY, **options).steps == steps


def test_scores_are_those_of_the_models(hub: LocalHub) -> None:
    series = CheckpointSeries.from_hub(REPOSITORY, every=2)
    found = induction_scores(series, TOKENS)
    expected = induction_scores([(step, trained(step)) for step in (0, 2, 1000)], TOKENS)
    for score in ("Abar", "EP"):
        torch.testing.assert_close(
            torch.tensor(found[score].values),
            torch.tensor(expected[score].values),
            atol=2e-5,
            rtol=1e-4,
        )


def test_a_checkpoint_is_downloaded_once_and_without_what_is_not_needed(hub: LocalHub) -> None:
    (hub.revision(REPOSITORY, "step2") / "pytorch_model.bin").write_bytes(b"the same weights as a pickle")
    series = CheckpointSeries.from_hub(REPOSITORY)
    series.load(2)
    names = {request.rpartition("/")[2] for request in hub.downloads()}
    assert names == {"config.json", "model.safetensors"}
    before = len(hub.downloads())
    CheckpointSeries.from_hub(REPOSITORY).load(2)
    assert len(hub.downloads()) == before


def test_checksums_need_no_download_and_tell_equal_weights(hub: LocalHub) -> None:
    twin, original = (hub.revision(REPOSITORY, name) / "model.safetensors" for name in ("step1", "step512"))
    twin.write_bytes(original.read_bytes())
    series = CheckpointSeries.from_hub(REPOSITORY)
    assert series.checksum(1) == series.checksum(512) != series.checksum(2)
    assert hub.downloads() == []


def test_weights_that_the_config_does_not_have_are_refused(hub: LocalHub) -> None:
    edit_config(hub.revision(REPOSITORY, "step2"), num_hidden_layers=1)
    with pytest.raises(DamagedFileError, match="has 9 weights that a model of its config.json does not have"):
        CheckpointSeries.from_hub(REPOSITORY).load(2)


def test_an_audit_reads_configs_without_further_weights(hub: LocalHub) -> None:
    twin, original = (hub.revision(REPOSITORY, name) / "model.safetensors" for name in ("step1", "step512"))
    twin.write_bytes(original.read_bytes())
    edit_config(hub.revision(REPOSITORY, "step512"), num_attention_heads=4, num_key_value_heads=4, head_dim=4)
    findings = audit(CheckpointSeries.from_hub(REPOSITORY)).findings
    assert ("config", (512,)) in [(each.kind, each.steps) for each in findings]
    assert sum("safetensors" in request for request in hub.downloads()) == len(STEPS) - 1, "step 512 equals step 1"
    assert sum("config.json" in request for request in hub.downloads()) == len(STEPS)
    CheckpointSeries.from_hub(REPOSITORY).load(512)
    assert sum("safetensors" in request for request in hub.downloads()) == len(STEPS)


def test_the_cache_is_bounded_and_what_was_used_last_stays(hub: LocalHub, tmp_path: Path) -> None:
    one = sum(file.stat().st_size for file in hub.revision(REPOSITORY, "step1").iterdir())
    cache = tmp_path / "downloads"
    series = CheckpointSeries.from_hub(REPOSITORY, cache=cache, max_gb=2.5 * one / 1e9)
    for step in (0, 1, 0, 2):
        series.load(step)
    assert len(folders(cache)) == 2
    before = len(hub.downloads())
    series.load(0)
    assert len(hub.downloads()) == before, "step 0 was used after step 1, so step 1 was deleted"
    series.load(1)
    assert len(hub.downloads()) > before


def test_one_checkpoint_larger_than_the_bound_is_kept_alone(hub: LocalHub, tmp_path: Path) -> None:
    series = CheckpointSeries.from_hub(REPOSITORY, cache=tmp_path / "downloads", max_gb=1e-9)
    series.load(0)
    series.load(1)
    assert len(folders(tmp_path / "downloads")) == 1


def test_a_revision_that_moved_is_downloaded_again(hub: LocalHub) -> None:
    CheckpointSeries.from_hub(REPOSITORY).load(1)
    to_huggingface(trained(99)).save_pretrained(hub.revision(REPOSITORY, "step1"))
    moved = CheckpointSeries.from_hub(REPOSITORY).load(1)
    torch.testing.assert_close(moved(TOKENS), trained(99)(TOKENS), atol=2e-5, rtol=1e-4)


def test_a_busy_hub_is_asked_again(hub: LocalHub) -> None:
    hub.busy = 2
    assert CheckpointSeries.from_hub(REPOSITORY).steps == STEPS
    assert hub.busy == 0


def test_a_download_that_is_interrupted_goes_on(hub: LocalHub) -> None:
    series = CheckpointSeries.from_hub(REPOSITORY)
    hub.busy = 3
    torch.testing.assert_close(series.load(1)(TOKENS), trained(1)(TOKENS), atol=2e-5, rtol=1e-4)


def test_a_full_disk_is_noticed_before_the_download(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(ValueError, match="0.0 GB are free: make room, or give cache=, a folder on another disk"):
        CheckpointSeries.from_hub(REPOSITORY).load(1)
    assert hub.downloads() == []


def test_a_hub_that_stays_busy_is_given_up(hub: LocalHub) -> None:
    hub.busy = 10**6
    with pytest.raises(ValueError, match="cannot be reached.*check the network and HF_ENDPOINT.*is kept"):
        CheckpointSeries.from_hub(REPOSITORY)
    assert len(hub.requests) < 50


# What is refused


def test_an_unreachable_hub(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ValueError, match=r"tiny-60k at http://127.0.0.1:9 cannot be reached"):
        CheckpointSeries.from_hub(REPOSITORY)


def test_a_missing_repository(hub: LocalHub) -> None:
    with pytest.raises(ValueError, match="no repository lab/nothing at .*check the name, or log in"):
        CheckpointSeries.from_hub("lab/nothing")


def test_a_missing_revision_is_refused_with_those_that_are_there(hub: LocalHub) -> None:
    with pytest.raises(ValueError, match=r"no revision 'step3'; it has 6, among them \['main', 'step0'"):
        CheckpointSeries.from_hub(REPOSITORY, revisions=["step1", "step3"])


def test_a_revision_that_was_deleted_meanwhile(hub: LocalHub) -> None:
    series = CheckpointSeries.from_hub(REPOSITORY)
    hub.revision(REPOSITORY, "step2").rename(hub.folder / "elsewhere")
    with pytest.raises(ValueError, match="has no revision 'step2': give revisions= that it has"):
        series.load(2)


def test_names_that_say_no_step(hub: LocalHub) -> None:
    with pytest.raises(
        ValueError, match=r"no revision of lab/tiny-60k is named like a checkpoint.*pattern with {step}"
    ):
        CheckpointSeries.from_hub(REPOSITORY, revisions="iter-{step}")


def test_a_revision_without_weights(hub: LocalHub) -> None:
    (hub.revision(REPOSITORY, "step2") / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="revision 'step2' of lab/tiny-60k is no checkpoint: it has no model"):
        CheckpointSeries.from_hub(REPOSITORY).load(2)


def test_a_pickle_on_the_hub_is_not_executed(hub: LocalHub, tmp_path: Path) -> None:
    class Planted:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "executed",)

    folder = hub.revision(REPOSITORY, "step2")
    (folder / "model.safetensors").unlink()
    torch.save({"model.embed_tokens.weight": Planted()}, folder / "pytorch_model.bin")
    with pytest.raises(DamagedFileError, match="cannot be read as a causal language model"):
        CheckpointSeries.from_hub(REPOSITORY).load(2)
    assert not (tmp_path / "executed").exists()


def test_architectures_with_code_of_their_own_are_not_executed(hub: LocalHub, tmp_path: Path) -> None:
    import json

    folder = hub.revision(REPOSITORY, "step2")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoModelForCausalLM": "modeling.Own", "AutoConfig": "modeling.C"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')")
    with pytest.raises(DamagedFileError, match="code of their own are not executed"):
        CheckpointSeries.from_hub(REPOSITORY).load(2)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("options", [{"every": 0}, {"max_gb": 0}])
def test_options_out_of_range(hub: LocalHub, options: dict) -> None:
    with pytest.raises(ValueError, match="every must be 1 or more and max_gb above 0"):
        CheckpointSeries.from_hub(REPOSITORY, **options)


def test_without_the_library_the_extra_is_named(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"pip install 'grok-interp\[hub\]'"):
        CheckpointSeries.from_hub(REPOSITORY)
