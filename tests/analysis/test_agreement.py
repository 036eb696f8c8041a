"""The likelihood of algorithms, on solvers that follow one of them."""

import math

import numpy as np
import pytest
import torch
from solvers import Guess, P, Solver, by
from torch import Tensor

from grok_interp.analysis.agreement import (
    SUBSETS,
    AlgorithmAgreement,
    agreement_of,
    algorithm_agreement,
)
from grok_interp.analysis.algorithms import modular_regression, ratio_matching
from grok_interp.analysis.evaluation_contexts import AnsweredContexts, EvaluationContexts, draw_contexts
from grok_interp.analysis.hypotheses import HYPOTHESES, memorized
from grok_interp.analysis.random_answers import log_likelihood, random_fraction
from grok_interp.analysis.sampled_over import each_sampled_over
from grok_interp.configs import ModularConfig
from grok_interp.data.modular import ModularTasks

TASKS = ModularTasks.draw(ModularConfig(p=P, n_id=17, alpha=0.7, rule="random"))


def guessing(algorithm) -> Guess:
    """The algorithm's answer; a random number where it has none."""
    generator = torch.Generator().manual_seed(0)

    def guess(examples: Tensor, query: Tensor) -> Tensor:
        answer = by(algorithm)(examples, query)
        return torch.where(answer < P, answer, torch.randint(P, answer.shape, generator=generator))

    return guess


def recalled(examples: Tensor, query: Tensor) -> Tensor:
    """The answer of the first task trained on that agrees with all examples; a random number if none does."""
    z = (TASKS.id_tasks[:, None, None] * examples[..., :2]).sum(-1) % P  # task batch k
    agrees = (z == examples[..., 2]).all(dim=-1)
    answer = (TASKS.id_tasks[:, None] * query).sum(-1) % P
    chosen = answer.gather(0, agrees.long().argmax(dim=0)[None])[0]
    noise = torch.randint(P, chosen.shape, generator=torch.Generator().manual_seed(1))
    return torch.where(agrees.any(dim=0), chosen, noise)


def agreement(guess: Guess, **options) -> AlgorithmAgreement:
    return algorithm_agreement([(0, Solver(guess))], TASKS, n_contexts=1500, seed=0, **options)


@pytest.mark.parametrize(
    ("guess", "name"),
    [(guessing(ratio_matching), "ratio matching"), (guessing(modular_regression), "modular regression")],
)
def test_who_follows_an_algorithm_is_found_out_on_unseen_tasks(guess: Guess, name: str) -> None:
    found = agreement(guess)
    assert (found.best().sel(split="ood_train", shot=[2, 3, 4]) == name).all()
    share = found["random_fraction"].sel(subset="generic", hypothesis=name, split="ood_train")
    assert float(share.sel(shot=4, checkpoint=0)) < 1e-3


def test_who_recalls_tasks_is_found_out_on_those_trained_on_and_guesses_on_others() -> None:
    found = agreement(recalled)
    assert (found.best().sel(split="id_train", shot=[0, 1, 2]) == "memorization").all()
    unseen = found.log_likelihood().sel(split="ood_train", shot=4, checkpoint=0)
    assert float(unseen.max() - unseen.sel(hypothesis="chance")) < 0.05


def test_who_guesses_is_as_likely_by_chance_as_by_anything() -> None:
    generator = torch.Generator().manual_seed(2)
    found = agreement(lambda _, query: torch.randint(P, query[:, 0].shape, generator=generator))
    values = found.log_likelihood()
    np.testing.assert_allclose(values.sel(hypothesis="chance"), -math.log(P), rtol=1e-6)
    assert float((values - values.sel(hypothesis="chance")).max()) < 0.1
    assert (found.best().sel(shot=[2, 3, 4]) == "undecided").mean() > 0.8


def test_the_likelihood_of_a_known_share_of_errors() -> None:
    """3 of 4 answers as predicted with certainty: the best e has (1 - e) + e / p = 3 / 4."""
    h = torch.tensor([[[[1.0], [1.0], [1.0], [0.0]]]])  # hypothesis task context shot
    value, error, e, n, _ = log_likelihood(h, torch.ones(1, 4, 1, dtype=torch.bool), 5)[0, :, 0].tolist()
    assert e == pytest.approx(0.25 / (1 - 1 / 5), abs=1e-5)
    assert value == pytest.approx(0.75 * math.log(0.75) + 0.25 * math.log(0.25 / 4), abs=1e-5)
    gap = math.log(0.75) - math.log(0.25 / 4)
    assert error == pytest.approx(math.sqrt(gap**2 * (0.25 * 0.75 * 4 / 3) / 4), abs=1e-5)
    assert n == 4


def test_a_lead_that_hardly_varies_is_sure_however_much_answers_differ() -> None:
    """In every task the first is certain of one answer where the second guesses; half of the others fail both."""
    h = torch.full((2, 4, 10, 1), 0.25)
    h[0, :, 0] = 1.0
    h[:, :, 1:5] = 1.0
    mean, error, _, _, from_first, from_second = log_likelihood(h, torch.ones(4, 10, 1, dtype=torch.bool), 4)[
        ..., 0
    ].unbind(1)
    assert mean[0] > mean[1]
    assert from_first[0] == from_second[1] == 0
    assert from_first[1] == from_second[0] < error.min()


def test_where_tasks_are_sampled_the_error_is_over_tasks_too() -> None:
    """Two tasks that never vary, one always as predicted and one never: all contexts, but not all tasks, agree."""
    h = torch.tensor([1.0, 0.0])[:, None, None].expand(1, 2, 50, 1)
    counted = torch.ones(2, 50, 1, dtype=torch.bool)
    fixed, sampled = (log_likelihood(h, counted, 5, task_fraction=f)[0, 1, 0] for f in (1.0, 0.01))
    assert fixed < 1e-6
    assert sampled > 0.5


def test_the_fitted_share_is_the_best_of_many() -> None:
    h = torch.rand(7, 11, 3, generator=torch.Generator().manual_seed(3))
    counted = torch.rand(7, 11, 3, generator=torch.Generator().manual_seed(4)) < 0.7
    e = torch.linspace(0.001, 1, 2000)
    tried = (((1 - e) * h[..., None] + e / 5).log() * counted[..., None]).sum(dim=(0, 1))
    torch.testing.assert_close(random_fraction(h, counted, 5), e[tried.argmax(dim=-1)], atol=1e-3, rtol=0)


def test_recall_counts_the_tasks_that_agree_alike() -> None:
    """Two tasks trained on, (1, 0) and (1, 1): after (1, 0, 1) both agree, after (0, 1, 1) only the second."""
    tasks = ModularTasks(5, torch.tensor([[1, 0], [1, 1]]), torch.tensor([[0, 3]]), *[torch.tensor([[1, 0]])] * 2)
    inputs = torch.tensor([[[[1, 0], [0, 1], [2, 3]]]])
    asked = EvaluationContexts("id_train", 5, torch.tensor([[1, 1]]), inputs, torch.zeros(1, 1, 9).long(), 0, 0.0, 1, 1)
    answers = AnsweredContexts(asked, torch.tensor([[[1, 1, 0]]]), torch.zeros(1, 1, 3))
    assert memorized(answers, tasks).tolist() == [[[1.0, 0.5, 1.0]]]


def test_recall_of_an_unseen_task_ends_in_chance() -> None:
    (asked,) = draw_contexts(TASKS, ["ood_test"], n_examples=5, n_contexts=400, seed=0)
    found = memorized(AnsweredContexts(asked, asked.true, torch.zeros(asked.true.shape)), TASKS)
    assert float(found[..., 4].mean()) == pytest.approx(1 / P, abs=0.1)


def test_symmetric_tasks_and_axis_queries_stand_apart() -> None:
    """A model that is right on symmetric tasks alone is certain there and at chance elsewhere."""
    tasks = ModularTasks(5, *[torch.tensor([[2, 2], [1, 3]])] * 2, *[torch.cartesian_prod(*[torch.arange(5)] * 2)] * 2)
    asked = draw_contexts(tasks, ["ood_train"], n_examples=6, n_contexts=500, seed=0)[0]
    right = asked.true.clone()
    right[1] = (right[1] + torch.randint(5, right[1].shape, generator=torch.Generator().manual_seed(0))) % 5
    found = agreement_of([0], [[AnsweredContexts(asked, right, torch.zeros(right.shape))]], tasks)
    at = {"shot": 5, "hypothesis": "modular regression", "checkpoint": 0, "split": "ood_train"}
    generic, symmetric, axis = (float(found.log_likelihood(subset).sel(at)) for subset in SUBSETS)
    assert symmetric > -0.2
    assert max(generic, axis) < -1.2


def test_differences_are_those_of_the_log_likelihoods_and_surer_than_either() -> None:
    found = agreement(guessing(modular_regression)).dataset.sel(split=["ood_train"], shot=[2])
    found = AlgorithmAgreement(found)
    difference = found.difference("ratio matching").squeeze()
    low, high = (end.squeeze() for end in found.difference_interval("ratio matching"))
    values = found.log_likelihood().squeeze()
    np.testing.assert_allclose(difference, values - values.sel(hypothesis="ratio matching"))
    assert ((low <= difference) & (difference <= high)).all()
    assert low.sel(hypothesis="ratio matching") == high.sel(hypothesis="ratio matching") == 0
    assert low.sel(hypothesis="modular regression") > 0
    assert (found.interval()[1] <= 0).all()


def test_axes_and_refusals() -> None:
    found = agreement(guessing(ratio_matching), splits=["id_test", "ood_test"])
    assert found["log_likelihood"].dims == AlgorithmAgreement.dims
    assert found.dataset["split"].values.tolist() == ["id_test", "ood_test"]
    assert found.dataset["hypothesis"].values.tolist() == list(HYPOTHESES)
    assert "ratio matching" in str(found) and f"lead, over {each_sampled_over(found.dataset)}, is above 0" in str(found)
    with pytest.raises(ValueError, match="no checkpoints were given"):
        algorithm_agreement([], TASKS, n_contexts=3, seed=0)
