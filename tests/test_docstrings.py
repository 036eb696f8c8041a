"""Docstrings: every example of the package runs; every public function says what it takes and returns, and shows it.

A public function or class is a name of `grok_interp`. It has an example. A function describes each argument, and what
it returns or yields. Fields of configurations are described where they are declared, which `--help` shows too.
"""

import doctest
import importlib
import inspect
import re
from collections.abc import Callable
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, DocTestFinder, DocTestRunner
from typing import Any

import pytest
from test_architecture import modules

import grok_interp

PUBLIC: dict[str, Any] = {
    name: value
    for name in grok_interp.__all__
    if inspect.isfunction(value := getattr(grok_interp, name)) or inspect.isclass(value)
}
FUNCTIONS = {name: value for name, value in PUBLIC.items() if inspect.isfunction(value)}
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


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_public_has_an_example(name: str) -> None:
    assert 1 <= sections(PUBLIC[name]).get("Example", "").count(">>> ") <= 7


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_describes_its_arguments_and_what_it_returns(name: str) -> None:
    found = sections(FUNCTIONS[name])
    described = re.findall(r"^    (\w+): \S", found.get("Args", ""), flags=re.MULTILINE)
    assert described == list(inspect.signature(FUNCTIONS[name]).parameters)
    assert {"Returns", "Yields"} & set(found)


def test_an_example_that_is_wrong_is_found() -> None:
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    assert DocTestRunner().run(test, out=lambda _: None).failed == 1
