"""The public functions are called alike: checkpoints first, `p` second, seeds and options by keyword."""

import inspect
from collections.abc import Callable
from inspect import Parameter

import pytest

import grok_interp

FUNCTIONS = {
    name: function for name in grok_interp.__all__ if inspect.isfunction(function := getattr(grok_interp, name))
}
EACH = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
FIRST = {"checkpoints", "model", "runs"}  # what is analyzed
OPTIONS_BY_POSITION = {"attention_view": ["tokens"], "weights_of": ["norm_gain"]}


def parameters(function: Callable) -> dict[str, Parameter]:
    return dict(inspect.signature(function).parameters)


@EACH
def test_what_is_analyzed_comes_first(function: Callable) -> None:
    assert [name for name in list(parameters(function))[1:] if name in FIRST] == []


@EACH
def test_the_modulus_comes_second(function: Callable) -> None:
    names = list(parameters(function))
    assert "p" not in names or names.index("p") == 1
    assert "p" not in names or parameters(function)["p"].kind is Parameter.POSITIONAL_OR_KEYWORD


@EACH
def test_seeds_are_given_by_keyword(function: Callable) -> None:
    seeds = [parameter for name, parameter in parameters(function).items() if name == "seed"]
    assert all(seed.kind is Parameter.KEYWORD_ONLY for seed in seeds)


@EACH
def test_options_are_given_by_keyword(function: Callable) -> None:
    by_position = [
        name
        for name, parameter in parameters(function).items()
        if parameter.kind is Parameter.POSITIONAL_OR_KEYWORD and parameter.default is not Parameter.empty
    ]
    assert by_position == OPTIONS_BY_POSITION.get(function.__name__, [])


def test_there_are_functions_of_each_kind() -> None:
    found = [set(parameters(function)) for function in FUNCTIONS.values()]
    assert all(any(kind in names for names in found) for kind in ("checkpoints", "model", "runs", "p", "seed"))
