"""Checkpoints of other training loops: in memory, in files, in folders of Trainer."""

import json
import re
from itertools import product
from pathlib import Path

import pytest
import torch
from families import D_VOCAB, FAMILIES
from safetensors.torch import save_file
from torch import Tensor, nn

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
from grok_interp.models.activations import logits
from grok_interp.models.weights import canonical_views
from grok_interp.results.analyzer import Analyzer
from grok_interp.results.store import ResultStore
from grok_interp.runs.refused import RefusedCheckpointError
from grok_interp.runs.state_dicts import read_state_dict

CFG = llama_copier(n_layers=2, n_heads=2, d_model=16, d_mlp=20, d_vocab=31, n_ctx=24)
TOKENS = repeated_tokens(n_sequences=3, half=7, alphabet=range(31), seed=0)
STEPS = (0, 20, 100)


def trained(step: int, cfg=CFG) -> Transformer:
    return Transformer(cfg, seed=step).eval()


def save_all(folder: Path, name: str = "model_{step}.pt") -> str:
    """`torch.save` of the state dicts, written in another order than that of the steps."""
    for step in (100, 0, 20):
        torch.save(trained(step).state_dict(), folder / name.format(step=step))
    return str(folder / name)


def same_weights(model: Transformer, other: Transformer) -> bool:
    return all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def save_trainer(folder: Path, step: int, cfg=CFG, **options) -> None:
    to_huggingface(trained(step, cfg)).save_pretrained(folder / f"checkpoint-{step}", **options)


def edit_config(folder: Path, **fields: int) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def test_models_in_memory_are_sorted_by_step() -> None:
    series = CheckpointSeries.from_models([(step, trained(step)) for step in (100, 0, 20)])
    assert series.steps == STEPS
    assert same_weights(series.load(20), trained(20))
    assert series.checksum(20) == CheckpointSeries.from_models([(7, trained(20))]).checksum(7)
    assert len({series.checksum(step) for step in STEPS}) == 3


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "no models were given"),
        ([(3, None), (3, None)], "step 3 was given twice"),
        ([(-1, None)], "must be an integer of 0 or more, got -1"),
        ([(True, None)], "must be an integer of 0 or more, got True"),
    ],
)
def test_models_that_are_no_series_are_refused(pairs: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CheckpointSeries.from_models(pairs)


def test_files_are_in_the_order_of_their_steps_and_loaded_into_the_shell(tmp_path: Path) -> None:
    shell = trained(77)
    series = CheckpointSeries.from_files(save_all(tmp_path), model=shell)
    assert series.steps == STEPS
    for step in STEPS:
        assert same_weights(series.load(step), trained(step))
    assert same_weights(shell, trained(77)), "the shell is copied"


def test_scores_of_files_are_those_of_the_models(tmp_path: Path) -> None:
    series = CheckpointSeries.from_files(save_all(tmp_path), model=trained(77))
    expected = induction_scores([(step, trained(step)) for step in STEPS], TOKENS)
    assert induction_scores(series, TOKENS).dataset.equals(expected.dataset)


def test_one_model_is_in_memory_in_a_loop_and_load_gives_one_to_keep(tmp_path: Path) -> None:
    series = CheckpointSeries.from_files(save_all(tmp_path), model=trained(77))
    kept = series.load(0)
    passed_on = [model for _, model in series]
    assert [next(model.parameters()).is_meta for model in passed_on] == [True, True, False]
    assert same_weights(kept, trained(0))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"model": state, "iter": 5},
        lambda state: {"state_dict": state},
        lambda state: {"model": {"state_dict": state, "epoch": 1}, "optimizer": {}},
    ],
)
def test_state_dicts_inside_a_training_state_are_found(wrap, tmp_path: Path) -> None:
    state = {f"_orig_mod.{name}": weight for name, weight in trained(5).state_dict().items()}
    torch.save(wrap(state), tmp_path / "ckpt_5.pt")
    series = CheckpointSeries.from_files(tmp_path / "ckpt_{step}.pt", model=trained(77))
    assert same_weights(series.load(5), trained(5))


def test_safetensors_under_hooked_transformers_names(tmp_path: Path) -> None:
    weights = {name: view.contiguous() for name, view in canonical_views(trained(5)).items()}
    (tmp_path / "step-5").mkdir()
    save_file(weights, tmp_path / "step-5" / "model.safetensors")
    series = CheckpointSeries.from_files(tmp_path / "step-{step}" / "model.safetensors", model=trained(77))
    assert same_weights(series.load(5), trained(5))


def test_a_function_may_load_a_model_or_a_state_dict(tmp_path: Path) -> None:
    pattern = save_all(tmp_path)

    def model(path: Path) -> Transformer:
        return trained(int(path.stem.removeprefix("model_")))

    def state(path: Path) -> dict[str, Tensor]:
        return model(path).state_dict()

    of_models = CheckpointSeries.from_files(pattern, load=model)
    of_states = CheckpointSeries.from_files(pattern, load=state, model=trained(77))
    assert same_weights(of_models.load(20), of_states.load(20))
    passed_on = [each for _, each in of_models]
    assert not any(next(each.parameters()).is_meta for each in passed_on), "the caller's models are the caller's"


def test_checksums_follow_the_content(tmp_path: Path) -> None:
    series = CheckpointSeries.from_files(save_all(tmp_path), model=trained(77))
    before = series.checksum(20)
    assert before == series.checksum(20) != series.checksum(0)
    torch.save(trained(21).state_dict(), tmp_path / "model_20.pt")
    assert series.checksum(20) != before


def test_results_of_a_foreign_series_are_stored_by_checksum(tmp_path: Path) -> None:
    from grok_interp.analysis.induction import InductionScores

    series = CheckpointSeries.from_files(save_all(tmp_path), model=trained(77))
    evaluated: list[int] = []

    def scores(step: int, model: Transformer) -> InductionScores:
        evaluated.append(step)
        return induction_scores([(step, model)], TOKENS)

    analyzer, store = Analyzer("induction", InductionScores, {"half": 7}, scores), ResultStore(tmp_path / "results")
    (first,) = store.evaluate([analyzer], series, steps=series.steps)
    torch.save(trained(21).state_dict(), tmp_path / "model_20.pt")
    (second,) = store.evaluate([analyzer], series, steps=series.steps)
    assert evaluated == [0, 20, 100, 20]
    assert first["I"].sel(checkpoint=100).equals(second["I"].sel(checkpoint=100))


def test_a_trainer_folder_gives_bridges_with_the_models_logits(tmp_path: Path) -> None:
    for step in (500, 1000):
        save_trainer(tmp_path, step)
    (tmp_path / "runs").mkdir()  # Trainer's logs
    series = CheckpointSeries.from_huggingface_folder(tmp_path)
    assert series.steps == (500, 1000)
    for step, model in series:
        torch.testing.assert_close(logits(model, TOKENS), logits(trained(step), TOKENS), atol=2e-5, rtol=1e-4)
    ours = induction_scores([(step, trained(step)) for step in series.steps], TOKENS)
    torch.testing.assert_close(
        torch.tensor(induction_scores(series, TOKENS)["Abar"].values),
        torch.tensor(ours["Abar"].values),
        atol=2e-5,
        rtol=1e-4,
    )


def test_a_trainer_folder_is_loaded_without_progress_bars_and_those_of_the_user_stay(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    from transformers.utils.logging import set_tqdm_hook, tqdm

    save_trainer(tmp_path, 500)
    (tmp_path / "checkpoint-600").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "checkpoint-600" / name).write_text("{}")
    series, made = CheckpointSeries.from_huggingface_folder(tmp_path), []
    before = set_tqdm_hook(lambda make, args, kwargs: made.append(args) or make(*args, **kwargs))
    try:
        capfd.readouterr()
        series.load(500)
        with pytest.raises(ValueError, match="cannot be read as a causal language model"):
            series.load(600)
        assert capfd.readouterr() == ("", "") and made == []
        list(tqdm(range(3)))
        assert made == [(range(3),)]
    finally:
        set_tqdm_hook(before)


# What is refused


def test_a_pattern_that_matches_nothing_lists_what_is_there(tmp_path: Path) -> None:
    save_all(tmp_path)
    with pytest.raises(ValueError, match=r"nothing fits .*modle_\{step\}\.pt.*has \['model_0.pt', 'model_100.pt'"):
        CheckpointSeries.from_files(tmp_path / "modle_{step}.pt")


@pytest.mark.parametrize("pattern", ["model.pt", "model_{stp}.pt", "model_{step}_{seed}.pt"])
def test_a_pattern_needs_the_step(pattern: str) -> None:
    with pytest.raises(ValueError, match=re.escape("'ckpts/model_{step}.pt'")):
        CheckpointSeries.from_files(pattern)


def test_two_files_for_one_step_are_refused(tmp_path: Path) -> None:
    save_all(tmp_path)
    (tmp_path / "model_020.pt").touch()
    with pytest.raises(ValueError, match=r"got .*model_020.pt and .*model_20.pt for step 20: narrow the pattern"):
        CheckpointSeries.from_files(tmp_path / "model_{step}.pt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"PK\x03\x04 cut short"])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_file_that_is_no_checkpoint_is_named(content: bytes, suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"model_5.{suffix}").write_bytes(content)
    series = CheckpointSeries.from_files(tmp_path / f"model_{{step}}.{suffix}", model=trained(0))
    with pytest.raises(ValueError, match=rf"model_5.{suffix} is no checkpoint"):
        series.load(5)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize(
    "text", ["experiment notes", "hello", "Größe: 3\nand more", "a", "Mean loss", "{}", '{"loss": 2}']
)
def test_a_text_is_no_checkpoint_and_its_beginning_is_shown(text: str, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"model_5.{suffix}"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DamagedFileError) as refused:
        read_state_dict(file)
    words = " ".join(text.split())
    assert f"{file} is no checkpoint: it is a text that begins with {words!r}; delete it" in str(refused.value)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_whatever_a_file_begins_with_its_refusal_has_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "model_5.pt"
    for begin in product(map(bytes, zip(range(256))), (b"", b"\xff", b"\xff\x00aaa\n.")):
        file.write_bytes(b"".join(begin))
        with pytest.raises(ValueError, match=r"model_5\.pt (is no checkpoint|must hold a state dict)") as refused:
            read_state_dict(file)
        assert not re.search(r"\(\d*\)", str(refused.value)), begin


def test_a_file_that_is_cut_short_is_damaged(tmp_path: Path) -> None:
    save_all(tmp_path)
    path = tmp_path / "model_20.pt"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DamagedFileError, match="model_20.pt is no checkpoint or is cut short.*copy it again"):
        read_state_dict(path)


class Planted:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return Path.touch, (self.file,)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    torch.save({"model": Planted(tmp_path / "executed")}, tmp_path / "model_5.pt")
    series = CheckpointSeries.from_files(tmp_path / "model_{step}.pt", model=trained(0))
    with pytest.raises(ValueError, match="Python objects, which are not executed. If you trust it, give load="):
        series.load(5)
    assert not (tmp_path / "executed").exists()


def test_a_state_dict_needs_a_shell(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds a state dict: give model="):
        CheckpointSeries.from_files(save_all(tmp_path)).load(20)


def test_a_file_without_a_state_dict_says_what_it_has(tmp_path: Path) -> None:
    torch.save({"step": 5, "loss": 2.5}, tmp_path / "model_5.pt")
    with pytest.raises(ValueError, match=r"must hold a state dict.*got the entries \['step', 'loss'\]"):
        CheckpointSeries.from_files(tmp_path / "model_{step}.pt", model=trained(0)).load(5)


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ({1: torch.ones(2)}, "an entry under 1 (int)"),
        ({"model": {"w": torch.ones(2), "n": torch.eye(3).to_sparse()}}, "a sparse tensor under 'n'"),
        ({"w": torch.eye(3).to_sparse_coo()}, "a sparse tensor under 'w'"),
        ({"w": torch.ones(2, device="meta")}, "a meta tensor under 'w'"),
        ({"n": torch.ones(2).int(), "b": torch.ones(2).bool()}, "whole numbers alone (torch.int32 under 'n')"),
    ],
)
def test_a_state_dict_without_dense_tensors_under_names_is_refused(state: dict, found: str, tmp_path: Path) -> None:
    file = tmp_path / "model_5.pt"
    torch.save(state, file)
    torch.save({"w": torch.ones(2)}, tmp_path / "model_6.pt")
    series = CheckpointSeries.from_files(tmp_path / "model_{step}.pt", model=nn.Linear(1, 1))
    expected = f"{file} must hold a state dict, which maps names of weights to dense tensors, got {found}: return such "
    for read in (series.load, series.weights, lambda step: read_state_dict(file)):
        with pytest.raises(RefusedCheckpointError, match=re.escape(expected)):
            read(5)
    findings = audit(CheckpointSeries.from_files(tmp_path / "model_{step}.pt")).findings
    assert [(each.kind, each.steps) for each in findings] == [("unreadable", (5,))]


@pytest.mark.parametrize("kind", [torch.complex64, torch.int32])
def test_numbers_of_another_kind_than_the_models_are_refused(kind: torch.dtype, tmp_path: Path) -> None:
    """torch would drop the imaginary parts."""
    shell = nn.Linear(1, 1)
    torch.save({**shell.state_dict(), "weight": torch.ones(1, 1).to(kind)}, tmp_path / "model_5.pt")
    series = CheckpointSeries.from_files(tmp_path / "model_{step}.pt", model=shell)
    for read in (series.load, series.weights):
        with pytest.raises(
            ValueError, match=rf"numbers of another kind, weight of {kind} for torch.float32; give a mo"
        ):
            read(5)


def test_a_state_dict_of_another_size_is_refused(tmp_path: Path) -> None:
    pattern = save_all(tmp_path)
    shell = Transformer(llama_copier(n_layers=1, n_heads=2, d_model=16, d_mlp=24, d_vocab=31, n_ctx=24))
    with pytest.raises(ValueError, match=r"model_20.pt does not fit the model: .*unknown blocks.1.*\(one architecture"):
        CheckpointSeries.from_files(pattern, model=shell).load(20)


def test_mixed_architectures_are_refused(tmp_path: Path) -> None:
    save_trainer(tmp_path, 500)
    save_trainer(tmp_path, 1000, llama_copier(n_layers=1, n_heads=2, d_model=16, d_mlp=20, d_vocab=31, n_ctx=24))
    series = CheckpointSeries.from_huggingface_folder(tmp_path)
    said = "step 1000, .*checkpoint-1000, has n_layers 1 where step 500, read before it, has 2: `audit` finds "
    with pytest.raises(ValueError, match=said):
        list(series)
    with pytest.raises(ValueError, match="step 500, .*has n_layers 2 where step 1000, read before it, has 1"):
        list(CheckpointSeries.from_huggingface_folder(tmp_path).at((1000, 500)))


def test_folders_that_are_none_of_trainers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no folder .*give Trainer's output_dir"):
        CheckpointSeries.from_huggingface_folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="nothing fits"):
        CheckpointSeries.from_huggingface_folder(tmp_path)
    (tmp_path / "checkpoint-7").mkdir()
    with pytest.raises(ValueError, match="checkpoint-7 has no model.safetensors and no pytorch_model.bin"):
        CheckpointSeries.from_huggingface_folder(tmp_path).load(7)


def test_a_trainer_folder_with_missing_or_damaged_weights_is_refused(tmp_path: Path) -> None:
    save_trainer(tmp_path, 500)
    file = tmp_path / "checkpoint-500" / "model.safetensors"
    weights = read_state_dict(file)
    save_file({name: weight for name, weight in weights.items() if "norm" not in name}, file, {"format": "pt"})
    with pytest.raises(DamagedFileError, match=r"checkpoint-500 lacks 5 weights of its config.json"):
        CheckpointSeries.from_huggingface_folder(tmp_path).load(500)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DamagedFileError, match="checkpoint-500 cannot be read as a causal language model"):
        CheckpointSeries.from_huggingface_folder(tmp_path).load(500)


def test_weights_that_the_config_does_not_have_are_refused(tmp_path: Path) -> None:
    """transformers drops them in silence, and the scores would be those of another model."""
    save_trainer(tmp_path, 500)
    edit_config(tmp_path / "checkpoint-500", num_hidden_layers=1)
    series = CheckpointSeries.from_huggingface_folder(tmp_path)
    message = r"checkpoint-500 has 9 weights that a model of its config.json .*\(model.layers.1.*: copy the config.json"
    for read in (series.load, series.weights):
        with pytest.raises(DamagedFileError, match=message):
            read(500)
    (finding,) = audit(series).findings
    assert (finding.kind, finding.steps) == ("config", (500,))


CONSTANTS = {"attn.bias": (1, 1, 24, 24), "attn.masked_bias": (), "attn.rotary_emb.inv_freq": (4,)}


@pytest.mark.parametrize("names", [[], list(CONSTANTS)])
@pytest.mark.parametrize("tied_is_stored", [False, True])
def test_constants_and_tied_weights_that_older_files_hold_are_harmless(
    names: list[str], tied_is_stored: bool, tmp_path: Path
) -> None:
    model = FAMILIES["GPT-2"].build().hf
    expected = model(TOKENS % D_VOCAB).logits
    model.save_pretrained(tmp_path / "checkpoint-500")
    file = tmp_path / "checkpoint-500" / "model.safetensors"
    weights = read_state_dict(file)
    weights |= {f"transformer.h.0.{name}": torch.ones(CONSTANTS[name]) for name in names}
    weights |= {"lm_head.weight": weights["transformer.wte.weight"].clone()} if tied_is_stored else {}
    save_file(weights, file, {"format": "pt"})
    loaded = CheckpointSeries.from_huggingface_folder(tmp_path).load(500)
    torch.testing.assert_close(logits(loaded, TOKENS % D_VOCAB), expected, atol=2e-5, rtol=1e-4)
    save_file(weights | {"transformer.h.0.attn.extra.weight": torch.ones(3)}, file, {"format": "pt"})
    with pytest.raises(DamagedFileError, match="has 1 weight that a model"):
        CheckpointSeries.from_huggingface_folder(tmp_path).load(500)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_loads_from_a_folder(family: str, tmp_path: Path) -> None:
    model = FAMILIES[family].build().hf
    model.save_pretrained(tmp_path / "checkpoint-5")
    weights = CheckpointSeries.from_huggingface_folder(tmp_path).weights(5)
    stored = dict(model.named_parameters())
    assert weights.keys() == stored.keys()
    assert all(torch.equal(weight, stored[name]) for name, weight in weights.items())


def test_a_step_that_is_not_there_is_refused(tmp_path: Path) -> None:
    series = CheckpointSeries.from_files(save_all(tmp_path), model=trained(0))
    for wrong in (lambda: series.load(7), lambda: series.checksum(7)):
        with pytest.raises(ValueError, match=r"no step 7 in .*its steps are \(0, 20, 100\)"):
            wrong()


def test_a_dict_that_holds_itself_has_no_state_dict(tmp_path: Path) -> None:
    state: dict = {}
    state["model"] = state
    torch.save(state, tmp_path / "model_5.pt")
    with pytest.raises(RefusedCheckpointError, match=r"got the entries \['model'\]"):
        read_state_dict(tmp_path / "model_5.pt")


def test_what_load_returns_is_checked(tmp_path: Path) -> None:
    series = CheckpointSeries.from_files(save_all(tmp_path), load=lambda path: path.name)
    with pytest.raises(ValueError, match=r"load must return a model or a state dict, got 'model_0.pt' \(str\)"):
        series.load(0)
    plain = CheckpointSeries.from_files(save_all(tmp_path), load=lambda path: torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="got Linear: wrap a plain torch model in a TorchAdapter"):
        plain.load(0)
