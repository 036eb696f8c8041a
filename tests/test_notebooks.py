"""The notebooks run from top to bottom, at miniature size, and are shipped with outputs fit to be read."""

import ast
import hashlib
import importlib
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import grok_interp
from grok_interp import (
    circle_pca,
    circularity,
    cosine_similarity,
    formation_order,
    kaleidoscope,
    load_reference,
    plots,
    slot_sequences,
    studies,
)
from grok_interp.analysis.fraction_of_change import fraction_of_change
from grok_interp.models.activations import pattern_name, read
from grok_interp.reference import FOLDER
from grok_interp.studies import copying, modular
from grok_interp.studies.copying.examples import copy_examples
from grok_interp.studies.copying.natural_text import natural_copying_of_run

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NEEDS = ("docs/copying/claims.csv", "docs/figures/copying_interventions.md")  # which notebooks read
LEAKED = re.compile(r"/(?:home|root|tmp|Users)/|site-packages")  # paths of the machine that made the outputs
ALL = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # jupyter's own
@pytest.mark.slow
@ALL
def test_a_notebook_runs(path: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROK_INTERP_NOTEBOOK_PRESET", "copier-tiny")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # also for what runs beside torch in the kernel
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name in NEEDS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    before = files_of_references()
    client = NotebookClient(nbformat.read(path, as_version=4), resources={"metadata": {"path": str(folder)}})
    executed = client.execute()
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert files_of_references() == before, "the package may be installed read-only"
    if "load_reference(" in "".join(cell.source for cell in executed.cells):
        assert not (tmp_path / "runs").exists(), "it trains nothing"


def files_of_references() -> dict[Path, str]:
    files = (file for file in FOLDER.rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc"))
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@ALL
def test_a_notebook_is_shipped_with_outputs_and_reads_well(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert [cell.source for cell in code if sum(map(bool, cell.source.splitlines())) > 10] == []
    assert [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"] == []
    said = [output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs]
    assert [text for text in said if LEAKED.search(text)] == []
    assert path.stat().st_size < 3_000_000


@ALL
def test_a_notebook_uses_public_names_only(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    source = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    assert private_names(source) == []
    assert imported_names(source) and imported_names(source) - DOCUMENTED == set()


def private_names(source: str) -> list[str]:
    """Imported names and attributes that begin with an underscore, not `__name__` and its like. Magics are left out."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("!", "%"))]
    nodes = list(ast.walk(ast.parse("\n".join(lines))))
    attributes = [node.attr for node in nodes if isinstance(node, ast.Attribute)]
    modules = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    imported = [alias.name for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    parts = [part for name in [*attributes, *modules, *imported] for part in name.split(".")]
    return sorted(part for part in parts if part.startswith("_") and not part.endswith("__"))


def imported_names(source: str) -> set[str]:
    """What is imported from the package, with the module that it is imported from."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("!", "%"))]
    nodes = [node for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, ast.ImportFrom)]
    names = {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}
    return {name for name in names if name.startswith("grok_interp.")}


def documented_names() -> set[str]:
    """Those of the package, of its pictures and its studies, and what the pages of docs/api list."""
    modules = {grok_interp: grok_interp.__all__, plots: plots.__all__, studies: ["copying", "modular"]}
    found = {f"{module.__name__}.{name}" for module, names in modules.items() for name in names}
    for page in (ROOT / "docs" / "api").glob("*.md"):
        found |= set(re.findall(r"auto(?:function|class):: (\S+)", page.read_text()))
        for name, chosen in re.findall(r"automodule:: (\S+)\n   :members:(.*)", page.read_text()):
            names = chosen.replace(" ", "").split(",") if chosen else defined_in(name)
            found |= {f"{name}.{each}" for each in names if not each.startswith("_")}
    return found


def defined_in(module: str) -> list[str]:
    """Its functions, classes and constants."""
    names = vars(importlib.import_module(module))
    return [name for name, value in names.items() if getattr(value, "__module__", module) == module]


DOCUMENTED = documented_names()


def test_names_that_no_page_lists_are_found() -> None:
    source = "from grok_interp.device import is_small, use_threads\nfrom grok_interp import Run, models\nimport torch"
    assert imported_names(source) - DOCUMENTED == {"grok_interp.device.is_small", "grok_interp.models"}


def test_private_names_are_found() -> None:
    source = (
        "from grok_interp.files import _temporary\n%matplotlib inline\nimport a._b\nmodel._read(type(scores).__name__)"
    )
    assert private_names(source) == ["_b", "_read", "_temporary"]


def test_what_01_says_of_the_reference() -> None:
    run = load_reference("copier-mini")
    inputs, results = copying.evaluation_inputs(run), copying.analyze(run)
    assert run.config.data.copy_fraction == 0.8 and run.config.data.random_fraction == 0.4
    printable, hexadecimal = results.accuracy.per_sequence()[-1], results.hexadecimal.per_sequence()[-1]
    assert printable.min() > 0.9
    assert hexadecimal[1:4].max() < min(hexadecimal[0], hexadecimal[4]) < printable.min()
    _, other = copy_examples(run.load(run.steps[-1]), inputs.samples, results.accuracy)
    assert b"\\AV" in bytes(other.prefix) and bytes(other.expected)[1:4] == b"\\A:"
    assert bytes(other.predicted)[3:4] == b"V"


def test_what_02_says_of_the_reference() -> None:
    run = load_reference("copier-mini")
    results = copying.analyze(run)
    per_token, made = results.accuracy.per_token(), fraction_of_change(results.loss.mean())
    assert per_token.sel(checkpoint=500) < 0.02 and per_token.sel(checkpoint=750) > 0.9
    assert made.sel(checkpoint=600) > 0.85 and made.sel(checkpoint=750) - made.sel(checkpoint=600) < 0.02
    natural = natural_copying_of_run(run)
    first, repeat = (natural[name].sel(estimate="mean") for name in ("first", "repeat"))
    assert abs(first.sel(checkpoint=750) - first.sel(checkpoint=600)) < 0.05
    assert repeat.sel(checkpoint=600) - repeat.sel(checkpoint=750) > 0.5
    assert natural["adjusted"].sel(checkpoint=500, estimate="low") > 0


def test_what_03_says_of_the_reference() -> None:
    run = load_reference("copier-mini")
    induction = copying.analyze(run).induction
    onsets = formation_order(induction, threshold=0.1)["onset"].to_series().dropna()
    assert onsets.index.tolist() == [(2, 2), (2, 3)]
    samples = copying.evaluation_inputs(run).samples
    names = {pattern_name(1): lambda pattern: pattern[:5].mean(0)}
    patterns = read(run.load(run.steps[-1]), samples.context[:5], names)[pattern_name(1)].numpy()
    assert np.diagonal(patterns[3], -1).mean() > 0.9, "L1H3 attends to the previous token"
    assert np.diagonal(patterns[0], -2).mean() > 0.9, "L1H0 attends two tokens back"


def modular_results() -> modular.ModularResults:
    return modular.analyze(load_reference("modular-p11"))


def test_what_04_says_of_the_reference() -> None:
    results = modular_results()
    mean = results.shots.last_shot().mean("split")
    assert mean.sel(checkpoint=7000) - mean.sel(checkpoint=6000) > 0.2, "when uniform contexts have replaced the others"
    last = results.shots.accuracy().sel(checkpoint=26000)
    assert last.isel(shot=-1).max() - last.isel(shot=-1).min() < 0.06, "no split is favored"
    ratio, regression = (results.shots.accuracy(kind).sel(checkpoint=26000) for kind in ("ratio", "regression"))
    assert ratio.isel(shot=-1).max() < 0.95 and regression.isel(shot=-1).min() > 0.5, "one target met, one missed"
    assert abs(regression.sel(shot=11) - regression.sel(shot=2)).max() < 0.05, "two examples are enough"
    assert (ratio.sel(shot=11) < ratio.sel(shot=2)).all() and (ratio.sel(shot=1) > 0.99).all()
    assert (last.sel(shot=0, split=["ood_train", "ood_test"]) < 1 / 11).all(), "below chance on unseen tasks"


def test_what_05_says_of_the_reference() -> None:
    best = modular_results().agreement.best().sel(split="ood_train")
    with_curriculum, after = (
        best.sel(checkpoint=steps, shot=slice(2, None)) for steps in ([2000, 4000, 5000], slice(6000, None))
    )
    assert (with_curriculum.sel(shot=slice(2, 6)) == "ratio matching").all()
    assert (after == "modular regression").all(), "at every number of shots: no shift between them"


def test_what_06_says_of_the_reference() -> None:
    series = load_reference("modular-p11")
    pairs, options = list(series.at([5000, 6000, 7000, 26000])), {"p": 11, "slot": 11}
    tokens = slot_sequences((7, 2), 11, slot=11, n_examples=12, seed=0)
    circles = circularity(circle_pca(pairs, tokens=tokens, layer=1, head=0, **options), seed=0).at()
    assert circles["fraction_x"] > 0.95 and circles["null_q95"] < 0.7
    assert circles["fraction_y"] < 0.05, "one circle, not a circle of circles"
    first, last = (
        kaleidoscope(cosine_similarity(pairs, tokens=tokens, position="y", layer=layer, **options), seed=0)["spearman"]
        for layer in (1, 3)
    )
    assert first.sel(pattern="ratio matching", checkpoint=5000) > 0.2
    answer = last.sel(pattern="modular regression")
    assert answer.sel(checkpoint=6000) < 0.02 and answer.sel(checkpoint=7000) > 0.2


def test_what_09_says_of_the_five_seeds() -> None:
    page, how_to = (
        " ".join((ROOT / "docs" / name).read_text().split())
        for name in ("figures/copying_interventions.md", "howto/interventions.md")
    )
    rows = re.findall(r"\| (zeroed|released|control) \| -?\d+ \[(-\d+), (\d+)\]", page)
    assert [name for name, *_ in rows] == ["zeroed", "released", "control"], "the intervals of the onset contain zero"
    assert "In 5 of 5 seeds another head of layer 1 becomes the previous-token head" in page
    assert "The released head does not become it again by the end." in page
    (table,) = [cell for cell in nbformat.read(NOTEBOOKS[-1], as_version=4).cells if "Differences" in cell.source]
    shown = table.outputs[0]["data"]["text/html"]
    assert all(re.search(rf"\[{low}, {high}\]", shown) for _, low, high in rows), "the notebook is older than the page"
    assert f"[{rows[0][1]}, {rows[0][2]}] updates" in how_to
