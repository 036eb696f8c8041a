"""Shot curves of solvers whose accuracy is counted by hand, on the same contexts."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from ground_truth import MODULAR, measured, random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from solvers import DONT_KNOW, N_EXAMPLES, Guess, P, Solver, always, by, curves_by_hand, look_up
from torch import Tensor

from grok_interp import to_hooked_transformer
from grok_interp.analysis.algorithms import modular_regression, ratio_matching
from grok_interp.analysis.evaluation_contexts import EVALUATION_CONTEXTS, with_wrong_answers
from grok_interp.analysis.queries import QUERIES, repeated_queries
from grok_interp.analysis.sampled_over import each_sampled_over
from grok_interp.analysis.shots import ShotCurves, shot_curve
from grok_interp.configs import ModularConfig
from grok_interp.data.modular import SPLITS, ModularTasks, Split, draw_inputs, sequences

N_CONTEXTS, SEED = 11, 3
TASKS = ModularTasks.draw(ModularConfig(p=P, n_id=13, alpha=0.4, rule="random"))


def curves(
    guess: Guess, tasks: ModularTasks = TASKS, *, n_contexts: int = N_CONTEXTS, seed: int = SEED, **options: Any
) -> ShotCurves:
    return shot_curve([(0, Solver(guess))], tasks, n_contexts=n_contexts, seed=seed, **options)


def contexts(split: Split) -> Tensor:
    """The inputs on which `curves` evaluates a split: task context example 2, two contexts for each task."""
    seed, (chosen, pairs) = (SEED, EVALUATION_CONTEXTS, SPLITS.index(split)), TASKS.of(split)
    drawn = draw_inputs(pairs, n_contexts=2 * len(chosen), n_examples=N_EXAMPLES, seed=seed)
    return drawn.unflatten(0, (len(chosen), 2))


def true_answers(split: Split) -> Tensor:
    """task context shot"""
    return sequences(TASKS.of(split)[0], contexts(split), P)[..., 2::3]


def with_one_input(x: int, y: int) -> ModularTasks:
    """The same tasks, and a single input: from the first shot on every query is a repeated one."""
    only = torch.tensor([[x, y]])
    return ModularTasks(P, TASKS.id_tasks, TASKS.ood_tasks, train_inputs=only, test_inputs=only)


def multiples(inputs: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    return {(c * x % P, c * y % P) for x, y in inputs for c in range(P)}


def span(inputs: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    reached = {(0, 0)}
    for x, y in inputs:
        reached = {((u + c * x) % P, (v + c * y) % P) for u, v in reached for c in range(P)}
    return reached


@pytest.mark.parametrize(("algorithm", "brute_force"), [(ratio_matching, multiples), (modular_regression, span)])
def test_a_solver_is_right_exactly_where_its_algorithm_has_an_answer(algorithm, brute_force) -> None:
    found = curves(by(algorithm)).accuracy()
    for split in SPLITS:
        rows = [[tuple(pair) for pair in row] for row in contexts(split).flatten(0, 1).tolist()]
        solved = np.array([[row[k] in brute_force(row[:k]) for k in range(N_EXAMPLES)] for row in rows])
        np.testing.assert_allclose(found.sel(split=split, checkpoint=0), solved.mean(axis=0), rtol=1e-6)


def test_a_solver_that_knows_loses_nothing_and_all_contexts_agree() -> None:
    found = curves(by(modular_regression)).dataset.sel(queries="regression", split="id_train", shot=4)
    assert found["accuracy"] == 1.0
    assert found["loss"] < 1e-6
    assert found["accuracy_se"] == found["loss_se"] == 0.0


def test_a_model_that_knows_nothing_loses_the_log_of_the_vocabulary_at_every_shot() -> None:
    model = Solver(always(0))
    model.sharpness.data.zero_()
    found = shot_curve([(0, model)], TASKS, n_contexts=N_CONTEXTS, seed=SEED).dataset.sel(queries="all")
    np.testing.assert_allclose(found["loss"], np.full((1, 4, 5), math.log(P + 1)), rtol=1e-6)
    np.testing.assert_allclose(found["loss_se"], 0.0, atol=1e-6)
    assert (found["accuracy"] == 0).all(), "equal logits are no prediction"


@pytest.mark.parametrize("answer", [0, 4])
def test_a_constant_answer_is_right_as_often_as_it_is_the_answer(answer: int) -> None:
    found = curves(always(answer)).accuracy()
    for split in SPLITS:
        expected = (true_answers(split) == answer).float().mean(dim=(0, 1))
        np.testing.assert_allclose(found.sel(split=split, checkpoint=0), expected, rtol=1e-6)


def test_a_wrong_answer_costs_its_distance_to_the_logit_of_the_right_one() -> None:
    found = curves(always(DONT_KNOW)).dataset.sel(queries="all")
    assert (found["accuracy"] == 0).all()
    np.testing.assert_allclose(found["loss"], 50.0, rtol=1e-6)


@pytest.mark.parametrize("which", ["all", "new"])
def test_errors_are_over_the_contexts_of_every_task(which: str) -> None:
    found = curves(always(0)).dataset.sel(queries=which, checkpoint=0)
    for split in SPLITS:
        repeated, right = repeated_queries(contexts(split)).numpy(), (true_answers(split) == 0).numpy()
        counted = np.ones_like(repeated) if which == "all" else ~repeated
        mean = np.average(right, axis=(0, 1), weights=counted)
        np.testing.assert_allclose(found["accuracy"].sel(split=split), mean, rtol=1e-6)
        residuals = counted * (right - mean) / counted.mean(axis=(0, 1))
        expected = np.sqrt(residuals.var(axis=1, ddof=1).mean(axis=0) / (2 * len(residuals)))
        np.testing.assert_allclose(found["accuracy_se"].sel(split=split), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("guess", "solves"),
    [
        (always(DONT_KNOW), set()),
        (look_up, {"repeated"}),
        (by(ratio_matching), {"repeated", "ratio"}),
        (by(modular_regression), {"repeated", "ratio", "regression"}),
    ],
    ids=["nothing", "look up", "ratio matching", "modular regression"],
)
def test_each_solver_answers_its_own_kinds_of_queries_and_no_others(guess: Guess, solves: set[str]) -> None:
    found = curves(guess, n_contexts=37)
    for kind in ("repeated", "ratio", "regression", "unsolved"):
        defined = found.accuracy(kind).values[found.accuracy(kind).notnull()]
        assert set(defined) == {float(kind in solves)}


def test_looking_up_is_worth_the_share_of_repeated_queries() -> None:
    found = curves(look_up)
    for split in SPLITS:
        share = repeated_queries(contexts(split)).float().mean(dim=(0, 1))
        np.testing.assert_allclose(found.accuracy().sel(split=split, checkpoint=0), share, rtol=1e-6)
    assert found.accuracy().max() > 0, "some queries are repeated"
    assert (found.accuracy("new") == 0).all()


def test_the_four_kinds_of_query_make_up_all_of_them() -> None:
    share = curves(always(0))["fraction"]
    assert (share.sel(queries="all") == 1).all()
    np.testing.assert_allclose(share.sel(queries=["repeated", "ratio", "regression", "unsolved"]).sum("queries"), 1)
    np.testing.assert_allclose(share.sel(queries=["repeated", "new"]).sum("queries"), 1)


@pytest.mark.parametrize(
    ("algorithm", "kinds"),
    [(ratio_matching, ("repeated", "ratio")), (modular_regression, ("repeated", "ratio", "regression"))],
)
def test_solvable_is_the_accuracy_of_a_solver_that_guesses_where_it_has_no_answer(algorithm, kinds) -> None:
    found = curves(by(algorithm))
    never_guesses = found.accuracy().isel(checkpoint=0, drop=True)
    np.testing.assert_allclose(found.solvable(*kinds), never_guesses + (1 - never_guesses) / P, rtol=1e-6)


def test_loss_and_standard_error_are_slices_of_the_array() -> None:
    found = curves(by(ratio_matching))
    for measure, part in {"loss": found.loss("new"), "accuracy_se": found.standard_error("new")}.items():
        assert part.dims == ("checkpoint", "split", "shot")
        assert part.equals(found[measure].sel(queries="new", drop=True))


def test_without_a_new_query_its_accuracy_is_undefined() -> None:
    found = curves(look_up, with_one_input(2, 3))
    assert found.accuracy().sel(split="id_test", checkpoint=0).values.tolist() == [0, 1, 1, 1, 1]
    new = found.dataset[["accuracy", "accuracy_se", "loss", "loss_se"]].sel(queries="new")
    assert new.sel(shot=0).to_dataarray().notnull().all() and new.sel(shot=slice(1, None)).to_dataarray().isnull().all()


def test_a_single_task_has_an_error_if_it_is_all_tasks_and_none_if_it_stands_for_others() -> None:
    alone = ModularTasks(P, TASKS.id_tasks[:1], TASKS.ood_tasks[:1], TASKS.train_inputs, TASKS.test_inputs)
    array = curves(always(0), alone).dataset.sel(queries="all")
    assert array.sel(split=["id_train", "id_test"]).to_dataarray().notnull().all()
    assert array[["accuracy_se", "loss_se"]].sel(split=["ood_train", "ood_test"]).to_dataarray().isnull().all()
    assert array[["accuracy", "loss"]].to_dataarray().notnull().all()


def test_dims_and_labels_and_where_the_numbers_come_from() -> None:
    models = [(step, Solver(always(0))) for step in (0, 20, 300)]
    array = shot_curve(models, TASKS, n_contexts=N_CONTEXTS, seed=SEED, noise=0.25).dataset
    assert list(array.data_vars) == ["accuracy", "accuracy_se", "loss", "loss_se", "fraction"]
    for measure in array.data_vars:
        assert array[measure].dims == ("checkpoint", "split", "queries", "shot")
        assert array[measure].shape == (3, 4, 6, N_EXAMPLES)
    assert array["checkpoint"].values.tolist() == [0, 20, 300]
    assert array["split"].values.tolist() == ["id_train", "id_test", "ood_train", "ood_test"]
    assert array["queries"].values.tolist() == list(QUERIES)
    assert array["shot"].values.tolist() == [0, 1, 2, 3, 4]
    assert array["n_contexts"].values.tolist() == [26, 26, 72, 72], "two contexts or more for each task"
    assert array["n_tasks"].values.tolist() == array["n_all_tasks"].values.tolist() == [13, 13, 36, 36]
    assert array.attrs == {"n_contexts": 11, "seed": 3, "noise": 0.25, "p": 7}


def test_all_checkpoints_see_the_same_tokens_and_no_answer_to_the_last_query() -> None:
    first, second = Solver(always(0)), Solver(look_up)
    found = shot_curve([(0, first), (10, second)], TASKS, n_contexts=N_CONTEXTS, seed=SEED, noise=0.3)
    assert len(first.shown) == len(second.shown)
    assert all(torch.equal(a, b) for a, b in zip(first.shown, second.shown, strict=True))
    assert {tokens.shape[1] for tokens in first.shown} == {3 * N_EXAMPLES - 1}
    alone = shot_curve([(10, second)], TASKS, n_contexts=N_CONTEXTS, seed=SEED, noise=0.3)
    assert found.dataset.sel(checkpoint=[10]).identical(alone.dataset)


def test_every_task_of_a_split_has_contexts_of_its_own() -> None:
    model = Solver(always(0))
    shot_curve([(0, model)], TASKS, n_contexts=N_CONTEXTS, seed=SEED)
    shown = torch.cat(model.shown).split([len(TASKS.of(split)[0]) * 2 for split in SPLITS])
    for split, tokens in zip(SPLITS, shown, strict=True):
        assert torch.equal(tokens, sequences(TASKS.of(split)[0], contexts(split), P)[..., :-1].flatten(0, 1))
        first, second = contexts(split)[:2]
        assert not torch.equal(first, second)


def test_the_intervals_of_a_curve_are_within_its_range_and_hold_its_value() -> None:
    found = curves(by(ratio_matching), n_contexts=200)
    for queries in ("all", "new"):
        low, high = found.interval(queries)
        assert ((low >= 0) & (low < high) & (high <= 1)).all(), "also where all answers are right or wrong"
        assert ((low <= found.accuracy(queries)) & (found.accuracy(queries) <= high)).all()
        low, high = found.loss_interval(queries)
        assert ((low >= 0) & (low <= found.loss(queries)) & (found.loss(queries) <= high)).all()


def test_the_batch_size_does_not_matter() -> None:
    in_parts, whole = (measured(curves(by(ratio_matching), batch_size=size)) for size in (17, 10_000))
    np.testing.assert_allclose(in_parts, whole, rtol=1e-6)


def test_curves_depend_on_the_seed_and_on_no_other_random_state() -> None:
    first = curves(by(ratio_matching), noise=0.2).dataset
    torch.manual_seed(99)
    np.random.seed(99)
    assert first.identical(curves(by(ratio_matching), noise=0.2).dataset)
    assert not first.equals(curves(by(ratio_matching), noise=0.2, seed=SEED + 1).dataset)


def test_some_splits_alone_are_what_they_are_among_all() -> None:
    asked: tuple[Split, ...] = ("ood_test", "id_test")
    whole = curves(by(ratio_matching), noise=0.2).dataset
    assert curves(by(ratio_matching), noise=0.2, splits=asked).dataset.identical(whole.sel(split=list(asked)))


def test_the_librarys_own_model_has_the_same_curves() -> None:
    model = random_model(MODULAR)
    ours, theirs = (
        measured(shot_curve([(0, m)], TASKS, n_contexts=3, seed=0)) for m in (model, to_hooked_transformer(model))
    )
    assert ours.sizes["shot"] == MODULAR.n_ctx // 3
    np.testing.assert_allclose(theirs, ours, atol=1e-4)


@pytest.mark.parametrize("noise", [-0.1, 1.0, 40.0, math.nan])
def test_noise_that_is_no_fraction_is_refused(noise: float) -> None:
    with pytest.raises(ValueError, match=rf"fraction of wrong answers shown, in \[0, 1\), got {noise}"):
        curves(always(0), noise=noise)


def test_what_counts_is_the_true_answer_and_not_the_one_shown() -> None:
    for guess in (always(0), always(DONT_KNOW)):
        assert curves(guess, noise=0.6).dataset.drop_attrs().identical(curves(guess).dataset.drop_attrs())


def test_looking_up_a_wrong_example_is_wrong() -> None:
    """With a single input all look up the first example: they fail in the share of contexts in which it was wrong."""
    found = curves(look_up, with_one_input(2, 3), noise=0.3, n_contexts=2000).accuracy().sel(checkpoint=0)
    for split in SPLITS:
        shares = found.sel(split=split).values[1:]
        assert np.ptp(shares) < 1e-6 and shares[0] == pytest.approx(0.7, abs=0.05)


@settings(deadline=None, max_examples=40)
@given(p=st.sampled_from([3, 5, 29]), noise=st.floats(0, 0.999), seed=st.integers(0, 999))
def test_wrong_answers_replace_their_share_by_numbers_of_z_p_and_leave_the_inputs(
    p: int, noise: float, seed: int
) -> None:
    tokens = torch.randint(p, (7, 11, 39), generator=torch.Generator().manual_seed(seed))
    before = tokens.clone()
    shown = with_wrong_answers(tokens, noise, p, seed=(seed, 1))
    assert torch.equal(tokens, before)
    is_answer = torch.arange(39) % 3 == 2
    assert torch.equal(shown[..., ~is_answer], tokens[..., ~is_answer])
    assert shown.min() >= 0 and shown.max() < p
    n, replaced = 7 * 11 * 13, int((shown != tokens).sum())
    assert abs(replaced - noise * n) <= 5 * math.sqrt(noise * (1 - noise) * n) + 1


def test_no_noise_shows_what_is_true() -> None:
    tokens = torch.randint(P, (5, 15), generator=torch.Generator().manual_seed(0))
    assert torch.equal(with_wrong_answers(tokens, 0.0, P, seed=(0,)), tokens)


def test_wrong_answers_depend_on_every_part_of_their_seed_and_on_nothing_else() -> None:
    tokens = torch.randint(P, (5, 15), generator=torch.Generator().manual_seed(0))
    first, again, *others = (with_wrong_answers(tokens, 0.5, P, seed=seed) for seed in ((1, 2), (1, 2), (1, 3), (2, 2)))
    assert torch.equal(first, again)
    assert not any(torch.equal(first, other) for other in others)


def test_all_wrong_answers_are_equally_likely() -> None:
    tokens = torch.full((1009, 39), 4)
    shown = with_wrong_answers(tokens, 0.5, P, seed=(0,))[:, 2::3]
    counts = shown[shown != 4].bincount(minlength=P).tolist()
    assert counts.pop(4) == 0
    assert chisquare(counts).pvalue > 0.001


def test_the_last_shot_is_the_accuracy_with_the_most_examples() -> None:
    accuracies = {"id_train": [0.1, 0.2, 0.3], "ood_test": [0.4, 0.5, 0.6]}
    last = curves_by_hand(accuracies, [0, 5, 20]).last_shot()
    assert last.dims == ("checkpoint", "split")
    assert last.values.T.tolist() == list(accuracies.values())


def test_early_stopping_takes_the_peak_and_of_equal_ones_the_first() -> None:
    result = curves_by_hand({"id_train": [0.1, 0.2, 0.3, 0.4], "ood_test": [0.1, 0.8, 0.8, 0.3]}, [0, 5, 20, 70])
    assert result.best_checkpoint("ood_test") == 5
    assert result.best_checkpoint("id_train") == 70
    assert result.best_checkpoint("id_train", "ood_test") == 20


def test_in_one_line_stands_the_last_shot_of_the_last_checkpoint() -> None:
    result = curves_by_hand({"id_train": [0.1, 0.973], "ood_test": [0.9, 0.25]}, [0, 5], error=0.01)
    assert str(result) == (
        "3 shots at 2 checkpoints; last shot of the last, 95% CI over 1,000 contexts per split: "
        "id_train 97% [95%, 99%], ood_test 25% [23%, 27%]"
    )
    some = {"n_contexts": ("split", [400, 1500]), "n_tasks": ("split", [4, 5])}
    sampled = each_sampled_over(result.dataset.assign_coords(some))
    assert sampled == "400-1,500 contexts and 4-5 tasks per split", "4 of 5 tasks: intervals are over tasks too"


def test_curves_survive_the_disk(tmp_path) -> None:
    result = curves(always(0), with_one_input(2, 3))
    result.save(tmp_path / "shots.nc")
    assert ShotCurves.load(tmp_path / "shots.nc").dataset.identical(result.dataset)
