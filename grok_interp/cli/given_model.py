"""`--model`: a preset, or a model or a function in a file of Python."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from grok_interp.arguments.functions import raised
from grok_interp.arguments.objects import shown
from grok_interp.presets import PRESETS

EXPECTED = (
    "FILE.py:NAME must name a model of the sizes of the checkpoints, or a function without arguments that returns one"
)


def given_model(named: str) -> Any:
    """A model of the sizes of the checkpoints; a file is executed.

    Args:
        named: a preset, or FILE.py:NAME.

    Raises:
        ValueError: for a name of none, and for whatever the file or its function raises.
    """
    from torch.nn import Module

    if named in PRESETS:
        from grok_interp.models.transformer import Transformer

        return Transformer(PRESETS[named], seed=0)
    file, _, name = named.rpartition(":")
    option = f"--model {shlex.quote(named)}"
    module = _executed(file, option)
    if not hasattr(module, name):
        raise ValueError(f"{option}: {file} has no {name!r}; {EXPECTED}")
    found = getattr(module, name)
    if isinstance(found, Module):
        return found
    if not callable(found):
        raise ValueError(f"{option} is {shown(found)}: {EXPECTED}")
    with _named_errors(option, f"{name}()", file):
        made = found()
    if not isinstance(made, Module):
        raise ValueError(f"{option}: {name}() returned {shown(made)}; {EXPECTED}")
    return made


def _executed(file: str, option: str) -> ModuleType:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(Path(file).stem, file) if file.endswith(".py") and Path(file).is_file() else None
    if spec is None or spec.loader is None:
        raise ValueError(f"{option} is neither a preset nor FILE.py:NAME of a file that exists")
    module = module_from_spec(spec)
    with _named_errors(option, file, file):
        spec.loader.exec_module(module)
    return module


@contextmanager
def _named_errors(option: str, what: str, file: str) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:
        raise ValueError(f"{option}: {what} raised {raised(error, file)}; {EXPECTED}") from error
