"""Project files: what is declared is used, what is used is declared, and both papers are cited."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import yaml
from test_architecture import modules

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DISTRIBUTIONS = {  # where a name is not the module's
    "huggingface_hub": "huggingface-hub",
    "sklearn": "scikit-learn",
    "transformer_lens": "transformer-lens",
}
DATA_ONLY = {"circuitsvis"}  # its bundled JavaScript is read as a file


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[]", requirement)[0] for requirement in requirements}


def imported(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_dependencies_are_those_that_are_used() -> None:
    used = set().union(*(imported(file) for _, file in modules())) - set(sys.stdlib_module_names) - {"grok_interp"}
    used = {DISTRIBUTIONS.get(name, name) for name in used} | DATA_ONLY
    extras = PROJECT["project"]["optional-dependencies"]
    optional = names([*extras["hub"], *extras["track"], *extras["cluster"]])
    declared = names(PROJECT["project"]["dependencies"])
    assert declared - used == set(), "declared, not used"
    assert used - declared - optional == set(), "used, not declared"


def test_the_lowest_versions_that_are_tested_are_those_that_are_admitted() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    admitted = dict(
        re.fullmatch(r"([\w-]+)>=([\d.]+).*", requirement).groups()
        for requirement in (*PROJECT["project"]["dependencies"], *extras["hub"], *extras["dev"])
        if requirement != "pandas-stubs"  # for pyright alone
    )
    assert admitted.pop("torch") == "2.11"
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()[1:]
    tested = dict(line.split("==") for line in lines)
    assert set(tested) == set(admitted)
    for name, version in admitted.items():
        assert (tested[name] + ".0.0").startswith(version + "."), (
            f"{name}: {version} is admitted, {tested[name]} tested"
        )


def test_ci_runs_every_target_that_tests() -> None:
    targets = set(
        re.findall(r"^((?:test|fuzz|check|docs)[a-z0-9-]*):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )
    run = set(re.findall(r"^stage make (\S+)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE))
    assert run == targets - {"test-random-order", "test-three"}


def test_what_make_test_leaves_out_exists() -> None:
    left_out = re.findall(r"tests/\S+", (ROOT / "Makefile").read_text().split("PYTEST :=")[0])
    assert len(left_out) == 35 and all((ROOT / path).exists() for path in left_out)


def test_the_citation_names_both_papers_and_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["project"]["version"]
    papers = {paper["url"]: len(paper["authors"]) for paper in citation["references"]}
    assert papers == {"https://arxiv.org/abs/2409.09281": 5, "https://arxiv.org/abs/2406.02550": 4}


def test_the_workflow_runs_what_the_package_is_checked_with() -> None:
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["ci"]
    assert job["steps"][-1] == {"run": ".ci/run"}
    tried = [
        f"Programming Language :: Python :: {each['python']}"
        for each in job["strategy"]["matrix"]["include"]
        if not each["untried"]
    ]
    assert set(tried) == {c for c in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", c)}


def test_the_changelog_is_in_sections() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    sections = re.findall(r"^### (.*)$", text, flags=re.MULTILINE)
    assert sections == ["Added", "Changed", "Fixed", "Removed"]
    assert re.search(r"^## 0\.1\.0 \(unreleased\)\n\n### Added$", text, flags=re.MULTILINE)
