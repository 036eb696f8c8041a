"""Every planted fault is found, and a sound series has none."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from grok_interp import (
    CheckpointSeries,
    Run,
    Transformer,
    audit,
    llama_copier,
    load_reference,
    preset,
    to_huggingface,
    train,
)
from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.runs.audit import Finding, audit_of_sketches
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


def test_a_run_while_it_trains_is_sound(tiny: TrainConfig, tmp_path: Path) -> None:
    assert audit(Run.write(tmp_path / "run", tiny, train(tiny)).checkpoints).is_sound


def test_duplicates(tmp_path: Path) -> None:
    states = walk(10)
    states[4] = states[7]
    assert ("duplicate", (40, 70)) in found(save(tmp_path, STEPS, states))


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


def test_a_checkpoint_of_another_run_is_not_exchanged_with_the_last(tmp_path: Path) -> None:
    states = walk(10)
    states[7] = walk(10, seed=1)[7]
    assert {kind for kind, _ in found(save(tmp_path, STEPS, states))} == {"jump"}


def test_a_checkpoint_of_another_run_jumps(tmp_path: Path) -> None:
    states = walk(10)
    states[5] = walk(10, seed=1)[5]
    assert found(save(tmp_path, STEPS, states)) == [("jump", (40, 50)), ("jump", (50, 60))]


def test_weights_of_another_config(tmp_path: Path) -> None:
    states = walk(10)
    states[3] = {"w": torch.zeros(31, 19), "b": states[3]["b"]}
    states[6] = {"w": states[6]["w"]}
    result = audit(save(tmp_path, STEPS, states))
    assert [(each.kind, each.steps) for each in result.findings] == [("config", (30,)), ("config", (60,))]
    assert (
        "step 30 has 1 weights of another name or shape than the first checkpoint (w: (31, 19), expected (31, 17))"
        in str(result)
    )


def test_what_cannot_be_read_is_named_and_the_rest_is_audited(tmp_path: Path) -> None:
    states = walk(10)
    states[8] = states[1]
    series = save(tmp_path, STEPS, states)
    (tmp_path / "model_40.pt").write_bytes(b"nothing")
    result = audit(series)
    assert [each.kind for each in result.findings][0] == "unreadable"
    assert "step 40: " in str(result)
    assert ("duplicate", (10, 80)) in [(each.kind, each.steps) for each in result.findings]


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
    with pytest.raises(ValueError, match="got an empty series"):
        audit(SimpleNamespace(steps=()))  # pyright: ignore[reportArgumentType]


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
    """Also beside equal weights, which are read once: `analyze` refuses the same checkpoint with the same words."""
    copier = llama_copier(n_layers=2, n_heads=2, d_model=16, d_mlp=20, d_vocab=31, n_ctx=24)
    for step, seed in ((100, 0), (200, 1), (300, 1)):
        to_huggingface(Transformer(copier, seed=seed)).save_pretrained(tmp_path / f"checkpoint-{step}")
    sizes = {"num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 4}
    file = tmp_path / f"checkpoint-{wrong}" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | sizes))
    said = "n_heads 4 where the others have 2, d_head 4 where the others have 8"
    assert main(["audit", str(tmp_path)]) == 0
    assert f"config: the config of step {wrong} has {said}: is it of another training?" in capsys.readouterr().out
    assert [(each.kind, each.steps) for each in audit(CheckpointSeries.from_huggingface_folder(tmp_path)).findings] == [
        ("config", (wrong,)),
        ("duplicate", (200, 300)),
    ]
    if wrong == 300:
        with pytest.raises(ValueError, match=f"checkpoint-300 has {said}"):
            list(CheckpointSeries.from_huggingface_folder(tmp_path))


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
