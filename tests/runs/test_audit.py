"""Every planted fault is found, and a sound series has none."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, combinations, permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from grok_interp import (
    CheckpointSeries,
    Run,
    Transformer,
    audit,
    llama_copier,
    load_reference,
    preset,
    run_training,
    to_huggingface,
    train,
)
from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.reference import write_reference
from grok_interp.runs.audit import Finding, audit_of_sketches, findings_of_files
from grok_interp.runs.findings import distances_between, misnamed, out_of_order
from grok_interp.runs.stored_steps import stored_step
from grok_interp.runs.weight_sketches import SKETCHES, sketch

STEPS = tuple(range(0, 100, 10))


def walk(n: int, seed: int = 0) -> list[dict[str, Tensor]]:
    """Weights that drift and jitter, as in training."""
    generator = torch.Generator().manual_seed(seed)
    drift = torch.randn(31, 17, generator=generator)
    at, found = torch.randn(31, 17, generator=generator), []
    for _ in range(n):
        found.append({"w": at.clone(), "b": at[0] * 2})
        at = at + 0.1 * drift + 0.05 * torch.randn(31, 17, generator=generator)
    return found


def save(folder: Path, steps: Sequence[int], states: Sequence[dict[str, Tensor]]) -> CheckpointSeries:
    for step, state in zip(steps, states, strict=True):
        torch.save(state, folder / f"model_{step}.pt")
    return CheckpointSeries.from_files(folder / "model_{step}.pt")


def found(series: CheckpointSeries) -> list[tuple[str, tuple[int, ...]]]:
    return [(finding.kind, finding.steps) for finding in audit(series).findings]


def test_a_sound_series_has_no_findings(tmp_path: Path) -> None:
    result = audit(save(tmp_path, STEPS, walk(10)))
    assert result.is_sound
    assert str(result) == "10 checkpoints, 0 findings"
    assert list(result.distances) == list(zip(STEPS, STEPS[1:], strict=False))


@pytest.mark.parametrize("name", ["copier-mini", "modular-p11"])
def test_the_reference_runs_are_sound(name: str) -> None:
    assert audit(load_reference(name).checkpoints).findings == ()


@pytest.mark.parametrize("name", ["copier-mini", "modular-p11"])
def test_a_few_checkpoints_of_a_reference_run_are_in_order(name: str) -> None:
    """Far apart, the path bends; an end has one neighbor that could tell."""
    run = load_reference(name).checkpoints
    distances = distances_between({step: sketch(run.weights(step)) for step in run.steps})
    for few in chain.from_iterable(combinations(run.steps, n) for n in (3, 4, 5, 6)):
        assert out_of_order(few, distances) == [], few


def test_a_run_while_it_trains_is_sound(tiny: TrainConfig, tmp_path: Path) -> None:
    assert audit(Run.write(tmp_path / "run", tiny, train(tiny)).checkpoints).is_sound


def test_duplicates(tmp_path: Path) -> None:
    states = walk(10)
    states[4] = states[7]
    assert ("duplicate", (40, 70)) in found(save(tmp_path, STEPS, states))


COPIES = [(8, 2), (7, 4), (2, 8), (9, 0), (9, 1), (0, 9), (0, 1), (4, 5), (6, 5), (2, 0), (7, 9), (1, 0), (8, 9)]


@pytest.mark.parametrize(("source", "target"), COPIES)
def test_a_copied_checkpoint_accuses_no_other_of_its_order(source: int, target: int, tmp_path: Path) -> None:
    states = walk(10)
    states[target] = states[source]
    assert found(save(tmp_path, STEPS, states)) == [("duplicate", tuple(sorted((10 * source, 10 * target))))]


def test_checkpoints_that_were_copied_twice(tmp_path: Path) -> None:
    states = walk(10)
    states[1] = states[3] = states[8]
    states[5] = states[7]
    assert found(save(tmp_path, STEPS, states)) == [("duplicate", (10, 30, 80)), ("duplicate", (50, 70))]


def test_two_copies_beside_each_other(tmp_path: Path) -> None:
    """Both fit two steps until one of them is compared with the other."""
    states = walk(7)
    states[0], states[3] = states[2], states[1]
    assert found(save(tmp_path, STEPS[:7], states)) == [("duplicate", (0, 20)), ("duplicate", (10, 30))]


@pytest.mark.parametrize(("first", "second"), [(4, 6), (4, 5), (0, 1), (3, 7), (7, 8)])
def test_an_exchange_beside_a_copy_is_found(first: int, second: int, tmp_path: Path) -> None:
    """The copied one, 80, may be one of two neighbors."""
    states = walk(10)
    states[first], states[second] = states[second], states[first]
    states[2] = states[8]
    findings = [each for each in found(save(tmp_path, STEPS, states)) if each[0] != "jump"]
    assert findings == [("duplicate", (20, 80)), ("order", (10 * first, 10 * second))]


@pytest.mark.parametrize("name", ["copier-mini", "modular-p11"])
def test_a_copy_in_a_reference_run_accuses_no_other_of_its_order(name: str) -> None:
    run = load_reference(name).checkpoints
    steps = list(run.steps)
    sketches = {step: sketch(run.weights(step)) for step in steps}
    for source, target in permutations(steps, 2):
        named = {step: source if step == target else step for step in steps}
        result = audit_of_sketches({s: str(named[s]) for s in steps}, {s: sketches[named[s]] for s in steps})
        assert [each.kind for each in result.findings if each.kind != "jump"] == ["duplicate"], (source, target)


def test_gaps_in_regular_spacing(tmp_path: Path) -> None:
    steps = [step for step in STEPS if step not in (30, 70)]
    assert found(save(tmp_path, steps, [walk(10)[step // 10] for step in steps])) == [
        ("gap", (20, 40)),
        ("gap", (60, 80)),
    ]


@pytest.mark.parametrize(
    ("steps", "gaps"),
    [
        ((0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 2000, 3000, 4000), []),  # Pythia's
        ((0, 1, 2, 4, 16, 32, 64), [(4, 16)]),
        ((0, 100, 200, 210, 220, 230, 300, 400), []),  # dense where a phase change is
    ],
)
def test_gaps_in_other_spacing(tmp_path: Path, steps: tuple[int, ...], gaps: list) -> None:
    series = save(tmp_path, steps, walk(len(steps)))
    assert [each.steps for each in audit(series).findings if each.kind == "gap"] == gaps


@pytest.mark.parametrize("first", [0, 4, 8])
def test_two_steps_that_were_exchanged(tmp_path: Path, first: int) -> None:
    states = walk(10)
    states[first], states[first + 1] = states[first + 1], states[first]
    assert ("order", (10 * first, 10 * first + 10)) in found(save(tmp_path, STEPS, states))


@pytest.mark.parametrize(("first", "second"), [(0, 2), (4, 6), (7, 9), (2, 5), (1, 8), (0, 9)])
def test_steps_that_were_exchanged_across_others(first: int, second: int, tmp_path: Path) -> None:
    states = walk(10)
    states[first], states[second] = states[second], states[first]
    orders = [steps for kind, steps in found(save(tmp_path, STEPS, states)) if kind == "order"]
    assert orders == [(10 * first, 10 * second)], "these two, and no other"


def test_two_exchanges_in_one_series(tmp_path: Path) -> None:
    states = walk(10)
    for first, second in ((1, 3), (6, 7)):
        states[first], states[second] = states[second], states[first]
    orders = {steps for kind, steps in found(save(tmp_path, STEPS, states)) if kind == "order"}
    assert orders == {(10, 30), (60, 70)}


@pytest.mark.parametrize("distance", [1, 2, 3, 6])
def test_an_exchange_in_a_reference_run_is_found(distance: int) -> None:
    run = load_reference("copier-mini").checkpoints
    steps = list(run.steps)
    sketches = {step: sketch(run.weights(step)) for step in steps}
    first = 2
    exchanged = {steps[first]: steps[first + distance], steps[first + distance]: steps[first]}
    named = {step: exchanged.get(step, step) for step in steps}
    result = audit_of_sketches({step: str(named[step]) for step in steps}, {s: sketches[named[s]] for s in steps})
    assert [each.steps for each in result.findings if each.kind == "order"] == [tuple(exchanged)]


REVERSED = list(zip(STEPS, reversed(STEPS), strict=True))  # the step of the name, and that of the weights


def save_stored(folder: Path, suffix: str, counter: str, named: Sequence[tuple[int, int]]) -> CheckpointSeries:
    """Files whose weights are of another step than their names, and that say so."""
    states = walk(len(named))
    for step, said in named:
        weights = states[list(STEPS).index(said)]
        if suffix == "pt":
            torch.save({"model": weights, counter: said, "loss": 2.5}, folder / f"model_{step}.pt")
        else:
            save_file(weights, folder / f"model_{step}.safetensors", {counter: str(said)})
    return CheckpointSeries.from_files(folder / f"model_{{step}}.{suffix}")


@pytest.mark.parametrize(("suffix", "counter"), [("pt", "iter_num"), ("pt", "step"), ("safetensors", "step")])
def test_a_reversed_series_whose_checkpoints_say_their_steps(suffix: str, counter: str, tmp_path: Path) -> None:
    result = audit(save_stored(tmp_path, suffix, counter, REVERSED))
    assert [(each.kind, each.steps) for each in result.findings] == [("order", STEPS)]
    assert "say of themselves that they are of steps 90, 80, 70, 60, 50, ..., 0 (10 checkpoints)" in str(result)


@pytest.mark.parametrize("kind", [int, float])
@pytest.mark.parametrize("shape", [None, (), (1,), (1, 1)])
def test_a_stored_step_may_be_a_float_or_a_tensor(shape: tuple[int, ...] | None, kind: type, tmp_path: Path) -> None:
    states = walk(10)
    for step, said in REVERSED:
        stored = kind(said) if shape is None else torch.full(shape, kind(said))
        torch.save({"model": states[said // 10], "step": stored}, tmp_path / f"model_{step}.pt")
    assert ("order", STEPS) in found(CheckpointSeries.from_files(tmp_path / "model_{step}.pt"))


def test_a_stored_step_in_metadata_may_be_a_float(tmp_path: Path) -> None:
    save_file(walk(1)[0], tmp_path / "model_10.safetensors", {"step": "20.0"})
    assert stored_step(CheckpointSeries.from_files(tmp_path / "model_{step}.safetensors"), 10) == 20


@pytest.mark.parametrize("epoch", [300, 400, 500])
@pytest.mark.parametrize("first", [0, 1])
def test_a_counter_that_restarts_at_each_epoch_is_no_finding(epoch: int, first: int) -> None:
    assert list(misnamed({step: step % epoch + first for step in HUNDREDS})) == []
    assert list(misnamed({step: (step - 1) % epoch + 1 for step in HUNDREDS[1:]})) == []


def test_one_checkpoint_that_says_an_early_step_is_no_new_epoch() -> None:
    (finding,) = misnamed({step: 100 if step == 1000 else step for step in HUNDREDS})
    assert (finding.kind, finding.steps) == ("order", (1000,))


@pytest.mark.parametrize(
    "stored",
    [
        *(torch.tensor([1, 2]), torch.tensor(1.5), torch.tensor(torch.nan), torch.tensor(True), torch.tensor(-1)),
        torch.tensor([1]).to_sparse(),
    ],
)
def test_other_tensors_are_no_stored_step(stored: Tensor, tmp_path: Path) -> None:
    torch.save({"model": walk(1)[0], "step": stored}, tmp_path / "model_10.pt")
    assert stored_step(CheckpointSeries.from_files(tmp_path / "model_{step}.pt"), 10) is None


def test_steps_that_checkpoints_count_otherwise_are_no_finding(tmp_path: Path) -> None:
    states = walk(10)
    for step, state in zip(STEPS, states, strict=True):
        torch.save({"model": state, "step": step // 50}, tmp_path / f"model_{step}.pt")
    assert audit(CheckpointSeries.from_files(tmp_path / "model_{step}.pt")).is_sound


HUNDREDS = tuple(range(0, 1100, 100))


@pytest.mark.parametrize(
    ("stored", "steps", "said"),
    [
        ({500: 400}, (500,), "the checkpoint named 500 says of itself that it is of step 400"),
        ({500: 550}, (500,), "the checkpoint named 500 says of itself that it is of step 550"),
        ({500: 1000}, (500,), "the checkpoint named 500 says of itself that it is of step 1,000"),
        (
            {0: 7, 1000: 3000},
            (0, 1000),
            "the checkpoints named 0, 1,000 say of themselves that they are of steps 7, 3,000",
        ),
    ],
)
def test_steps_that_are_not_those_of_the_names(stored: dict[int, int], steps: tuple[int, ...], said: str) -> None:
    """Where most are."""
    (finding,) = misnamed({step: stored.get(step, step) for step in HUNDREDS})
    assert (finding.kind, finding.steps) == ("order", steps)
    assert finding.message.startswith(f"{said}: ")


def test_an_audit_compares_stored_steps_with_names(tmp_path: Path) -> None:
    for step, state in zip(STEPS, walk(10), strict=True):
        torch.save({"model": state, "step": 40 if step == 50 else step}, tmp_path / f"model_{step}.pt")
    assert found(CheckpointSeries.from_files(tmp_path / "model_{step}.pt")) == [("order", (50,))]


@pytest.mark.parametrize(
    "stored",
    [{400: 400, 500: 400}, {step: 401 if step == 500 else step + 1 for step in HUNDREDS}],
)
def test_two_checkpoints_that_say_one_step(stored: dict[int, int]) -> None:
    (finding,) = misnamed(stored)
    assert (finding.kind, finding.steps) == ("order", (400, 500))
    assert "the checkpoints named 400, 500 say of themselves that they are of one step, 40" in finding.message


@pytest.mark.parametrize("steps", [STEPS, HUNDREDS, (0, 1, 2, 4, 8, 16, 32, 64), (1, 2, 3), (49, 50, 99, 100), (0, 1)])
@pytest.mark.parametrize("every", [3, 8, 50, 1000])
@pytest.mark.parametrize("first", [0, 1])
def test_counters_that_count_otherwise_are_no_finding(steps: tuple[int, ...], every: int, first: int) -> None:
    """Updates of several micro-batches, epochs; and counters that go on from another run."""
    assert list(misnamed({step: first + step // every for step in steps})) == []
    assert list(misnamed({step: -(-step // every) for step in steps})) == []
    assert list(misnamed({step: 10_000 + first + step for step in steps})) == []


@pytest.mark.parametrize("state", ["nothing", "[]", '{"global_step": "many"}', '{"global_step": true}'])
def test_trainers_state_says_the_step(state: str, tmp_path: Path) -> None:
    series = with_config(tmp_path, (100, 200, 300), {})
    for step, said in ((100, 300), (200, 200), (300, 100)):
        text = json.dumps({"global_step": said, "epoch": 1.0})
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(text)
    (finding,) = [each for each in audit(series).findings if each.kind == "order"]
    assert finding.steps == (100, 300)
    (tmp_path / "checkpoint-300" / "trainer_state.json").write_text(state)
    assert ("order", (100, 200)) in found(series), "a damaged one says nothing"


def test_a_reversed_series_that_ends_with_its_initialization(tmp_path: Path) -> None:
    """Gains are 1 there and nowhere else."""
    run = load_reference("copier-mini")
    steps = run.steps[::8]
    assert steps[0] == 0
    named = zip(steps, reversed(steps), strict=True)
    series = CheckpointSeries.from_models([(step, run.load(of)) for step, of in named])
    (finding,) = [each for each in audit(series).findings if each.kind == "order"]
    assert finding.steps == (0, steps[-1])
    assert f"gains or biases of step {steps[-1]} are those of an initialization" in finding.message
    assert [each for each in audit(CheckpointSeries.from_models([(s, run.load(s)) for s in steps])).findings] == []


def test_a_reversed_series_is_not_found_where_nothing_tells(tmp_path: Path) -> None:
    assert audit(save(tmp_path, STEPS, walk(10)[::-1])).is_sound


def test_a_checkpoint_of_another_run_is_not_exchanged_with_the_last(tmp_path: Path) -> None:
    states = walk(10)
    states[7] = walk(10, seed=1)[7]
    assert {kind for kind, _ in found(save(tmp_path, STEPS, states))} == {"jump"}


@pytest.mark.parametrize("at", range(1, 9))
def test_a_checkpoint_of_another_run_is_named_alone(at: int, tmp_path: Path) -> None:
    """Also beside an end, where an exchange with it would make the path shorter."""
    states = walk(10)
    states[at] = walk(10, seed=1)[at]
    series = save(tmp_path, STEPS, states)
    assert found(series) == [("jump", (10 * at,))]
    said = rf"step {10 * at} is \d+ times farther from every other checkpoint than steps {10 * at - 10} and "
    assert re.search(said + rf"{10 * at + 10} are from each other: is it of another run\?", str(audit(series)))


@pytest.mark.parametrize("at", [11, 12, 13])
def test_an_early_checkpoint_of_another_run_accuses_no_other(at: int, tmp_path: Path) -> None:
    """The path grows away from both, so that exchanges with all before it would make it shorter."""
    generator = torch.Generator().manual_seed(0)
    drift, start = torch.randn(31, 17, generator=generator), torch.randn(31, 17, generator=generator)
    states = [{"w": start + 0.4 * 1.3**step * drift} for step in range(15)]
    states[at] = {"w": torch.randn(31, 17, generator=generator)}
    assert found(save(tmp_path, range(15), states)) == [("order", (at,))]


@pytest.mark.parametrize(("at", "end", "alone"), [(1, 0, 1), (8, 9, 8)])
def test_an_exchange_with_an_end_may_be_another_run(at: int, end: int, alone: int, tmp_path: Path) -> None:
    states = walk(10)
    states[at], states[end] = states[end], states[at]
    (finding,) = audit(save(tmp_path, STEPS, states)).findings
    assert f"seem to be exchanged, or step {10 * alone} is of another run: the path" in finding.message


def test_weights_of_another_config(tmp_path: Path) -> None:
    states = walk(10)
    states[3] = {"w": torch.zeros(31, 19), "b": states[3]["b"]}
    states[6] = {"w": states[6]["w"]}
    result = audit(save(tmp_path, STEPS, states))
    assert [(each.kind, each.steps) for each in result.findings] == [("config", (30,)), ("config", (60,))]
    assert (
        "step 30 has 1 weight of another name or shape than steps 0, 10, 20, 40, 50, ..., 90 (8 checkpoints) "
        "(w: (31, 19), expected (31, 17)): another model?" in str(result)
    )


@pytest.mark.parametrize("odd", [0, 1, 9])
def test_the_odd_one_is_named_wherever_it_is(odd: int, tmp_path: Path) -> None:
    states = walk(10)
    states[odd] = {"w": states[odd]["w"]}
    assert found(save(tmp_path, STEPS, states)) == [("config", (10 * odd,))]


def test_a_copy_of_the_odd_one_is_odd_too(tmp_path: Path) -> None:
    states = walk(10)
    states[0] = states[4] = {"w": states[0]["w"]}
    assert found(save(tmp_path, STEPS, states)) == [("config", (0,)), ("config", (40,)), ("duplicate", (0, 40))]


def test_the_first_of_a_folder_is_of_another_size(tmp_path: Path) -> None:
    """One finding of it: its config is not named as well."""
    series = with_config(tmp_path, (200, 300, 400), {})
    other = llama_copier(n_layers=3, n_heads=2, d_model=16, d_mlp=20, d_vocab=31, n_ctx=24)
    to_huggingface(Transformer(other, seed=0)).save_pretrained(tmp_path / "checkpoint-100")
    (finding,) = audit(CheckpointSeries.from_huggingface_folder(tmp_path)).findings
    assert (finding.kind, finding.steps) == ("config", (100,))
    assert "has 9 weights of another name or shape than steps 200, 300, 400 (model.layers.2." in finding.message
    assert audit(series).is_sound


def save_with_args(folder: Path, args: Mapping[int, Any]) -> CheckpointSeries:
    """As nanoGPT does."""
    for step, state in zip(STEPS, walk(10), strict=True):
        entries = {"model": state, "iter_num": step, "config": {"learning_rate": step}}
        given = args.get(step, {"n_layer": 2, "n_head": 3, "bias": False, "dropout": 0.0})
        torch.save(entries if given is None else {**entries, "model_args": given}, folder / f"ckpt_{step}.pt")
    return CheckpointSeries.from_files(folder / "ckpt_{step}.pt")


@pytest.mark.parametrize("step", [0, 50])
def test_model_args_beside_a_state_dict_are_compared(step: int, tmp_path: Path) -> None:
    """The same shapes, and the first step may be the odd one."""
    series = save_with_args(tmp_path, {step: {"n_layer": 2, "n_head": 6, "bias": False, "dropout": 0.1}})
    (finding,) = audit(series).findings
    assert (finding.kind, finding.steps) == ("config", (step,))
    said = f"the config of step {step} has model_args.n_head 6 where the others have 3 (steps "
    assert finding.message.startswith(said)
    assert [each.steps for each in findings_of_files(series)] == [(step,)], "without the weights too"


@pytest.mark.parametrize("args", [None, {}, [1], 5, {3: 4}, torch.ones(2), {"n_layer": 2, "n_head": 3, "bias": False}])
def test_other_model_args_are_no_finding(args: Any, tmp_path: Path) -> None:
    assert audit(save_with_args(tmp_path, {50: args})).is_sound


def test_what_cannot_be_read_is_named_and_the_rest_is_audited(tmp_path: Path) -> None:
    states = walk(10)
    states[8] = states[1]
    series = save(tmp_path, STEPS, states)
    (tmp_path / "model_40.pt").write_bytes(b"nothing")
    result = audit(series)
    assert [each.kind for each in result.findings][0] == "unreadable"
    assert "step 40: " in str(result)
    assert ("duplicate", (10, 80)) in [(each.kind, each.steps) for each in result.findings]


def test_complex_weights_are_compared(tmp_path: Path) -> None:
    states = [{"w": torch.complex(state["w"], -state["w"])} for state in walk(10)]
    result = audit(save(tmp_path, STEPS, states))
    assert result.is_sound
    one = (walk(2)[1]["w"] - walk(2)[0]["w"]).norm() * 2**0.5
    assert result.distances[0, 10] == pytest.approx(float(one), rel=0.1)
    states[2], states[3] = states[3], states[2]
    assert found(save(tmp_path, STEPS, states)) == [("order", (20, 30))]


def test_whole_numbers_alone_cannot_be_compared(tmp_path: Path) -> None:
    series = save(tmp_path, STEPS, [{"w": (100 * state["w"]).int()} for state in walk(10)])
    assert found(series) == [("unreadable", (step,)) for step in STEPS]
    assert "got whole numbers alone (torch.int32 under 'w')" in str(audit(series))


def test_weights_of_eight_bits_are_audited(tmp_path: Path) -> None:
    states = [{name: weight.to(torch.float8_e4m3fn) for name, weight in state.items()} for state in walk(10)]
    states[7] = states[2]
    assert ("duplicate", (20, 70)) in found(save(tmp_path, STEPS, states))


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    states = walk(10)
    states[9]["w"][3, 4] = torch.nan
    assert found(save(tmp_path, STEPS, states)) == [("not finite", (90,))]


def test_weights_that_are_too_large_to_compute_with(tmp_path: Path) -> None:
    """A series of state dicts without a model cannot tell."""
    models = [(step, Transformer(preset("copier-tiny"), seed=step)) for step in (0, 10, 20)]
    with torch.no_grad():
        models[1][1].ln_final.w.fill_(3e38)
    assert found(CheckpointSeries.from_models(models)) == [("not finite", (10,))]
    series = save(tmp_path, (0, 10, 20), [model.state_dict() for _, model in models])
    assert ("not finite", (10,)) not in found(series)
    sums = SKETCHES.evaluate(10, models[1][1])
    assert sums.not_finite() == (10,)


def test_files_that_do_not_fit_the_shell(tmp_path: Path) -> None:
    save(tmp_path, STEPS, walk(10))
    series = CheckpointSeries.from_files(tmp_path / "model_{step}.pt", model=torch.nn.Linear(3, 4))
    assert {each.kind for each in audit(series).findings} == {"unreadable"}
    assert "does not fit the model: missing bias, weight" in str(audit(series))


def test_an_empty_series_is_refused() -> None:
    empty = SimpleNamespace(steps=(), checksum=str, weights=dict, load=int)
    with pytest.raises(ValueError, match="got an empty series"):
        audit(empty)  # pyright: ignore[reportArgumentType]


def test_a_sketch_keeps_distances() -> None:
    states = walk(10)
    for a, b in ((0, 1), (0, 9), (4, 5)):
        exact = sum((states[a][name] - states[b][name]).square().sum() for name in states[a]).sqrt()
        assert float((sketch(states[a]) - sketch(states[b])).norm() / exact) == pytest.approx(1, abs=0.1)


# The command


def test_the_command_prints_a_line_per_finding(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    states = walk(10)
    states[4] = states[7]
    save(tmp_path, STEPS, states)
    assert main(["audit", str(tmp_path / "model_{step}.pt")]) == 0
    assert "duplicate: steps 40, 70 have the same weights" in capsys.readouterr().out
    assert main(["audit", str(tmp_path / "model_{step}.pt"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["steps"] == list(STEPS)
    duplicate = next(Finding(**each) for each in facts["findings"] if each["kind"] == "duplicate")
    assert duplicate.steps == [40, 70]
    assert len(facts["distances"]) == 8  # between the nine that differ


def test_the_help_says_that_findings_do_not_change_the_exit_code(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["audit", "--help"])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "findings do not change the exit code, which is 0" in said


def test_the_command_takes_runs_and_trainers_folders(
    tiny: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run = Run.write(tmp_path / "run", tiny, train(tiny))
    shutil.copy(run.checkpoints.path(10), run.checkpoints.path(15))
    for step in (5, 10):
        to_huggingface(run.load(step)).save_pretrained(tmp_path / "out" / f"checkpoint-{step}")
    assert main(["audit", str(tmp_path / "run"), "--quiet"]) == 0
    assert "steps 10, 15 have the same weights" in capsys.readouterr().out
    assert main(["audit", str(tmp_path / "out")]) == 0
    assert "2 checkpoints, 0 findings" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [100, 300])
def test_a_config_of_other_sizes_is_found_where_shapes_agree(
    wrong: int, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Also beside equal weights, which are read once: `analyze` refuses the same checkpoint."""
    copier = llama_copier(n_layers=2, n_heads=2, d_model=16, d_mlp=20, d_vocab=31, n_ctx=24)
    for step, seed in ((100, 0), (200, 1), (300, 1)):
        to_huggingface(Transformer(copier, seed=seed)).save_pretrained(tmp_path / f"checkpoint-{step}")
    sizes = {"num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 4}
    file = tmp_path / f"checkpoint-{wrong}" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | sizes))
    said = "n_heads 4 where the others have 2, d_head 4 where the others have 8"
    others = "100, 200" if wrong == 300 else "200, 300"
    assert main(["audit", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    key_heads = "num_key_value_heads 4 where the others have 2"
    assert f"config: the config of step {wrong} has {said}, {key_heads} (steps {others}): are all of" in printed
    assert [(each.kind, each.steps) for each in audit(CheckpointSeries.from_huggingface_folder(tmp_path)).findings] == [
        ("config", (wrong,)),
        ("duplicate", (200, 300)),
    ]
    if wrong == 300:
        with pytest.raises(ValueError, match="has n_heads 4, d_head 4 where step 100, read before it, has 2, 8: "):
            list(CheckpointSeries.from_huggingface_folder(tmp_path))


def with_config(folder: Path, steps: Sequence[int], fields: Mapping[int, Mapping[str, Any]]) -> CheckpointSeries:
    """Trainer's folders of different weights, with other fields in the config of some steps."""
    copier = llama_copier(n_layers=2, n_heads=2, d_model=16, d_mlp=20, d_vocab=31, n_ctx=24)
    for step in steps:
        to_huggingface(Transformer(copier, seed=step)).save_pretrained(folder / f"checkpoint-{step}")
        file = folder / f"checkpoint-{step}" / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | fields.get(step, {})))
    return CheckpointSeries.from_huggingface_folder(folder)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"rope_theta": 500_000.0, "rope_parameters": None},
            "rope_parameters.rope_theta 500000.0 where the others have",
        ),
        (
            {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}},
            "rope_parameters.factor 2.0 where the others have None",
        ),
        ({"hidden_act": "gelu"}, "hidden_act gelu where the others have silu"),
        ({"rms_norm_eps": 0.01}, "rms_norm_eps 0.01 where the others have"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings True where the others have False"),
    ],
)
def test_a_config_of_another_computation_is_found(fields: dict[str, Any], said: str, tmp_path: Path) -> None:
    series = with_config(tmp_path, (100, 200, 300, 400), {200: fields, 400: fields})
    (finding,) = [each for each in audit(series).findings if each.kind == "config"]
    assert finding.steps == (200, 400)
    assert finding.message.startswith("the configs of steps 200, 400 have ")
    assert said in finding.message
    assert finding.message.endswith(" (steps 100, 300): are all of one training?")


def test_a_config_whose_weights_have_other_shapes_is_found(tmp_path: Path) -> None:
    series = with_config(tmp_path, (100, 200, 300), {200: {"num_key_value_heads": 1}})
    (finding,) = audit(series).findings
    assert (finding.kind, finding.steps) == ("config", (200,))
    said = "has model.layers.0.self_attn.k_proj.weight of shape (16, 16) where its config.json says (8, 16): copy the"
    assert f"checkpoint-200 {said} config.json that the model was trained with" in finding.message
    with pytest.raises(ValueError) as refusal:
        series.load(200)
    assert said in str(refusal.value)


@pytest.mark.parametrize("fields", [{"num_hidden_layers": 3}, {"attention_bias": True}])
def test_a_config_with_weights_that_the_checkpoint_lacks_is_found(fields: dict[str, Any], tmp_path: Path) -> None:
    (finding,) = audit(with_config(tmp_path, (100, 200, 300), {200: fields})).findings
    assert (finding.kind, finding.steps) == ("config", (200,))
    assert "weights of its config.json (model.layers." in finding.message
    remedy = ": copy the config.json that the model was trained with into it, or copy its weights again"
    assert finding.message.endswith(remedy)


def test_a_config_of_fewer_layers_is_found(tmp_path: Path) -> None:
    (finding,) = audit(with_config(tmp_path, (100, 200, 300), {200: {"num_hidden_layers": 1}})).findings
    assert (finding.kind, finding.steps) == ("config", (200,))
    assert "has 9 weights that a model of its config.json does not have" in finding.message


def test_each_field_is_compared_with_what_most_have(tmp_path: Path) -> None:
    """No two of these configs are equal."""
    fields = {100: {"hidden_act": "gelu"}, 200: {"rms_norm_eps": 0.01}, 300: {"max_position_embeddings": 48}}
    found = [each for each in audit(with_config(tmp_path, (100, 200, 300), fields)).findings if each.kind == "config"]
    assert [each.steps for each in found] == [(100,), (200,), (300,)]
    assert (
        found[0].message
        == "the config of step 100 has hidden_act gelu where the others have silu: are all of one training?"
    )


def test_fields_that_do_not_change_the_computation_are_no_finding(tmp_path: Path) -> None:
    fields = {"torch_dtype": "bfloat16", "dtype": "bfloat16", "transformers_version": "4.0.0", "use_cache": False}
    fields |= {"_name_or_path": "elsewhere", "architectures": ["Other"], "bos_token_id": 5, "eos_token_id": [6, 7]}
    fields |= {"attention_dropout": 0.5, "initializer_range": 0.5, "my_note": "of mine", "unsloth_version": "1"}
    series = with_config(tmp_path, (100, 200, 300), {200: fields})
    assert [each for each in audit(series).findings if each.kind == "config"] == []


def test_a_config_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Its weights equal those of another checkpoint and are not read."""
    model = to_huggingface(Transformer(preset("copier-tiny"), seed=0))
    for step in (100, 200):
        model.save_pretrained(tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-200" / "config.json").write_text('{"model_type": "unheard-of"}')
    (finding,) = audit(CheckpointSeries.from_huggingface_folder(tmp_path)).findings
    assert finding.kind == "unreadable"
    assert "checkpoint-200/config.json cannot be read as a config" in finding.message


def test_the_command_refuses_a_place_without_checkpoints(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["audit", str(tmp_path)]) == 2
    assert "no series of checkpoints at" in capsys.readouterr().err


def test_the_command_takes_the_options_that_its_messages_name(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    states = walk(10)
    states[8] = states[1]
    save(tmp_path, STEPS, states)
    files = str(tmp_path / "model_{step}.pt")
    assert main(["audit", files, "--skip", "80", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["steps"] == [0, 10, 20, 30, 40, 50, 60, 70, 90]
    assert facts["findings"] == [], "a step that is left out is not missing"
    assert main(["audit", files, "--every", "4", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["steps"] == [0, 40, 80, 90], "the last is always there"
    assert "gap" not in [each["kind"] for each in facts["findings"]]
    (tmp_path / "model_50.pt").unlink()
    assert main(["audit", files, "--every", "3", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    gaps = [each["steps"] for each in facts["findings"] if each["kind"] == "gap"]
    assert gaps == [[40, 60]], "gaps are those of all steps"
    assert main(["audit", files, "--skip", "5"]) == 2
    assert "--skip 5 is no step of the series" in capsys.readouterr().err
    assert main(["audit", files, "--revisions", "step1"]) == 2
    assert "--revisions are those of a hub" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("model_{step}.pt", ["--max-gb", "3"], "--max-gb limits downloads from a hub"),
        ("model_{step}.pt", ["--max-gb", "20"], "--max-gb limits downloads from a hub"),
        ("", ["--max-gb", "3"], "--max-gb limits downloads from a hub"),
        ("", ["--model", "copier-tiny"], "--model is what files of weights are loaded into"),
        ("checkpoint-{step}", ["--model", "copier-tiny"], "--model is what files of weights are loaded into"),
        ("hub:OWNER/NAME", ["--model", "copier-tiny"], "--model is what files of weights are loaded into"),
    ],
)
@pytest.mark.parametrize("verb", ["audit", "analyze"])
def test_options_that_would_change_nothing_are_refused(
    verb: str, source: str, options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with_config(tmp_path, (100, 200), {})
    save(tmp_path, STEPS, walk(10))
    place = source if source.startswith("hub:") else str(tmp_path / source)
    run = ["--run", str(tmp_path / "run")] if verb == "analyze" else []
    assert main([verb, place, *options, *run]) == 2
    refused = capsys.readouterr().err
    assert said in refused
    assert "leave it out" in refused


def test_analyze_refuses_to_trust_a_series(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    files = str(save(tmp_path, STEPS, walk(10)) and tmp_path / "model_{step}.pt")
    assert main(["analyze", files, "--model", "copier-tiny", "--run", str(tmp_path / "run"), "--trust-source"]) == 2
    assert "--trust-source is for runs" in capsys.readouterr().err


def gaps_of(run: Run) -> list[tuple[int, ...]]:
    return [steps for kind, steps in found(run.checkpoints) if kind == "gap"]


def test_a_checkpoint_that_a_run_should_have_is_missing(
    tiny: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    config = replace(tiny, n_steps=12, checkpoint_steps=(0, 3, 4, 5, 6, 10))  # of no regular spacing
    run = Run.write(tmp_path / "run", config, train(config))
    assert gaps_of(run) == []
    run.checkpoints.path(4).unlink()
    assert gaps_of(run) == [(3, 5)]
    for step in (0, 5):
        run.checkpoints.path(step).unlink()
    assert main(["audit", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "gap: no checkpoint at step 0, where config.json keeps one: restore what was deleted" in printed
    assert "gap: no checkpoint at steps 4, 5, where config.json keeps one" in printed


def test_the_last_checkpoint_of_a_finished_run_may_be_missing(tiny: TrainConfig, tmp_path: Path) -> None:
    run = run_training(tmp_path / "run", tiny)
    last = run.steps[-1]
    assert gaps_of(run) == []
    run.checkpoints.path(last).unlink()
    assert gaps_of(run) == [run.steps[-1:]]


def test_steps_that_a_run_has_not_reached_are_not_missing(tiny: TrainConfig, tmp_path: Path) -> None:
    stopped = (pair for pair in train(tiny) if pair[0] < tiny.n_steps)
    run = Run.write(tmp_path / "run", tiny, stopped)
    assert run.steps and not run.is_finished
    assert gaps_of(run) == []


def test_a_copy_with_fewer_checkpoints_says_so(tiny: TrainConfig, tmp_path: Path) -> None:
    config = replace(tiny, checkpoint_steps=(0, 1, 2, 3, 4, 5, 6))
    run = run_training(tmp_path / "run", config)
    copy = write_reference(run, tmp_path / "copy", [0, 2, 3, 5, config.n_steps])
    assert gaps_of(copy) == []
    copy.checkpoints.path(3).unlink()
    assert gaps_of(copy) == [(2, 5)]


def test_the_command_takes_no_options_of_a_series_for_a_run(
    tiny: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    Run.write(tmp_path / "run", tiny, train(tiny))
    assert main(["audit", str(tmp_path / "run"), "--skip", "5"]) == 2
    assert "is a run, which is audited as a whole: leave out the options of a series" in capsys.readouterr().err
