"""Results of a series are those of its weights and of the config that they are computed with."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nano_gpt
import numpy as np
import pytest
import torch
from trainer_folder import STEPS, run_command
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformers import GPT2Config, GPT2LMHeadModel

from grok_interp import CheckpointSeries, Run, Transformer, preset
from grok_interp.models.hooked import hooked
from grok_interp.runs.config_hashes import config_hash
from grok_interp.runs.foreign_series import FileSeries
from grok_interp.runs.record import write_record
from grok_interp.runs.series_run import SeriesRun
from grok_interp.studies.copying.copying_results import analyze


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps of the checkpoints that are loaded from now on."""
    found: list[int] = []
    load = FileSeries.load

    def noted(series: FileSeries, step: int) -> object:
        found.append(step)
        return load(series, step)

    monkeypatch.setattr(FileSeries, "load", noted)
    return found


def scores(run: Path) -> np.ndarray:
    """Induction scores: checkpoint x layer x head."""
    return analyze(Run.open(run)).induction["I"].values


def edit(config: Path, **fields: object) -> None:
    values = json.loads(config.read_text())
    assert fields.keys() <= values.keys()
    config.write_text(json.dumps(values | fields))


@pytest.mark.parametrize(
    "repaired",
    [{"rms_norm_eps": 0.5}, {"hidden_act": "relu"}, {"rope_parameters": {"rope_theta": 3.0, "rope_type": "default"}}],
)
def test_a_repaired_config_is_evaluated_anew(trainer: Path, tmp_path: Path, loaded: list[int], repaired: dict) -> None:
    run = tmp_path / "run"
    assert run_command("analyze", trainer, "--run", run, "--quiet") == 0
    before = scores(run)
    loaded.clear()
    edit(trainer / "checkpoint-2" / "config.json", transformers_version="0", use_cache=False)  # computes nothing
    assert run_command("analyze", trainer, "--run", run, "--quiet") == 0
    assert loaded == []
    edit(trainer / "checkpoint-2" / "config.json", **repaired)
    assert run_command("analyze", trainer, "--run", run, "--quiet") == 0
    assert set(loaded) == {2}
    after, others = scores(run), [place for place, step in enumerate(STEPS) if step != 2]
    assert np.array_equal(before[others], after[others])
    assert not np.array_equal(before[STEPS.index(2)], after[STEPS.index(2)])
    loaded.clear()
    assert run_command("analyze", trainer, "--run", run, "--quiet") == 0
    assert loaded == []


def test_another_model_for_state_dicts_is_evaluated_anew(tmp_path: Path, loaded: list[int]) -> None:
    shell, run = tmp_path / "my_gpt.py", tmp_path / "run"
    shell.write_text(Path(nano_gpt.__file__).read_text())
    for step in (0, 1):
        torch.save(nano_gpt.trained(step).state_dict(), tmp_path / f"ckpt_{step}.pt")
    words = ("analyze", tmp_path / "ckpt_{step}.pt", "--run", run, "--model", f"{shell}:adapted", "--quiet")
    assert run_command(*words) == 0
    before = scores(run)
    loaded.clear()
    shell.write_text(f"# with a comment\n{shell.read_text()}")
    assert run_command(*words) == 0
    assert loaded == []
    shell.write_text(shell.read_text().replace("nn.LayerNorm(D_MODEL)", "nn.LayerNorm(D_MODEL, eps=0.5)"))
    assert run_command(*words) == 0
    assert set(loaded) == {0, 1}
    assert not np.array_equal(before[0], scores(run)[0])


def test_what_was_stored_before_configs_were_noted_is_still_reported(
    trainer: Path, tmp_path: Path, loaded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("grok_interp.runs.huggingface_folders.HuggingFaceFolders.config_hash", lambda *_: "")
        assert run_command("analyze", trainer, "--run", run, "--quiet") == 0
    record = json.loads((run / "config.json").read_text())
    assert record["series"].pop("configs") == {}
    write_record(run, {"series": record["series"]})
    before = scores(run)
    loaded.clear()
    assert run_command("report", run, "--quiet") == 0
    assert loaded == []
    assert run_command("analyze", trainer, "--run", run, "--quiet") == 0
    assert set(loaded) == set(STEPS), "nobody knows with which configs they were computed"
    assert np.array_equal(before, scores(run))


def test_models_that_a_function_returns_are_known_by_their_config(tmp_path: Path, loaded: list[int]) -> None:
    for step in (0, 7):
        (tmp_path / f"model_{step}.txt").write_text(str(step))

    def run_with(eps: float) -> SeriesRun:
        cfg = replace(preset("copier-tiny"), eps=eps)
        series = CheckpointSeries.from_files(
            tmp_path / "model_{step}.txt", load=lambda path: Transformer(cfg, seed=int(path.read_text()))
        )
        return SeriesRun.of_series(tmp_path / "run", series, source="files")

    first, again, other = (run_with(eps).source.configs for eps in (1e-6, 1e-6, 0.5))
    assert first == again and set(first) == {0, 7}
    assert first[0] != other[0]


def hooked_transformer(**options: Any) -> HookedTransformer:
    sizes: dict[str, Any] = dict(n_layers=1, n_heads=2, d_model=8, d_head=4, n_ctx=16, d_vocab=11, act_fn="gelu")
    return HookedTransformer(HookedTransformerConfig(**sizes | options))


def gpt2(**options: Any) -> GPT2LMHeadModel:
    sizes: dict[str, Any] = dict(
        n_layer=1, n_head=2, n_embd=8, vocab_size=11, n_positions=16, attn_implementation="eager"
    )
    return GPT2LMHeadModel(GPT2Config(**sizes | options))


@pytest.mark.filterwarnings("ignore:.*HookedTransformer.*:DeprecationWarning")
@pytest.mark.parametrize(
    ("build", "harmless", "other"),
    [
        (hooked_transformer, {"seed": 5, "init_mode": "xavier_uniform"}, {"eps": 0.5}),
        (hooked_transformer, {"model_name": "mine"}, {"act_fn": "relu"}),
        (hooked_transformer, {"initializer_range": 0.3}, {"dtype": torch.bfloat16}),
        (gpt2, {"resid_pdrop": 0.3}, {"layer_norm_epsilon": 0.5}),
        (lambda **options: hooked(gpt2(**options)), {"use_cache": False}, {"activation_function": "relu"}),
        (
            lambda **options: Transformer(replace(preset("copier-tiny"), **options), seed=0),
            {"attn_dropout": 0.3},
            {"eps": 0.5},
        ),
    ],
)
def test_a_hash_counts_what_changes_the_computation(build, harmless: dict, other: dict) -> None:
    assert config_hash(build()) == config_hash(build(**harmless)) != config_hash(build(**other))
