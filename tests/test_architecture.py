"""The architecture: each folder imports only from those above it, and modules and functions keep to their budgets."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import grok_interp

PACKAGE = Path(grok_interp.__file__).parent

# From top to bottom. A line may import from itself and from lines above it. Names on one line share a level.
LEVELS = """
    device  files  checksums  plugins  counted
    arguments
    places
    configs
    presets
    data
    statistics
    models
    training
    progress
    results
    runs
    engines
    reference
    analysis
    plots
    studies
    cli
"""
LEVEL = {name: level for level, line in enumerate(LEVELS.strip().splitlines()) for name in line.split()}

# Names that do not say what is inside: of a module, a class or a constant
VAGUE = {"shares", "effects", "inputs", "stacked", "still", "sizes", "Twin", "Clock", "Speech", "Journal", "ALOUD"}
VAGUE |= {"utils", "helpers", "misc", "common"}

# Imports that close a circle: inside the function that makes one of several kinds or shows a result in a notebook, and
# for type checkers alone
IN_CIRCLES = {
    ("data.corpus", "data.token_streams"),
    ("runs.run", "runs.series_run"),
    ("runs.series", "runs.foreign_series"),
    ("runs.series", "runs.hub_series"),
    ("runs.series", "runs.huggingface_folders"),
    ("plots.drawing", "plots.paper"),
    ("plots.screen", "plots.page"),
    ("configs.data", "configs.training"),
    ("configs.modular", "configs.training"),
    ("configs.text", "configs.training"),
    ("models.weights", "models.transformer"),
}

MODULE_BUDGET, FUNCTION_BUDGET = 250, 45  # lines; of functions without the docstring


def modules() -> Iterator[tuple[str, Path]]:
    """(dotted name in the package, file), `__init__` of the package itself left out: it names everything."""
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        if parts != ("__init__",):
            yield ".".join(part for part in parts if part != "__init__"), file


def imports_of(file: Path) -> Iterator[str]:
    """Modules of the package that a file imports, inside functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "grok_interp" else [module]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name.removeprefix("grok_interp.") for name in names if name.startswith("grok_interp."))


def level_of(module: str) -> int:
    folder = module.partition(".")[0]
    assert folder in LEVEL, f"grok_interp.{folder} has no place in LEVELS: add it to the line where it belongs"
    return LEVEL[folder]


def test_the_map_for_contributors_has_each_folder_and_module_in_this_order() -> None:
    _, text, *_ = (PACKAGE.parent / "CONTRIBUTING.md").read_text().split("```")
    named = [name.strip("/").removesuffix(".py") for name in re.findall(r"^\w+(?:/|\.py)|\w+\.py", text, re.M)]
    assert sorted(named) == sorted(LEVEL)
    assert [LEVEL[name] for name in named] == sorted(LEVEL[name] for name in named)


def test_a_module_imports_only_from_above() -> None:
    found = {
        name: below
        for name, file in modules()
        if (below := {i for i in imports_of(file) if level_of(i) > level_of(name)})
    }
    assert found == {}


def test_imports_make_no_circle() -> None:
    """But for the circles of IN_CIRCLES."""
    names = {name for name, _ in modules()}
    graph = {
        name: {i for i in imports_of(file) if i in names and (name, i) not in IN_CIRCLES} for name, file in modules()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError
    for name, imported in IN_CIRCLES:
        assert imported in set(imports_of(PACKAGE / f"{name.replace('.', '/')}.py")), "it is gone: take it out"


def test_the_command_line_finds_studies_in_the_registry() -> None:
    """But for `demo`, which is the copying study's, and the inputs that a series from elsewhere is given."""
    own = ("studies.copying", "studies.modular")
    found = {
        name: named
        for name, file in modules()
        if name.startswith("cli.") and (named := {i for i in imports_of(file) if i.startswith(own)})
    }
    assert found == {"cli.train": {"studies.copying.head_figures"}, "cli.series": {"studies.copying.series_inputs"}}


def test_names_say_what_is_inside() -> None:
    """Of modules, classes, functions and constants."""
    names = {name.rpartition(".")[-1] for name, _ in modules()}
    for _, file in modules():
        for node in ast.parse(file.read_text()).body:
            names |= {node.name.lstrip("_")} if isinstance(node, ast.ClassDef | ast.FunctionDef) else set()
            targets = node.targets if isinstance(node, ast.Assign) else []
            names |= {target.id.lstrip("_") for target in targets if isinstance(target, ast.Name)}
    assert {"Run", "change_point", "PRESETS"} <= names
    assert names & VAGUE == set()


def test_studies_and_figures_are_typed_values() -> None:
    """No `Any`, and nothing that is looked up by its name."""
    for name in ("study", "picture", "experiment", "claim"):
        file = PACKAGE / f"studies/{name}.py"
        found = {node.id for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Name)}
        assert "Run" in found or "Experiment" in found, "it reads names"
        assert found & {"Any", "getattr"} == set()


def test_names_that_fit_anything_are_used_once() -> None:
    names = Counter(name.rpartition(".")[-1] for name, _ in modules())
    assert {name for name in ("report", "results", "sources", "answers", "stacked") if names[name] > 1} == set()


def test_imports_inside_functions_and_for_type_checkers_count(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "import grok_interp.cli\nfrom grok_interp import plots\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from grok_interp.studies.sweep import Sweep\n"
        "def function():\n    from grok_interp.models.rotary import rotary\n"
    )
    assert sorted(imports_of(file)) == ["cli", "models.rotary", "plots", "studies.sweep"]


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From `def` to the end, the docstring left out."""
    first, has_docstring = function.body[0], ast.get_docstring(function) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def test_modules_keep_to_their_budget() -> None:
    found = {name for name, file in modules() if len(file.read_text().splitlines()) > MODULE_BUDGET}
    assert found == set()


def test_functions_keep_to_their_budget() -> None:
    found = {
        f"{name}.{node.name}"
        for name, file in modules()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of(node) > FUNCTION_BUDGET
    }
    assert found == set()


def test_docstrings_are_no_part_of_a_budget() -> None:
    (function,) = ast.parse('def double(x):\n    """Two lines\n    of it."""\n    return 2 * x\n').body
    assert isinstance(function, ast.FunctionDef)
    assert lines_of(function) == 2
