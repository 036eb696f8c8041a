"""Which pictures there are, and which of them a result has. Results know nothing of plots."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ParamSpec

from grok_interp.arguments import checked
from grok_interp.plots.drawing import Drawing
from grok_interp.results.result import Result

P = ParamSpec("P")
_PICTURES: dict[str, Callable[..., Drawing]] = {}
_OF_RESULT: dict[type[Result], Callable[..., Drawing]] = {}


def picture(
    of: type[Result] | None = None, *, several: bool = False
) -> Callable[[Callable[P, Drawing]], Callable[P, Drawing]]:
    """Marks a function of `plots/pictures` as a public picture, which refuses other results than it draws.

    Args:
        of: the type of result that `draw` draws with it; None for a picture of more than one type.
        several: it takes a sequence of such results.
    """

    def marked(function: Callable[P, Drawing]) -> Callable[P, Drawing]:
        function = checked(function)
        _PICTURES[function.__name__] = function  # pyright: ignore[reportAttributeAccessIssue]
        if of is not None:
            _OF_RESULT[of] = _of_several(function) if several else function
        return function

    return marked


@cache
def every_picture() -> dict[str, Callable[..., Drawing]]:
    """Name -> picture, in the order of names."""
    package = import_module("grok_interp.plots.pictures")
    for module in iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_PICTURES.items()))


def draw(*results: Result, **options: Any) -> Drawing:
    """The picture of a result, or of several results of one type side by side.

    Args:
        results: of an analyzer.
        options: of the picture, for example `threshold=0.75` of a phase diagram.

    Returns:
        A drawing, which a notebook shows; `on_paper` and `on_screen` draw it.

    Raises:
        ValueError: for a result without a picture of its own, naming the results that have one.

    Example:
        >>> from grok_interp import Transformer, induction_scores, preset, repeated_tokens
        >>> tokens = repeated_tokens(n_sequences=2, half=8, alphabet=range(40), seed=0)
        >>> draw(induction_scores(Transformer(preset("copier-tiny"), seed=0), tokens))
        Drawing of 1 panel: layer against head
    """
    every_picture()
    found = {_of_type(type(result)) for result in results}
    if len(found) != 1 or (drawn := found.pop()) is None:
        got = ", ".join(dict.fromkeys(type(result).__name__ for result in results)) or "nothing"
        known = ", ".join(sorted(each.__name__ for each in _OF_RESULT))
        raise ValueError(f"draw needs results of one type that has a picture, got {got}; they are {known}")
    return drawn(*results, **options)


def _of_type(kind: type[Result]) -> Callable[..., Drawing] | None:
    """That of the type, or of what it is a kind of."""
    return next((_OF_RESULT[each] for each in kind.__mro__ if each in _OF_RESULT), None)


def _of_several(function: Callable[..., Drawing]) -> Callable[..., Drawing]:
    return lambda *results, **options: function(results, **options)
