"""What callers give: numbers and heads, made Python's own, or refused with the argument's name and what came.

`checked` reads the annotations of a function:

    int                     a whole number of any library (NumPy, a tensor of one number), no truth value
    float, float | int      a finite number
    bool                    True or False
    device: str             a torch device, or its name
    Sequence[int]           whole numbers: a list, a tuple, a range, an array or a tensor
    tuple[int, int]         two of them
    Sequence[Head]          heads: (layer, head) or "L1H3" each, or an array of two columns
    a class                 an object of it; lists of objects, arrays and paths: see objects.py
    Sequence[str] | str     names, or a pattern: see strings.py

Ranges are of the functions, except for what has one everywhere: a seed is 0 or more, a batch size 1 or more. A level,
a noise and a BOS token have rules of their own, which refuse other kinds as well.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, wraps
from inspect import Parameter
from typing import ParamSpec, TypeVar

from grok_interp.arguments.functions import rule_of_functions
from grok_interp.arguments.numbers import (
    finite_number,
    heads_of,
    truth_value,
    two_whole_numbers,
    whole_number,
    whole_numbers,
)
from grok_interp.arguments.objects import Rule, rule_of_objects
from grok_interp.arguments.strings import RULES_OF_TEXT, text
from grok_interp.device import device_name

Given = ParamSpec("Given")
Returned = TypeVar("Returned")

OWN_RULES = ("level", "noise", "bos")


def checked(function: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """The function, with its numbers and heads checked before it runs.

    Args:
        function: annotated as above; other arguments are passed on as they are, and None where it is allowed.
    """
    signature = inspect.signature(function)
    rules = {name: rule for name, each in signature.parameters.items() if (rule := _rule_of(each))}

    @wraps(function)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Returned:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # Python's own words for what is missing or unknown
        for name, value in bound.arguments.items():
            if name in rules:
                bound.arguments[name] = rules[name](value, name)
        return function(*bound.args, **bound.kwargs)

    return call


def _rule_of(parameter: Parameter) -> Rule | None:
    """None for an argument that is passed on as it is."""
    kind = str(parameter.annotation)
    bare = kind.removesuffix(" | None")
    named = RULES_OF_NAMES.get(f"{parameter.name}: {bare}")
    rule = named or rule_of_objects(bare) or rule_of_functions(bare) or RULES_OF_TEXT.get(bare)
    rule = rule or (None if parameter.name in OWN_RULES else RULES.get(bare))
    if rule is None or kind == bare and parameter.kind is not Parameter.VAR_POSITIONAL:
        return rule
    if parameter.kind is Parameter.VAR_POSITIONAL:
        return lambda values, name: tuple(rule(value, name) for value in values)
    return lambda value, name: None if value is None else rule(value, name)


RULES: dict[str, Rule] = {
    "bool": truth_value,
    "int": whole_number,
    "float": finite_number,
    "float | int": finite_number,
    "Collection[int]": whole_numbers,
    "Iterable[int]": whole_numbers,
    "Sequence[int]": whole_numbers,
    "tuple[int, int]": two_whole_numbers,
    "Sequence[Head]": heads_of,
}
RULES_OF_NAMES: dict[str, Rule] = {
    "device: str": device_name,
    "pattern: str": partial(text, such_as="checkpoint-{step}"),
    "repository: str": partial(text, such_as="EleutherAI/pythia-70m"),
}
