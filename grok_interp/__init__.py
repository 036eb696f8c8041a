"""grok_interp: when does an in-context ability appear, which heads carry it, and by what algorithm?

The public names are those of __init__.pyi, loaded when they are first used: importing the package is instant.
"""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

_NAMES = Path(__file__).with_suffix(".pyi").read_text()
_MODULE_OF = {name: module for module, name in re.findall(r"^from (\S+) import (\w+) as \2$", _NAMES, re.MULTILINE)}

__all__ = sorted(_MODULE_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    if (module := _MODULE_OF[name]) == __name__:  # a folder of the package
        return import_module(f"{module}.{name}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return __all__
