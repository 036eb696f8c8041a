"""Training that is interrupted and resumed."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from grok_interp.configs import TextConfig, TrainConfig
from grok_interp.presets import training_preset
from grok_interp.runs.recorder import resume_points
from grok_interp.runs.run_training import run_training
from grok_interp.training.divergence import Update


def checkpoint_bytes(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((directory / "checkpoints").iterdir())}


def losses(directory: Path) -> list[tuple[int, float]]:
    rows = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    return [(row["step"], row["loss"]) for row in rows]


RECIPES = {  # what else a resumed run must continue exactly
    "muon, spans, bfloat16": replace(
        training_preset("copier-tiny"),
        optimizer="muon",
        muon_learning_rate=0.02,
        precision="bfloat16",
        data=TextConfig(copy_fraction=0.5, random_fraction=0.5, segment_lengths=(4, 9)),
    ),
    "curriculum": training_preset("modular-tiny").with_data(
        repeat_probability=0.25, line_probability=0.5, curriculum_steps=(8, 16)
    ),
}


@pytest.mark.parametrize("name", RECIPES)
def test_interrupted_and_resumed_a_recipe_ends_with_the_same_bits(name: str, tmp_path: Path) -> None:
    for step in (7, 13):
        with pytest.raises(KeyboardInterrupt):
            run_training(tmp_path / "run", RECIPES[name], on_update=interrupt_at(step))
    run_training(tmp_path / "run", RECIPES[name])
    run_training(tmp_path / "whole", RECIPES[name])
    assert checkpoint_bytes(tmp_path / "run") == checkpoint_bytes(tmp_path / "whole")
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_a_finished_run_is_not_trained_again(tiny: TrainConfig, tmp_path: Path) -> None:
    run_training(tmp_path / "run", tiny)
    updates: list[Update] = []
    series = run_training(tmp_path / "run", tiny, on_update=updates.append)
    assert not updates
    assert series.steps == (0, 5, 10, 15, 20)


def interrupt_at(step: int):
    def on_update(update: Update) -> None:
        if update.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return on_update


def test_an_interrupt_is_obeyed_between_two_updates_and_loses_nothing(tiny: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "run", tiny, on_update=interrupt_at(7))
    started: list[int] = []
    run_training(tmp_path / "run", tiny, on_start=started.append)
    assert started == [7]
    run_training(tmp_path / "whole", tiny)
    assert checkpoint_bytes(tmp_path / "run") == checkpoint_bytes(tmp_path / "whole")


def test_a_damaged_resume_point_falls_back_to_the_one_before(tiny: TrainConfig, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_training(directory, tiny, on_update=interrupt_at(12), resume_seconds=0)
    newest, before = resume_points(directory)
    newest.write_bytes(newest.read_bytes()[:-1])
    started: list[int] = []
    run_training(directory, tiny, on_start=started.append)
    assert before.stem == f"step_{started[0]:08d}" < newest.stem == "step_00000012"
    run_training(tmp_path / "whole", tiny)
    assert checkpoint_bytes(directory) == checkpoint_bytes(tmp_path / "whole")


def test_metrics_have_a_line_for_every_update(tiny: TrainConfig, tmp_path: Path) -> None:
    run_training(tmp_path / "run", tiny)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["tokens"] for row in rows] == [step * 4 * 64 for step in range(1, 21)]
    assert set(rows[0]) == {"step", "tokens", "loss", "grad_norm", "learning_rate", "seconds", "crc32"}


def test_a_run_of_another_config_is_refused_with_the_differences(tiny: TrainConfig, tmp_path: Path) -> None:
    run_training(tmp_path / "run", tiny)
    other = replace(tiny, learning_rate=0.5).with_data(copy_fraction=0.25)
    with pytest.raises(ValueError, match=r"learning_rate: 0\.003 there, 0\.5 asked.*give another directory"):
        run_training(tmp_path / "run", other)


def test_a_corpus_that_changed_under_a_run_is_refused(tiny: TrainConfig, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("a line of text\n" * 100)
    config = tiny.with_data(source=str(text))
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "run", config, on_update=interrupt_at(3))
    text.write_text("b line of text\n" * 100)
    with pytest.raises(ValueError, match="has changed since .* restore the text, or train into another directory"):
        run_training(tmp_path / "run", config)


def test_files_that_are_no_run_are_left_alone(tiny: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="holds files but no run"):
        run_training(tmp_path, tiny)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_two_processes_do_not_train_one_run(tiny: TrainConfig, tmp_path: Path) -> None:
    import filelock

    run_training(tmp_path / "run", tiny)
    with filelock.FileLock(tmp_path / "run" / "resume" / ".lock"), pytest.raises(ValueError, match="another process"):
        run_training(tmp_path / "run", tiny)


def test_a_loss_that_is_not_finite_stops_the_run_with_advice(tiny: TrainConfig, tmp_path: Path) -> None:
    diverging = replace(tiny, learning_rate=1e30, max_grad_norm=None, warmup_steps=0)
    with pytest.raises(ValueError, match="training diverged: .* lower learning_rate"):
        run_training(tmp_path / "run", diverging)
