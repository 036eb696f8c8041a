"""The modular study of a tiny run: what is asked, kept and drawn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from grok_interp.analysis.circularity import circularity
from grok_interp.analysis.evaluation_contexts import answers_of
from grok_interp.analysis.phase_diagram import PhaseDiagram
from grok_interp.analysis.shots import shot_curve_of
from grok_interp.configs import TrainConfig
from grok_interp.data.modular import SPLITS
from grok_interp.plots import on_paper
from grok_interp.presets import training_preset
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.runs.saved_checkpoints import SavedCheckpoints
from grok_interp.studies import modular
from grok_interp.studies.modular import ModularResults, analyze, evaluation_inputs
from grok_interp.studies.modular.fourier import fourier_analysis
from grok_interp.studies.modular.modular_inputs import (
    N_CONTEXTS,
    evaluation_seed,
    grid_examples,
    one_task_per_context,
    token_names,
    unseen_task,
)
from grok_interp.studies.modular.representations import circles


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory = tmp_path_factory.mktemp("modular") / "run"
    return run_training(directory, training_preset("modular-tiny"))


def test_all_checkpoints_are_evaluated_once_and_results_are_stored(run: Run, monkeypatch) -> None:
    results = analyze(run, evaluation_inputs(run))
    assert results.steps == (0, 5, 10, 15, 20)
    monkeypatch.setattr(SavedCheckpoints, "load", lambda *_: pytest.fail("a checkpoint was evaluated again"))
    again = analyze(run, evaluation_inputs(run))
    assert again.shots.dataset.equals(results.shots.dataset)
    assert again.agreement.dataset.equals(results.agreement.dataset)


def test_asking_all_at_once_is_asking_one_by_one(run: Run) -> None:
    inputs = evaluation_inputs(run, n_contexts=7)
    together = shot_curve_of([5, 20], [answers_of(model, inputs.contexts) for _, model in run.at([5, 20])])
    first, second = (
        ModularResults.of_model(model, ModularResults.analyzers(inputs), step=step) for step, model in run.at([5, 20])
    )
    assert together.dataset.equals(first.shots.extended(second.shots).dataset)


def test_every_cell_of_a_sweep_has_contexts_of_its_own_and_a_longer_run_keeps_them(run: Run) -> None:
    config = training_preset("modular-tiny")
    others = [
        config,
        config.with_data(n_id=4),
        config.with_data(alpha=0.4),
        replace(config, init_seed=1),
        replace(config, data_seed=1),
        replace(config, learning_rate=2 * config.learning_rate),
    ]
    assert len({evaluation_seed(each, seed) for each in others for seed in (0, 1)}) == 12
    longer = replace(config, n_steps=40, checkpoint_steps=(0, 40), micro_batch_size=1)
    assert evaluation_seed(longer) == evaluation_seed(config) == evaluation_inputs(run).contexts[0].seed


def test_an_accuracy_has_a_standard_error_below_1_point_whatever_it_is(run: Run) -> None:
    results = analyze(run, evaluation_inputs(run))
    assert float(results.shots.standard_error().max()) < 0.01
    assert 0.5 / N_CONTEXTS**0.5 < 0.01


def test_early_stopping_takes_the_best_unseen_tasks_on_queries_that_are_no_repeats(run: Run) -> None:
    results = analyze(run, evaluation_inputs(run))
    curve = results.shots.last_shot("new").sel(split=["ood_train", "ood_test"]).mean("split")
    assert float(curve.sel(checkpoint=results.best_step)) == float(curve.max())


def test_a_run_on_text_is_refused(tiny: TrainConfig, tmp_path: Path) -> None:
    run_training(tmp_path / "text", tiny)
    with pytest.raises(ValueError, match="is no run on modular arithmetic .*: the modular study cannot look at it"):
        evaluation_inputs(Run.open(tmp_path / "text"))


def test_the_unseen_task_has_no_shortcut_where_one_is_left(run: Run) -> None:
    tasks = evaluation_inputs(run).tasks
    a, b = unseen_task(tasks)
    assert [a, b] in tasks.ood_tasks.tolist()
    assert a and b and a != b
    symmetric = replace(tasks, ood_tasks=tasks.ood_tasks[:1] * 0 + 2)
    assert unseen_task(symmetric) == (2, 2)


def test_a_sweep_becomes_a_phase_diagram(run: Run, tmp_path: Path) -> None:
    config = training_preset("modular-tiny")
    second = run_training(tmp_path / "second", config.with_data(n_id=4))
    diagram = modular.sweep_diagram(run, second)
    assert diagram["accuracy"].sizes == {"n_id": 2, "alpha": 1, "seed": 1, "split": 4}
    last = analyze(run, evaluation_inputs(run)).shots.last_shot()
    best = last.isel(checkpoint=int(last.mean("split").argmax("checkpoint")))
    np.testing.assert_allclose(diagram["accuracy"].sel(n_id=8).squeeze(), best.sel(split=list(SPLITS)), rtol=1e-6)
    with pytest.raises(ValueError, match=r"two runs with \(n_id, alpha, init_seed\) = \(8, 0.6, 0\)"):
        modular.sweep_diagram(run, run)


def test_the_phase_figure_has_a_cell_for_each_setting_and_leaves_out_what_was_not_run(run: Run, tmp_path) -> None:
    config = training_preset("modular-tiny")
    second = run_training(tmp_path / "second", config.with_data(n_id=4, alpha=0.4))
    drawing = modular.figure_1b(run, second, threshold=0.5)
    cells = np.array(drawing.panels[0].marks[0].values, float)
    assert cells.shape == (2, 2)
    assert np.isnan(cells[0, 1]), "(4, 0.6) was not run: white"
    assert np.isfinite(cells[0, 0])
    assert len(on_paper(drawing).axes[1].texts) == 2


def test_grids_are_drawn_for_growing_contexts_of_one_list(run: Run) -> None:
    drawing = modular.figure_5(run, step=20, task=(2, 3), shots=[1, 2, 7])
    assert drawing.title == "task (2, 3)"
    assert [panel.title.partition(":")[0] for panel in drawing.panels[:3]] == [f"model\nk = {k}" for k in (1, 2, 7)]
    assert (grid_examples(5, 7)[:2] == grid_examples(5, 2)).all()


def test_the_most_circular_head_is_found(run: Run) -> None:
    best = circles(run, step=20)
    every = [circles(run, step=20, head=(layer, head)) for layer in (0, 1) for head in (0, 1)]
    scores = [float(circularity(circles, seed=0).at()["circularity"]) for circles in every]
    assert float(circularity(best, seed=0).at()["circularity"]) == max(scores)


def test_tokens_are_named_by_their_place() -> None:
    assert token_names(torch.tensor([3, 5, 1, 0])) == ["x=3", "y=5", "z=1", "x=0"]


def test_a_diagram_keeps_its_axes_through_a_file(run: Run, tmp_path: Path) -> None:
    diagram = modular.sweep_diagram(run)
    diagram.save(tmp_path / "diagram.nc")
    assert PhaseDiagram.load(tmp_path / "diagram.nc").dataset.equals(diagram.dataset)


def test_noise_is_asked_at_each_share_on_the_same_contexts(run: Run) -> None:
    (panel,) = modular.label_noise(run, step=20, noises=(0.0, 0.5)).panels
    clean, noisy = panel.marks
    assert clean.y[0] == noisy.y[0], "no example is shown before the first query"
    assert [line.label for line in panel.marks] == ["0%", "50%"]


def test_pictures_over_training_have_a_line_for_each_head_and_block(run: Run) -> None:
    left, right = modular.circles_over_training(run).panels
    assert len(left.marks) == 4 and len(right.marks) + len(right.levels) == 4 + 1
    assert [line.x.tolist() for line in left.marks] == [[0, 5, 10, 15, 20]] * 4
    panels = modular.kaleidoscopes_over_training(run).panels
    assert [panel.title for panel in panels] == ["at y", "at z"]
    assert [len(panel.marks) for panel in panels] == [4, 4]


def test_every_head_has_its_picture(run: Run) -> None:
    panels = modular.attention(run, step=20, n_tokens=9).panels
    assert [panel.title for panel in panels] == ["L0H0", "L0H1", "L1H0", "L1H1"]
    assert all(len(panel.x.ticks) == 9 for panel in panels)


def test_fourier_analysis_is_drawn_at_every_checkpoint_with_key_frequencies_of_the_last(run: Run) -> None:
    found = fourier_analysis(run, n_contexts=20)
    for losses in found.losses:
        key = found.spectrum.key_frequencies(losses.dataset.attrs["group"], 1)
        assert losses.dataset.attrs["frequencies"] == list(key) and losses.dataset.attrs["n_contexts"] == 20
        assert losses.dataset["checkpoint"].values.tolist() == [0, 5, 10, 15, 20]
    drawing = modular.fourier_over_training(run, n_key=2)
    assert drawing.panels[3].y.text == "fraction of the variance in the top 2 frequencies"
    with pytest.raises(ValueError, match="n_key must be between 1 and the 2 frequencies of each group, got 3"):
        modular.fourier_over_training(run, n_key=3)


def test_each_context_has_one_task_and_inputs_of_its_own(run: Run) -> None:
    tasks = evaluation_inputs(run).tasks
    tokens = one_task_per_context(tasks, "ood_test", n_examples=4, n_contexts=40, seed=0).unflatten(1, (4, 3))
    chosen, pairs = tasks.of("ood_test")
    turns = chosen[torch.arange(40) % len(chosen)]
    assert torch.equal((tokens[..., :2] * turns[:, None]).sum(-1) % tasks.p, tokens[..., 2])
    assert {tuple(pair) for pair in tokens[..., :2].flatten(0, 1).tolist()} <= {tuple(pair) for pair in pairs.tolist()}
    assert len({tuple(row) for row in tokens[..., :2].flatten(1).tolist()}) > 30
