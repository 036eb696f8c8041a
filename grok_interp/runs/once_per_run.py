"""Functions of a run that are worked out once for each opened run."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from grok_interp.arguments import checked
from grok_interp.arguments.objects import made_by
from grok_interp.runs.run import Run

Options = ParamSpec("Options")
Made = TypeVar("Made")


def once_per_run(make: Callable[Concatenate[Run, Options], Made]) -> Callable[Concatenate[Run, Options], Made]:
    """A function of a run that is worked out once for each opened run and each choice of options."""

    @wraps(make)
    def made(run: Run, *args: Options.args, **options: Options.kwargs) -> Made:
        made_by(run, "run", "Run")
        key = (make, args, tuple(sorted(options.items())))
        if key not in run._made:
            run._made[key] = make(run, *args, **options)
        return run._made[key]

    return checked(made)
