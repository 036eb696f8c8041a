"""What the documentation says of the code: nothing public is left out, no score without a formula, snippets run."""

import importlib
import pkgutil
import re
from pathlib import Path

import families
import numpy as np
import pytest
from docstrings import to_restructured_text
from offline import remote_resources

import grok_interp
from grok_interp import HEAD_SCORES, analysis, load_reference
from grok_interp.analysis import (
    ablation,
    fourier_loss,
    queries,
)
from grok_interp.cli import main
from grok_interp.data.modular import SPLITS
from grok_interp.results.result import Result
from grok_interp.studies import modular

DOCS = Path(__file__).parent.parent / "docs"
GLOSSARY = (DOCS / "glossary.md").read_text()
SECTIONS = {
    name: text for name, text in re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", GLOSSARY, flags=re.MULTILINE | re.DOTALL)
}
PAGES_WITH_CODE = sorted(page for page in DOCS.rglob("*.md") if "```python" in page.read_text())


def result_classes() -> list[type[Result]]:
    for module in pkgutil.iter_modules(analysis.__path__):
        importlib.import_module(f"grok_interp.analysis.{module.name}")
    found = [each for kind in Result.__subclasses__() for each in kind.__subclasses__() or [kind]]
    return [each for each in found if each.__module__.startswith("grok_interp.analysis.")]


def test_every_public_name_is_in_the_api_reference() -> None:
    reference = "\n".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    documented = set(re.findall(r"^\.\. auto(?:function|class|module):: grok_interp\.(\w+)$", reference, re.MULTILINE))
    documented |= set(re.findall(r"^\.\. py:data:: (?:grok_interp\.)?(\w+)$", reference, re.MULTILINE))
    documented |= {"studies"} if ".. automodule:: grok_interp.studies." in reference else set()
    assert set(grok_interp.__all__) - documented == set()


def test_the_index_of_the_api_lists_every_public_name() -> None:
    index = (DOCS / "api" / "index.md").read_text()
    listed = set(re.findall(r"grok_interp\.(\w+)", index)) | set(re.findall(r"\((\w+)\.md\)", index))
    assert set(grok_interp.__all__) - listed == set()


def test_the_public_api_is_on_one_screen() -> None:
    screen = (DOCS / "api" / "index.md").read_text().partition("## On one screen\n\n```\n")[2].partition("```")[0]
    words = [word.partition(".")[0] for line in screen.splitlines() for word in line[12:].split()]
    assert set(words) == set(grok_interp.__all__)
    assert len(screen.splitlines()) <= 24


@pytest.mark.parametrize(
    "module", ["analysis.checkpoints_of", "data.token_rows", "models.activations", "results.result"]
)
def test_what_docstrings_refer_to_has_a_place_in_the_api_reference(module: str) -> None:
    pages = [page.read_text() for page in (DOCS / "api").glob("*.md")]
    assert sum(f".. automodule:: grok_interp.{module}\n   :members:" in page for page in pages) == 1


def test_every_result_of_an_analyzer_is_in_the_glossary() -> None:
    assert len(names := {each.name for each in result_classes()}) > 15
    assert names - set(SECTIONS) == set()


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_a_score_has_formula_source_range_ideal_and_chance(name: str) -> None:
    entries = re.findall(r"^- (\w+): \S", SECTIONS[name], flags=re.MULTILINE)
    assert entries[-5:] == ["Formula", "Source", "Range", "Ideal", "Chance"]


def test_axes_of_a_result_are_those_of_the_code() -> None:
    for each in result_classes():
        assert f"- Axes: `{' '.join(each.dims)}`\n" in SECTIONS[each.name]


def test_formulas_of_head_scores_are_those_of_the_registry() -> None:
    for name, score in HEAD_SCORES.items():
        assert f"- Formula: `{score.formula}`" in SECTIONS[name]


def test_the_table_of_models_is_that_of_the_tests() -> None:
    assert f"\n\n{families.table()}\n\n" in (DOCS / "models.md").read_text()


def cells(rows: list[tuple[str, list[tuple[str, str, int]]]]) -> str:
    """Rows of a table: accuracy of the modular reference at its last checkpoint, 95% interval, in percent."""
    shots = modular.analyze(load_reference("modular-p11")).shots
    lines = []
    for words, columns in rows:
        found = []
        for kind, split, shot in columns:
            ends = (shots.accuracy(kind), *shots.interval(kind))
            mean, low, high = (100 * float(end.isel(checkpoint=-1).sel(split=split, shot=shot)) for end in ends)
            found.append("-" if np.isnan(mean) else f"{mean:.0f}% [{low:.0f}, {high:.0f}]")
        lines.append(f"| {words} | {' | '.join(found)} |\n")
    return "".join(lines)


@pytest.mark.parametrize("page", [DOCS / "modular.md", DOCS.parent / "README.md"], ids=lambda page: page.stem)
def test_the_modular_study_says_the_numbers_of_its_reference_run(page: Path) -> None:
    kinds = {
        "all queries": "all",
        "on the line of an example (Ratio Matching can answer)": "ratio",
        "other queries (Modular Regression is needed)": "regression",
    }
    table = cells([(words, [(kind, split, 11) for split in SPLITS]) for words, kind in kinds.items()])
    assert f"\n{table}" in page.read_text()


def test_the_table_by_number_of_examples_is_that_of_the_reference_run() -> None:
    columns = (("all", "id_train"), ("all", "ood_train"), ("ratio", "ood_train"), ("regression", "ood_train"))
    table = cells([(str(k), [(*column, k) for column in columns]) for k in (0, 1, 2, 3, 4, 6, 8, 11)])
    assert f"\n{table}" in (DOCS / "figures" / "modular_fig1c.md").read_text()


def test_every_axis_of_a_result_is_explained() -> None:
    axes = GLOSSARY.partition("## Axes")[2].partition("\n## ")[0]
    explained = set(re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] for line in axes.splitlines() if "|" in line)))
    assert {dim for each in result_classes() for dim in each.dims} - explained == set()


@pytest.mark.parametrize("kind", result_classes(), ids=lambda kind: kind.name)
def test_every_measure_is_explained_where_its_result_is(kind: type[Result]) -> None:
    """Those that all have the same ending (low, high, effect, intact) are explained together."""
    names = {re.sub("(_effect|_intact)?(_low|_high)$|_intact$", "", name) for name in kind.measures}
    if len(names) > 1:
        assert {name for name in names if f"`{name}`" not in SECTIONS[kind.name]} == set()


def test_every_measure_has_units_that_are_explained() -> None:
    units = {measure.units for kind in result_classes() for measure in kind.measures.values()}
    assert units == {"fraction", "nats", "nats per token", "nats per answer", "updates", "1", ""}


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("ablation", ablation.CONDITIONS),
        ("shots", [*queries.KINDS, "new"]),
        ("fourier_loss", fourier_loss.CONDITIONS),
    ],
)
def test_conditions_and_kinds_are_explained_where_their_result_is(section: str, names: list[str]) -> None:
    assert [name for name in names if f"`{name}`" not in SECTIONS[section]] == []


@pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated")
@pytest.mark.parametrize("page", PAGES_WITH_CODE, ids=lambda page: page.stem)
def test_code_on_a_page_runs(page: Path, text_file: Path, own_cache: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"^(<!-- not run.*-->\n)?```python\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    runs = [block for not_run, block in code if not not_run]
    if any("runs/tiny" in block for block in runs):
        main(["train", "copier-tiny", "--run", "runs/tiny", "--data.source", str(text_file), "--quiet"])
    names: dict = {}
    for block in runs:
        exec(compile(block, str(page), "exec"), names)
    assert names, "a page with code has some that runs"


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.stem)
def test_commands_on_a_page_exist(page: Path) -> None:
    from grok_interp.cli import VERBS
    from grok_interp.presets import TRAINING_PRESETS
    from grok_interp.studies.catalog import figures

    commands = re.findall(r"grok-interp ([a-z]+)(?: ([\w/.-]+))?", page.read_text())
    assert {verb for verb, _ in commands} <= set(VERBS)
    assert {name for verb, name in commands if verb == "train" and name.islower()} <= set(TRAINING_PRESETS)
    assert {name for verb, name in commands if verb == "reproduce"} <= set(figures())


def test_docstrings_keep_formulas_as_they_stand_and_every_character_as_itself() -> None:
    lines = ["Of |lambda| and *lead, `W_O`, W_:", "", "    a * b", "      + |c|", "", "Ends."]
    to_restructured_text(lines)
    expected = [r"Of \|lambda\| and \*lead, ``W_O``, W\_:", "", "::", "", "    a * b", "      + |c|", "", "Ends.", ""]
    assert lines == expected


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<a href="https://example.org">link</a> <img src="x.svg"> <script src="_static/a.js"></script>', []),
        ('<script async src="https://example.org/m.js"></script>', ["https://example.org/m.js"]),
        ("<link rel='stylesheet' href='//fonts.example.org/css'>", ["//fonts.example.org/css"]),
        ('<script>import {x} from "https://unpkg.com/x.js"</script>', ["https://unpkg.com/x.js"]),
    ],
)
def test_what_a_page_would_load_from_the_network_is_found(html: str, found: list[str]) -> None:
    assert remote_resources(html) == found
