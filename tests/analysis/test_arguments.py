"""Numbers and lists that callers give to any public analyzer: accepted where the meaning is plain, refused by name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
import xarray as xr
from test_inputs import (
    DRIVERS,
    NUMBER_MODELS,
    REPEATED,
    SAMPLES,
    SLOTS,
    TASKS,
    TEXT_MODELS,
    P,
)

import grok_interp
from grok_interp import (
    ablated,
    circularity,
    emergence,
    formation_order,
    grid_comparison,
    grid_comparisons,
    head_ablation,
    head_scores,
    kaleidoscope,
    leading_indicators,
    modular_regression,
    phase,
    ratio_matching,
    repeated_tokens,
    shot_curve,
    slot_sequences,
)
from grok_interp.analysis.checkpoints_of import checkpoints_of
from grok_interp.analysis.edge_ablation import edge_ablation
from grok_interp.analysis.edge_paths import Edge
from grok_interp.analysis.embedding import parity_separation
from grok_interp.analysis.natural_copying import natural_copying
from grok_interp.analysis.phases import phases
from grok_interp.analysis.single_ablation import single_ablation
from grok_interp.arguments import checked, heads_of, whole_numbers
from grok_interp.models.activations import logits

TEXT, NUMBERS = TEXT_MODELS[:1], NUMBER_MODELS[:1]
MODEL = TEXT[0][1]
STEPS = np.arange(12) * 10
CURVE = xr.DataArray(np.repeat([0.1, 0.9], 6) + 0.01 * np.sin(STEPS), {"checkpoint": STEPS}, ["checkpoint"])
SCORES = head_scores(TEXT_MODELS, REPEATED)
CURVES = shot_curve(NUMBERS, TASKS, n_contexts=4, seed=0)
PHASE = dict(id_train=1.0, id_test=0.9, ood_train=0.8, ood_test=0.8)
RESAMPLE: dict[str, Any] = dict(how="resample", reference=REPEATED, seed=0)
AT_SLOT: dict[str, Any] = dict(p=P, tokens=SLOTS, slot=3, batch_size=8)
EXAMPLES: dict[str, Any] = dict(model=NUMBERS[0][1], p=P, task=(2, 3), inputs=[(1, 2), (3, 4)], batch_size=8)
IN_CONTEXT: dict[str, Any] = dict(tasks=TASKS, n_contexts=4, seed=0, splits=["id_train"], batch_size=8)
NULL = dict(seed=0, n_shuffles=20)

# What each takes besides checkpoints, all of it valid; those of checkpoints are the drivers of `test_inputs`
OF_CHECKPOINTS: dict[str, dict[str, Any]] = {
    "algorithm_agreement": IN_CONTEXT,
    "circle_pca": dict(**AT_SLOT, layer=1, head=0, n_components=2, root=3),
    "copying_accuracy": dict(samples=SAMPLES, batch_size=8),
    "cosine_similarity": dict(**AT_SLOT, position="y", layer=1, head=0),
    "direct_logit_attribution": dict(samples=SAMPLES, batch_size=8),
    "embedding_pca": dict(p=P, n_components=2, root=3),
    "fourier_losses": dict(p=P, tokens=SLOTS, group="additive", frequencies=[1], root=3, batch_size=8),
    "fourier_spectrum": dict(p=P, root=3),
    "head_ablation": dict(
        samples=SAMPLES, windows=REPEATED, heads=[(1, 0)], **RESAMPLE, n_draws=1, spared=[(0, 0)], batch_size=8
    ),
    "head_scores": dict(tokens=REPEATED, scores=["previous_token"], batch_size=8),
    "indicator_scores": dict(tokens=REPEATED, batch_size=8),
    "induction_scores": dict(tokens=REPEATED, norm_gain="ignored", batch_size=8),
    "mlp_activations": dict(**AT_SLOT, position="y", layer=1),
    "natural_copying": dict(windows=REPEATED, n=2, documents=[0, 1, 2], batch_size=8),
    "position_losses": dict(windows=REPEATED, batch_size=8),
    "shot_curve": dict(**IN_CONTEXT, noise=0.0),
    "top_frequency_fraction": dict(p=P, n_key=1, **NULL, root=3),
}
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    name: (
        getattr(grok_interp, name),
        dict(checkpoints=NUMBERS if DRIVERS[name].numbers else TEXT, **options),
    )
    for name, options in OF_CHECKPOINTS.items()
} | {
    "ablated": (ablated, dict(model=MODEL, heads=[(1, 0)], **RESAMPLE)),
    "ablated edges": (ablated, dict(model=MODEL, heads=[(1, 0)], how="edges", n_match=1)),
    "circularity": (circularity, dict(circles=DRIVERS["circle_pca"](NUMBERS), **NULL)),
    "edge_ablation": (
        edge_ablation,
        dict(
            checkpoints=TEXT,
            samples=SAMPLES,
            windows=REPEATED,
            groups={"one": [Edge((0, 0), (1, 0))]},
            reference=REPEATED,
            batch_size=8,
        ),
    ),
    "emergence": (emergence, dict(curve=CURVE, chance=0.0, margin=0.1, level=0.95, trials=400)),
    "formation_order": (formation_order, dict(scores=SCORES["previous_token"], threshold=0.1)),
    "grid_comparison": (grid_comparison, EXAMPLES),
    "grid_comparisons": (grid_comparisons, dict(**EXAMPLES, shots=[1])),
    "kaleidoscope": (kaleidoscope, dict(similarity=DRIVERS["cosine_similarity"](NUMBERS), **NULL)),
    "modular_regression": (modular_regression, dict(examples=[(1, 2, 3)], p=P)),
    "parity_separation": (parity_separation, dict(embedding=DRIVERS["embedding_pca"](NUMBERS), **NULL)),
    "phase": (phase, dict(accuracies=PHASE, threshold=0.7)),
    "phases": (phases, dict(curves=CURVES, threshold=0.7)),
    "ratio_matching": (ratio_matching, dict(examples=[(1, 2, 3)], p=P)),
    "repeated_tokens": (repeated_tokens, dict(n_sequences=2, half=4, alphabet=range(10), seed=0, bos=11)),
    "single_ablation": (
        single_ablation,
        dict(checkpoints=TEXT, samples=SAMPLES, windows=REPEATED, **RESAMPLE, batch_size=8),
    ),
    "slot_sequences": (slot_sequences, dict(task=(2, 3), p=P, slot=1, n_examples=3, seed=0)),
}
OTHER = {"model", "checkpoints", "scores"}
OF_A_CLASS = {"curve", "curves", "circles", "similarity", "embedding", "samples", "tasks"}
NOT_NUMBERS = (float("nan"), float("inf"), "2", [1], True)
NOT_LISTS = (2.5, "x", ["x"], [None], [2.5], [float("nan")])


@pytest.fixture(autouse=True)
def without_type_checker() -> Iterator[None]:
    """Callers have none: the package itself must refuse."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def wrong(name: str, value: Any, kind: str) -> list[Any]:
    """Values of the wrong kind for an argument that has this valid one."""
    found: list[Any] = [] if kind.endswith("None") else [None]
    if name in OTHER:
        return []
    if name in OF_A_CLASS:
        return [None, torch.zeros(2, 3), [[1, 2]], "x", 1]
    if isinstance(value, str):
        return [*found, "another", 1]
    if isinstance(value, int) and not kind.startswith("float"):
        return [*found, *NOT_NUMBERS, 2.5]
    if isinstance(value, int | float):
        return [*found, *NOT_NUMBERS]
    return [*found, *NOT_LISTS]


def arguments() -> list[Any]:
    cases = []
    for call, (function, options) in CALLS.items():
        kinds = {name: str(each.annotation) for name, each in inspect.signature(function).parameters.items()}
        cases += [
            pytest.param(call, name, wrong(name, options[name], kinds[name]), id=f"{call}-{name}") for name in options
        ]
    return [case for case in cases if case.values[2]]


@pytest.mark.parametrize(("call", "name", "values"), arguments())
def test_an_argument_of_another_kind_is_refused_by_its_name(call: str, name: str, values: list[Any]) -> None:
    function, options = CALLS[call]
    for value in values:
        with pytest.raises(ValueError, match=name):
            function(**{**options, name: value})


@pytest.mark.parametrize(
    ("call", "name", "remedy"),
    [
        ("copying_accuracy", "samples", "must be CopySamples, got Tensor: use CopyTask.fitting"),
        ("shot_curve", "tasks", "must be ModularTasks, got Tensor: use ModularTasks.draw(config.data)"),
    ],
)
def test_what_has_a_maker_is_refused_with_it(call: str, name: str, remedy: str) -> None:
    function, options = CALLS[call]
    with pytest.raises(ValueError, match=re.escape(f"{name} {remedy}")):
        function(**{**options, name: torch.zeros(2, 3)})


def test_all_analyzers_of_checkpoints_are_tried() -> None:
    assert set(OF_CHECKPOINTS) == set(DRIVERS) - {"single_ablation"}


@pytest.mark.parametrize("call", CALLS)
def test_numbers_of_numpy_and_torch_are_pythons_own(call: str) -> None:
    function, options = CALLS[call]
    kinds = {
        name: str(each.annotation).removesuffix(" | None")
        for name, each in inspect.signature(function).parameters.items()
    }
    for make in (np.int32, torch.tensor):
        others = {
            name: make(value) if kinds[name] == "int" and name != "bos" else value for name, value in options.items()
        }
        same = function(**options), function(**others)
        for found in same:
            assert type(found) is type(same[0])
        if hasattr(same[0], "dataset"):
            xr.testing.assert_identical(*(found.dataset for found in same))


# Lists


def test_heads_are_named_as_pairs_as_names_or_as_an_array() -> None:
    expected = logits(ablated(MODEL, [(1, 0), (0, 1)], "zero"), REPEATED)
    forms: list[Any] = [["L1H0", "L0H1"], ([1, 0], [0, 1]), np.array([[1, 0], [0, 1]]), torch.tensor([[1, 0], [0, 1]])]
    for heads in forms:
        assert torch.equal(logits(ablated(MODEL, heads, "zero"), REPEATED), expected)
    named = head_ablation(TEXT, SAMPLES, REPEATED, heads=["L1H0"], how="zero", n_draws=1, seed=0)  # pyright: ignore
    assert named.dataset.attrs["heads"] == "L1H0"
    assert heads_of([("L1H3"), (0, 2)], "heads") == [(1, 3), (0, 2)]
    for heads in ("L1H0", (1, 0), ["H0"], [(1, 0, 0)], [(1.0, 0.0)], np.array([[1.0, 0.0]]), [(True, 0)], 3):
        with pytest.raises(
            ValueError, match=r'heads must be a list of \(layer, head\) or of names such as "L1H3", got'
        ):
            ablated(MODEL, heads, "zero")  # pyright: ignore[reportArgumentType]


def test_reference_sequences_are_read_as_any_tokens() -> None:
    expected = logits(ablated(MODEL, [(1, 0)], "mean", reference=REPEATED), REPEATED)
    for reference in (REPEATED.tolist(), REPEATED.numpy(), REPEATED.int()):
        found = logits(ablated(MODEL, [(1, 0)], "mean", reference=reference), REPEATED)
        assert torch.equal(found, expected)
    for how in ("mean", "resample"):
        with pytest.raises(ValueError, match="reference must be within the model's vocabulary, 0 to 28, got 29 to 29"):
            ablated(MODEL, [(1, 0)], how, reference=[[29, 29]])
        with pytest.raises(ValueError, match=r"reference has rows of which 17 tokens are read, .* holds 16"):
            ablated(MODEL, [(1, 0)], how, reference=[[1] * 17])
    with pytest.raises(ValueError, match="reference must be within the model's vocabulary"):
        edge_ablation(TEXT, SAMPLES, REPEATED, groups={"one": [Edge((0, 0), (1, 0))]}, reference=[[29, 29]])


def test_two_pairs_in_a_tuple_are_two_checkpoints() -> None:
    first, second = TEXT_MODELS
    forms: list[Any] = [(first, second), [first, second], (list(first), list(second))]
    for given in forms:
        assert [step for step, _ in checkpoints_of(given)] == [0, 20]
    one: Any = (40, MODEL)
    assert [step for step, _ in checkpoints_of(one)] == [40]
    assert [step for step, _ in checkpoints_of((first[1], second[1]))] == [0, 1]

    class Embedding:
        W_E = 1

    two: Any = (Embedding(), Embedding())
    assert [step for step, _ in checkpoints_of(two, needs=["W_E"])] == [0, 1]


@pytest.mark.parametrize("splits", [[], ["x"], "id_train", ["id_train", "id_train"], None])
def test_splits_are_named_once_each(splits: Any) -> None:
    with pytest.raises(
        ValueError, match="splits must be a list of one or more of id_train, id_test, .* each once, got"
    ):
        shot_curve(NUMBERS, TASKS, n_contexts=4, seed=0, splits=splits)


def test_documents_are_any_integers() -> None:
    found = [natural_copying(TEXT, REPEATED, n=2, documents=each) for each in ([5, 5, 9], np.array([5, 5, 9]))]
    xr.testing.assert_identical(found[0].dataset, found[1].dataset)
    assert found[0].dataset.attrs["n_documents"] == 2


# Numbers


@pytest.mark.parametrize(
    ("call", "name", "value", "message"),
    [
        ("ablated edges", "n_match", 2.5, "n_match must be a whole number, got 2.5 (float)"),
        ("position_losses", "batch_size", 2.5, "batch_size must be a whole number, got 2.5 (float)"),
        ("position_losses", "batch_size", -1, "batch_size must be 1 or more, got -1"),
        ("grid_comparison", "batch_size", 0, "batch_size must be 1 or more, got 0"),
        ("ratio_matching", "p", 29.0, "p must be a whole number, got 29.0 (float)"),
        ("emergence", "level", None, "level must be between 0 and 1, such as 0.95, got None"),
        ("emergence", "chance", float("nan"), "chance must be a finite number, got nan (float)"),
        ("emergence", "margin", float("nan"), "margin must be a finite number, got nan (float)"),
        ("shot_curve", "n_contexts", 2.5, "n_contexts must be a whole number, got 2.5 (float)"),
        ("shot_curve", "seed", -1, "seed must be 0 or more, got -1"),
        ("fourier_losses", "frequencies", [1.5], "frequencies must be a list of whole numbers, got [1.5] (list)"),
        ("grid_comparison", "task", [2], "task must be two whole numbers, got [2] (list)"),
    ],
)
def test_the_message_says_what_was_expected_and_what_came(call: str, name: str, value: Any, message: str) -> None:
    function, options = CALLS[call]
    with pytest.raises(ValueError, match=re.escape(message)):
        function(**{**options, name: value})


def test_levels_of_other_results_are_checked_alike() -> None:
    for level in (None, float("nan"), "0.9", 2.0):
        with pytest.raises(ValueError, match="level must be"):
            leading_indicators([SCORES], [CURVE], level=level)  # pyright: ignore[reportArgumentType]


def test_arguments_that_python_refuses_are_refused_in_its_words() -> None:
    @checked
    def doubled(n: int, *, times: Any = 2) -> int:
        return n * times

    assert doubled(np.int64(3)) == 6 and type(doubled(np.int64(3))) is int  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"doubled\(\) missing 1 required positional argument: 'n'"):
        doubled()  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="unexpected keyword argument 'm'"):
        doubled(1, m=1)  # pyright: ignore[reportCallIssue]
    assert whole_numbers(range(3), "n") == whole_numbers(np.arange(3), "n") == whole_numbers(torch.arange(3), "n")
    with pytest.raises(ValueError, match=re.escape("n must be a list of whole numbers, got array(3) (ndarray)")):
        whole_numbers(np.array(3), "n")
