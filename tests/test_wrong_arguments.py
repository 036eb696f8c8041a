"""Every public function that needs an object of ours, given a number, None or another result: one message of ours."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from inspect import Parameter
from pathlib import Path
from typing import Any, ClassVar

import jaxtyping
import numpy as np
import pytest
import torch
import xarray as xr
from ground_truth import distinct_copy_samples, repeated_distinct_tokens

import grok_interp
from grok_interp import (
    CheckpointSeries,
    ModularConfig,
    ModularTasks,
    Run,
    Transformer,
    load_reference,
    plots,
    preset,
    slot_sequences,
    training_preset,
)
from grok_interp.arguments.objects import LISTING, MADE_BY
from grok_interp.arguments.rules import _rule_of
from grok_interp.plots.registry import every_picture
from grok_interp.results.result import Measure, Result
from grok_interp.statistics.change_point import change_point
from grok_interp.statistics.flatness import autocorrelated, flatness
from grok_interp.statistics.fraction_noise import fraction_noise
from grok_interp.statistics.power import repetitions_needed, t_power
from grok_interp.studies import copying, modular


class Other(Result):
    """A result that no function takes."""

    name = "other"
    dims = ("place",)
    measures: ClassVar = {"value": Measure("value", "1")}


WRONG: tuple[Any, ...] = (3, None, Other.of_arrays({"value": [1.0]}, {}))
STATISTICS = (change_point, flatness, autocorrelated, fraction_noise, t_power, repetitions_needed)
SERIES = ("from_models", "from_files", "from_huggingface_folder", "from_hub")


def functions(module: Any, names: Any, prefix: str = "") -> dict[str, Callable[..., Any]]:
    return {prefix + name: each for name in names if inspect.isroutine(each := getattr(module, name))}


PUBLIC = {
    **functions(grok_interp, grok_interp.__all__),
    **{f"plots.{name}": picture for name, picture in every_picture().items()},
    **functions(copying, copying.__all__, "copying."),
    **functions(modular, modular.__all__, "modular."),
    **{f"statistics.{each.__name__}": each for each in STATISTICS},
    **functions(CheckpointSeries, SERIES, "CheckpointSeries."),
    "Run.open": Run.open,
    "plots.save_figure": plots.save_figure,
}
OF_ANY_TRUTH = {("Run.open", "trust_source")}
OF_OUR_OWN_WORDS = {"draw", "load_reference"}  # they name no argument
TOKENS, SLOTS = repeated_distinct_tokens(), slot_sequences((1, 2), 7, slot=0, n_examples=2, seed=0)
VALID: dict[str, Any] = {
    "checkpoints": Transformer(preset("copier-tiny"), seed=0),
    "model": Transformer(preset("copier-tiny"), seed=0),
    "directory": "no/run",
    "folder": "no/run",
    "frequencies": [1],
    "heads": [(0, 0)],
    "how": "zero",
    "group": "additive",
    "p": 7,
    "pattern": "model_{step}.pt",
    "phases": {},
    "position": "z",
    "samples": distinct_copy_samples(),
    "shape": (2, 8),
    "shots": [1],
    "slot": 0,
    "split": "ood_train",
    "state_dict": {"w": torch.zeros(1)},
    "stem": "figure",
    "task": (1, 2),
    "tasks": ModularTasks.draw(ModularConfig(p=7, n_id=16, alpha=0.6)),
    "threshold": 0.5,
    "tokens": TOKENS,
    "windows": TOKENS,
}


def valid(function: str, parameter: Parameter) -> Any:
    """A value that passes the check of this argument; objects are of the right class, and empty."""
    kind = str(parameter.annotation).removesuffix(" | None").replace("xr.", "").replace("np.random.", "")
    if function in ("plots.label_noise", "plots.shot_curves", "plots.last_shot") and parameter.name == "curves":
        shots = modular.analyze(load_reference("modular-p11")).shots
        return [shots] if "Sequence" in kind else shots
    if (function, parameter.name) == ("plots.modular_emergence", "shots"):
        return object.__new__(type("ShotCurves", (), {}))
    if kind.startswith("Integer"):
        return np.arange(10)
    if (function, parameter.name) == ("run_ensemble", "runs"):
        return {Path("no/run"): training_preset("copier-tiny")}
    if function == "plots.head_map":
        return xr.DataArray(np.zeros((1, 2, 2)), dims=("checkpoint", "layer", "head"))
    if parameter.name == "tokens" and "p" in required(PUBLIC[function]):
        return SLOTS
    if parameter.name in VALID:
        return VALID[parameter.name]
    if kind in MADE_BY:
        return object.__new__(type(kind, (), {}))
    if (listing := LISTING.fullmatch(kind)) and set(kinds := listing[2].split(", ")) <= set(MADE_BY):
        objects = [object.__new__(type(each, (), {})) for each in kinds]
        return [objects[0] if len(objects) == 1 else tuple(objects)]
    numbers = {"int": 1, "float": 0.5, "float | int": 0.5, "str": "x"}
    return numbers.get(kind, np.arange(10.0) if "np.ndarray" in kind else [[1, 2]])


def required(function: Callable[..., Any]) -> dict[str, Parameter]:
    found = inspect.signature(function).parameters
    named = {name: each for name, each in found.items() if each.default is Parameter.empty}
    return {name: each for name, each in named.items() if each.kind is not Parameter.VAR_KEYWORD}


def call(name: str, target: str, wrong: Any) -> Any:
    given, named = [], {}
    for argument, parameter in required(PUBLIC[name]).items():
        value = wrong if argument == target else valid(name, parameter)
        if parameter.kind is Parameter.KEYWORD_ONLY:
            named[argument] = value
        else:
            given.append(value)
    if target not in required(PUBLIC[name]):
        named[target] = wrong
    return PUBLIC[name](*given, **named)


def cases() -> Iterator[Any]:
    for name, function in PUBLIC.items():
        for argument, parameter in required(function).items():
            yield pytest.param(name, argument, str(parameter.annotation), id=f"{name}-{argument}")


def options(function: Callable[..., Any]) -> dict[str, Parameter]:
    """Arguments with a default whose kind the package checks: numbers, truth values, devices, functions, objects."""
    found = inspect.signature(function).parameters.values()
    return {each.name: each for each in found if each.default is not Parameter.empty and _rule_of(each)}


def options_of_all() -> Iterator[Any]:
    for name, function in PUBLIC.items():
        for argument in options(function):
            if (name, argument) not in OF_ANY_TRUTH:
                yield pytest.param(name, argument, id=f"{name}-{argument}")


@pytest.fixture(autouse=True)
def without_type_checker() -> Iterator[None]:
    """Callers have none: the package itself must refuse."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(("name", "argument", "kind"), list(cases()))
def test_what_is_no_object_of_ours_is_refused_by_name(name: str, argument: str, kind: str) -> None:
    for wrong in WRONG:
        if wrong == 3 and kind in ("int", "float", "float | int", "Any"):
            continue
        with pytest.raises(ValueError) as refused:
            call(name, argument, wrong)
        message = str(refused.value)
        assert type(wrong).__name__ in message or repr(wrong) in message, "what was received"
        assert re.search(r"must be|expected|needs|takes|there are", message), "what was expected"
        of_a_model = argument in ("checkpoints", "model") and "a model with" in message
        assert argument in message or of_a_model or name in OF_OUR_OWN_WORDS, message


@pytest.mark.parametrize(("name", "argument"), list(options_of_all()))
def test_an_option_of_another_kind_is_refused_by_name(name: str, argument: str) -> None:
    for wrong in (WRONG[-1], b"text"):
        with pytest.raises(ValueError, match=rf"{argument} must be ") as refused:
            call(name, argument, wrong)
        assert type(wrong).__name__ in str(refused.value) or repr(wrong) in str(refused.value), "what was received"


@pytest.mark.parametrize("name", [name for name in PUBLIC if name.startswith(("copying.", "modular."))])
def test_a_figure_of_no_run_is_refused(name: str) -> None:
    if any(each.kind is Parameter.VAR_POSITIONAL for each in required(PUBLIC[name]).values()):
        with pytest.raises(ValueError, match=r"one run|one$|at least one run"):
            PUBLIC[name]()
