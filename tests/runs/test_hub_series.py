"""Revisions on a hub, which the tests make and serve on the loopback."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

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
from grok_interp.cli import main
from grok_interp.files import DamagedFileError
from grok_interp.runs import hub_files
from grok_interp.runs.hub_series import HubSeries

CFG = llama_copier(n_layers=2, n_heads=2, d_model=16, d_mlp=20, d_vocab=31, n_ctx=24)
TOKENS = repeated_tokens(n_sequences=3, half=7, alphabet=range(31), seed=0)
REPOSITORY = "lab/tiny-60k"
STEPS = (0, 1, 2, 512, 1000)
NAMED = f"step 2, revision 'step2' of {REPOSITORY},"


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


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("api/models", "api/models/lab", "api/unknown", "nothing", "lab/gone/resolve/1/a")),
        *(("GET", f"api/models/{REPOSITORY}/{rest}") for rest in ("unknown", "tree/main/", "revision")),
        *(("POST", f"api/models/{REPOSITORY}{rest}") for rest in ("", "/unknown", "/unknown/main", "/settings")),
        *(("POST", path) for path in ("api/unknown", "api/models/lab/gone/preupload/main")),
    ],
)
def test_the_local_hub_answers_404_to_an_unknown_path(
    method: str, path: str, hub: LocalHub, capfd: pytest.CaptureFixture
) -> None:
    with pytest.raises(HTTPError, match="404"):
        urlopen(Request(f"{hub.address}/{path}", method=method, data=b"{}" if method == "POST" else None))
    assert capfd.readouterr().err == ""


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
        ({"skip": [2]}, (0, 1, 512, 1000)),
        ({"every": 2, "skip": (2, 1)}, (0, 1000)),
    ],
)
def test_some_revisions(hub: LocalHub, options: dict, steps: tuple[int, ...]) -> None:
    assert CheckpointSeries.from_hub(REPOSITORY, **options).steps == steps


def test_tokens_for_an_update_are_those_of_the_suite(hub: LocalHub) -> None:
    hub.revision(REPOSITORY, "main").parent.rename(hub.folder / "EleutherAI")
    (hub.folder / "EleutherAI").rename(hub.folder / "pythia-60k")
    (hub.folder / "EleutherAI").mkdir()
    (hub.folder / "pythia-60k").rename(hub.folder / "EleutherAI/pythia-60k")
    for revisions in (None, "step{step}", ["step512"]):
        series = CheckpointSeries.from_hub("EleutherAI/pythia-60k", revisions=revisions)
        assert isinstance(series, HubSeries)
        assert series.tokens(512) == 512 * 2_097_152 and series.tokens_per_step == 2_097_152
    shifted = CheckpointSeries.from_hub("EleutherAI/pythia-60k", revisions="step51{step}")
    assert shifted.tokens_per_step is None, "its steps are not those of the suite"


@pytest.mark.parametrize("tokens", ["4B", "2.5B"])
def test_rounded_tokens_of_one_name_say_nothing_of_an_update(tokens: str, hub: LocalHub) -> None:
    hub.revision(REPOSITORY, "step2").rename(hub.revision(REPOSITORY, f"iter3-tokens{tokens}"))
    series = CheckpointSeries.from_hub(REPOSITORY, revisions="iter{step}-tokens{tokens}B")
    assert isinstance(series, HubSeries)
    assert series.tokens(3) == float(tokens[:-1]) * 10**9
    assert series.tokens_per_step is None


def test_a_tokenizer_is_downloaded_without_weights(hub: LocalHub) -> None:
    (hub.revision(REPOSITORY, "step1000") / "tokenizer.json").write_text("{}")
    series = CheckpointSeries.from_hub(REPOSITORY)
    file = series.tokenizer_file()
    assert file is not None and file.read_text() == "{}"
    assert [request.rpartition("/")[2] for request in hub.downloads()] == ["tokenizer.json"]


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


def test_a_config_that_does_not_fit_its_weights_is_named(hub: LocalHub) -> None:
    edit_config(hub.revision(REPOSITORY, "step2"), num_key_value_heads=1)
    findings = audit(CheckpointSeries.from_hub(REPOSITORY)).findings
    (finding,) = [each for each in findings if each.steps == (2,)]
    assert finding.kind == "config"
    assert f"{NAMED} has model.layers.0.self_attn.k_proj.weight of shape" in finding.message


def test_the_command_audits_the_revisions_that_are_named(hub: LocalHub, capsys: pytest.CaptureFixture) -> None:
    for step in STEPS:
        hub.revision(REPOSITORY, f"step{step}").rename(hub.revision(REPOSITORY, f"iter-{step}"))
    assert main(["audit", f"hub:{REPOSITORY}"]) == 2
    assert "--revisions" in capsys.readouterr().err
    spoil_weights(hub.revision(REPOSITORY, "iter-2"))
    words = ["audit", f"hub:{REPOSITORY}", "--revisions", "iter-{step}", "--json"]
    assert main(words) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [(each["kind"], each["steps"]) for each in findings if each["kind"] == "unreadable"] == [("unreadable", [2])]
    assert main([*words, "--skip", "2", "512", "--max-gb", "1"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["steps"] == [0, 1, 1000]
    assert "unreadable" not in [each["kind"] for each in facts["findings"]]


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


def test_without_a_network_by_choice_nothing_is_waited_for(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub_files.time, "sleep", lambda _: pytest.fail("it was tried again"))
    with pytest.raises(ValueError, match="is not read while HF_HUB_OFFLINE is set: unset it"):
        CheckpointSeries.from_hub(REPOSITORY)


def test_an_unreachable_hub(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ValueError, match=r"tiny-60k at http://127.0.0.1:9 cannot be reached"):
        CheckpointSeries.from_hub(REPOSITORY)


def test_a_missing_repository(hub: LocalHub) -> None:
    with pytest.raises(ValueError, match="no repository lab/nothing at .*check the name, or log in"):
        CheckpointSeries.from_hub("lab/nothing")


@pytest.mark.parametrize("name", ["a b", "", "me/toy/x", "me/", "-me/toy"])
def test_what_is_no_name_of_a_repository(name: str, hub: LocalHub, capsys: pytest.CaptureFixture) -> None:
    expected = f"repository must be owner/name, as EleutherAI/pythia-70m, got {name!r}"
    with pytest.raises(ValueError, match=re.escape(expected)):
        CheckpointSeries.from_hub(name)
    assert main(["audit", f"hub:{name}"]) == 2
    assert expected in " ".join(capsys.readouterr().err.split())


def test_a_missing_revision_is_refused_with_those_that_are_there(hub: LocalHub) -> None:
    with pytest.raises(ValueError, match=r"no revision 'step3'; it has 6, among them \['main', 'step0'"):
        CheckpointSeries.from_hub(REPOSITORY, revisions=["step1", "step3"])


def test_a_revision_that_was_deleted_meanwhile(hub: LocalHub) -> None:
    series = CheckpointSeries.from_hub(REPOSITORY)
    hub.revision(REPOSITORY, "step2").rename(hub.folder / "elsewhere")
    expected = f"{NAMED} is not at {hub.address}: leave it out with skip=[2]"
    for ask in (series.load, series.weights, series.checksum):
        with pytest.raises(ValueError) as refusal:
            ask(2)
        assert str(refusal.value) == expected


def spoil_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"nothing")


def spoil_config(folder: Path) -> None:
    (folder / "config.json").write_text("nothing")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoil_weights, "cannot be read as a causal language model"),
        (spoil_config, "cannot be read as a causal language model"),
        (lambda folder: (folder / "config.json").unlink(), "has weights and no config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "is no checkpoint (no model"),
        (lambda folder: edit_config(folder, num_hidden_layers=1), "has 9 weights that a model"),
    ],
)
def test_a_bad_revision_is_named_with_its_step_and_can_be_left_out(
    spoil: Callable[[Path], object], reason: str, hub: LocalHub, own_cache: Path
) -> None:
    spoil(hub.revision(REPOSITORY, "step2"))
    series = CheckpointSeries.from_hub(REPOSITORY)
    with pytest.raises(ValueError) as refusal:
        series.load(2)
    assert str(refusal.value).startswith(f"{NAMED} {reason}")
    assert str(refusal.value).endswith(": leave it out with skip=[2]")
    assert str(own_cache) not in str(refusal.value)
    assert CheckpointSeries.from_hub(REPOSITORY, skip=[2]).steps == (0, 1, 512, 1000)


def test_a_revision_of_another_architecture_is_named_as_any_other(hub: LocalHub) -> None:
    other = llama_copier(n_layers=1, n_heads=2, d_model=16, d_mlp=20, d_vocab=31, n_ctx=24)
    to_huggingface(Transformer(other, seed=0)).save_pretrained(hub.revision(REPOSITORY, "step2"))
    with pytest.raises(ValueError) as refusal:
        list(CheckpointSeries.from_hub(REPOSITORY))
    said = f"{NAMED} has n_layers 1 where step 0, read before it, has 2: `audit` finds the one that differs from most"
    assert str(refusal.value).startswith(said)


@pytest.mark.parametrize(
    ("skip", "message"),
    [([3], r"skip=\[3\] is no step of the series, its steps are 0, 1, 2, 512, 1000"), (STEPS, "leaves no checkpoint")],
)
def test_steps_to_skip_that_are_not_there_or_all_there_are(skip: Sequence[int], message: str, hub: LocalHub) -> None:
    with pytest.raises(ValueError, match=message):
        CheckpointSeries.from_hub(REPOSITORY, skip=skip)


def test_names_that_say_no_step(hub: LocalHub) -> None:
    with pytest.raises(
        ValueError, match=r"no revision of lab/tiny-60k is named like a checkpoint.*pattern with {step}"
    ):
        CheckpointSeries.from_hub(REPOSITORY, revisions="iter-{step}")


def test_a_revision_without_weights(hub: LocalHub) -> None:
    (hub.revision(REPOSITORY, "step2") / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="step 2, revision 'step2' of lab/tiny-60k, is no checkpoint \\(no model"):
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


def test_a_cache_larger_than_any_disk(hub: LocalHub) -> None:
    assert CheckpointSeries.from_hub(REPOSITORY, max_gb=1e300).steps == STEPS


def test_without_the_library_the_extra_is_named(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"pip install 'grok-interp\[hub\]'"):
        CheckpointSeries.from_hub(REPOSITORY)
