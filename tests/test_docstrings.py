"""Docstrings: every example of the package runs; every public function says what it takes and returns, and shows it.

A public function or class is a name of `grok_interp`. It has an example, and so has a picture. A function describes
each argument, and what it returns or yields. Fields of configurations are described where they are declared, which
`--help` shows too.

Pictures, figures of the studies, methods of public classes, and what else the pages of docs/api list describe each
argument too.
"""

import doctest
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, DocTestFinder, DocTestRunner
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from test_architecture import modules

import grok_interp
from grok_interp.configs import DataConfig, ModelConfig, TrainConfig
from grok_interp.plots.registry import every_picture

PUBLIC: dict[str, Any] = {
    name: value
    for name in grok_interp.__all__
    if inspect.isfunction(value := getattr(grok_interp, name)) or inspect.isclass(value)
}
CONFIGURATIONS = (ModelConfig, TrainConfig, DataConfig)  # their fields are described where they are declared
DATACLASSES = [name for name, value in PUBLIC.items() if is_dataclass(value) and not issubclass(value, CONFIGURATIONS)]
FUNCTIONS = {name: value for name, value in PUBLIC.items() if inspect.isfunction(value)}
API = Path(__file__).parents[1] / "docs" / "api"
WITH_EXAMPLES = [name for name, file in modules() if ">>> " in file.read_text()]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples that make a temporary folder make it here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_of_a_module_run(name: str) -> None:
    module = importlib.import_module(f"grok_interp.{name}")
    found = [test for test in DocTestFinder(exclude_empty=True).find(module) if test.examples]
    runner = DocTestRunner(optionflags=ELLIPSIS | NORMALIZE_WHITESPACE)
    said: list[str] = []
    for test in found:
        runner.run(test, out=said.append)
    assert found and runner.summarize(verbose=False).failed == 0, "".join(said)


def sections(value: Callable[..., Any] | type) -> dict[str, str]:
    """Name of a section -> its text."""
    parts = re.split(r"^(\w+):\n", inspect.getdoc(value) or "", flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def arguments(value: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(value).parameters if name not in ("self", "cls")]


def described(value: Callable[..., Any]) -> list[str]:
    return re.findall(r"^    (\w+): \S", sections(value).get("Args", ""), flags=re.MULTILINE)


def defined_in(thing: ModuleType | type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The functions of a module, and the methods of its classes, that have public names. What overrides a method with
    a docstring may have none of its own."""
    for name, value in vars(thing).items():
        function = getattr(value, "__func__", value)  # of a class method or a static one
        own = getattr(function, "__module__", None) == getattr(thing, "__module__", thing.__name__)
        if name.startswith("_") or not own:
            continue
        if inspect.isclass(function):
            yield from ((f"{name}.{method}", each) for method, each in defined_in(function))
        elif inspect.isfunction(function) and (function.__doc__ or not inspect.getdoc(getattr(thing, name))):
            yield name, function


def listed() -> Iterator[tuple[str, Callable[..., Any]]]:
    """What the pages list by its module, all of it or the names given."""
    for page in API.glob("*.md"):
        for name, chosen in re.findall(r"automodule:: (\S+)\n   :members:(.*)", page.read_text()):
            for of_module, function in defined_in(importlib.import_module(name)):
                if not chosen or of_module.partition(".")[0] in chosen.replace(" ", "").split(","):
                    yield f"{name}.{of_module}", function


LISTED = dict(listed())
METHODS = {
    f"{name}.{method}": function
    for name, value in PUBLIC.items()
    if inspect.isclass(value)
    for method, function in defined_in(value)
}
FIGURES = {name: value for name, value in LISTED.items() if re.match(r"grok_interp\.studies\..*figures\.", name)}


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_public_has_an_example(name: str) -> None:
    assert 1 <= sections(PUBLIC[name]).get("Example", "").count(">>> ") <= 7


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_describes_its_arguments_and_what_it_returns(name: str) -> None:
    assert described(FUNCTIONS[name]) == arguments(FUNCTIONS[name])
    assert {"Returns", "Yields"} & set(sections(FUNCTIONS[name]))


@pytest.mark.parametrize("name", every_picture())
def test_a_picture_describes_its_arguments_and_has_an_example(name: str) -> None:
    assert 1 <= sections(every_picture()[name]).get("Example", "").count(">>> ") <= 7
    assert described(every_picture()[name]) == arguments(every_picture()[name])


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_describes_its_arguments(name: str) -> None:
    assert described(FIGURES[name]) == arguments(FIGURES[name])


@pytest.mark.parametrize("name", LISTED)
def test_what_the_pages_list_describes_its_arguments(name: str) -> None:
    assert described(LISTED[name]) == arguments(LISTED[name])


@pytest.mark.parametrize("name", DATACLASSES)
def test_a_public_class_describes_its_fields(name: str) -> None:
    assert described(PUBLIC[name]) == [field.name for field in fields(PUBLIC[name]) if field.init]


@pytest.mark.parametrize("name", {**LISTED, **METHODS})
def test_what_the_pages_list_and_methods_have_a_docstring(name: str) -> None:
    assert inspect.getdoc({**LISTED, **METHODS}[name])


@pytest.mark.parametrize("name", METHODS)
def test_a_method_of_a_public_class_describes_its_arguments(name: str) -> None:
    assert described(METHODS[name]) == arguments(METHODS[name])


def test_the_pages_list_figures_functions_and_methods() -> None:
    assert len(FIGURES) >= 30 and len(LISTED) >= 400
    assert "grok_interp.studies.run_results.RunResults.of_run" in LISTED
    assert {"Run.create", "Run.write", "CheckpointSeries.at", "Transformer.forward"} <= set(METHODS)


def test_an_example_that_is_wrong_is_found() -> None:
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    assert DocTestRunner().run(test, out=lambda _: None).failed == 1
