"""How many code files change when something is added: each addition is made in a copy of the package, and is found.

A third study is one folder and one line: tests/example_study, which goes through every verb in test_example_study.py.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from test_architecture import PACKAGE

EXAMPLE = Path(__file__).parent / "example_study"
Edits = dict[str, tuple[str, str]]  # file -> (what comes before the addition, the addition)

HEAD_SCORE: Edits = {
    "analysis/head_registry.py": (
        "_ALL: tuple[HeadScore, ...] = (\n",
        """
    AttentionScore(
        name="first_token",
        formula="mean over queries q of A[q, 0]",
        source="a test",
        ideal_head="looks at the first token, always",
        compared_to_detect_head="has no such head",
        targets=lambda tokens: previous_token_targets(tokens).roll(1, dims=-1),
    ),
""",
    )
}
ANALYZER_WITH_PICTURE: Edits = {
    "analysis/weight_norms.py": (
        "",
        """
from typing import ClassVar

import torch

from grok_interp.analysis.checkpoints_of import Checkpoints, checkpoints_of
from grok_interp.results.result import Measure, Result


class WeightNorms(Result):
    name = "weight_norm"
    dims = ("checkpoint",)
    measures: ClassVar = {"norm": Measure("norm of all weights", "1")}

    def __str__(self) -> str:
        return f"weight norms at {self.dataset.sizes['checkpoint']} checkpoints"


def weight_norms(checkpoints: Checkpoints) -> WeightNorms:
    found = {step: sum(float(p.detach().square().sum()) for p in model.parameters()) for step, model in checkpoints}
    return WeightNorms.of_arrays({"norm": torch.tensor(list(found.values()))}, {"checkpoint": list(found)})
""",
    ),
    "plots/pictures/weight_norms.py": (
        "",
        """
from grok_interp.analysis.weight_norms import WeightNorms
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import TRAINING_STEP, Axis, Line
from grok_interp.plots.registry import picture


@picture(WeightNorms)
def norms_over_training(norms: WeightNorms) -> Drawing:
    array = norms["norm"]
    return Drawing([Panel(TRAINING_STEP, Axis("norm"), [Line(array["checkpoint"], array, "norm", "black")])])
""",
    ),
}
PUBLIC: Edits = {
    "__init__.pyi": (
        "from grok_interp import studies as studies\n",
        "from grok_interp.analysis.weight_norms import weight_norms as weight_norms\n",
    )
}
FIGURE: Edits = {
    "studies/copying/figures.py": (
        'FIGURES = Pictures("copying")\n',
        """

@FIGURES.of_run("schedule", "the steps at which a run keeps its checkpoints", experiment=BASELINE)
def schedule(run: Run, *, device: str = "cpu") -> Drawing:
    from grok_interp.plots import TRAINING_STEP, Axis, Drawing, Line, Panel

    steps = run.config.kept_steps
    return Drawing([Panel(TRAINING_STEP, Axis("kept"), [Line(steps, range(len(steps)), "kept", "black")])])


""",
    )
}
PRESET: Edits = {
    "presets.py": (
        "DESCRIBED: dict[str, tuple[str, TrainConfig]] = {",
        """
    "modular-nano": (
        "1 layer: the smallest there is.",
        TrainConfig(
            model=modular_gpt(n_layers=1, d_model=8, n_heads=1, d_vocab=5, n_ctx=24),
            data=ModularConfig(p=5, n_id=8, alpha=0.6, rule="random"),
            n_steps=2,
            batch_size=8,
            learning_rate=1e-3,
            checkpoint_steps=(0, 2),
        ),
    ),
""",
    )
}
LOOK = """
import json, sys
from pathlib import Path
from grok_interp import Run, Transformer, draw, head_scores, plots, preset, repeated_tokens, training_preset
from grok_interp import weight_norms
from grok_interp.cli import main
from grok_interp.studies import copying
from grok_interp.studies.catalog import figures

folder = Path(sys.argv[1])
model = Transformer(preset("copier-tiny"), seed=0)
scores = head_scores(model, repeated_tokens(n_sequences=2, half=8, alphabet=range(40), seed=0))
assert main(["train", "modular-nano", "--run", str(folder / "run"), "--quiet"]) == 0
run = Run.open(folder / "run")
norms = weight_norms(run)
found = {
    "scores": list(scores.dataset.data_vars),
    "map": repr(plots.head_map(scores["first_token"], label="first token")),
    "norms": str(norms),
    "drawn": repr(draw(norms)),
    "named": repr(plots.norms_over_training(norms)),
    "figure": figures()["copying/schedule"].description,
    "figure named": repr(copying.schedule(run)),
    "figure drawn": repr(figures()["copying/schedule"].draw([run])),
    "steps": run.steps,
}
print(json.dumps(found))
"""


def add(package: Path, edits: Edits) -> None:
    for name, (before, added) in edits.items():
        text = (package / name).read_text() if before else ""
        assert before in text and bool(before) == (package / name).exists()
        (package / name).write_text(text.replace(before, before + added, 1) if before else added)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process finds that imports a copy of the package with all additions."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(PACKAGE, site / "grok_interp", ignore=shutil.ignore_patterns("checkpoints", "__pycache__"))
    for edits in (HEAD_SCORE, ANALYZER_WITH_PICTURE, PUBLIC, FIGURE, PRESET):
        add(site / "grok_interp", edits)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])}
    command = [sys.executable, "-c", LOOK, str(tmp_path_factory.mktemp("run"))]
    printed = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=site)
    assert printed.returncode == 0, printed.stderr
    return json.loads(printed.stdout.splitlines()[-1])


def test_a_head_score_is_added_in_one_file(found: dict[str, Any]) -> None:
    assert len(HEAD_SCORE) == 1
    assert found["scores"][0] == "first_token" and len(found["scores"]) > 5
    assert found["map"] == "Drawing of 1 panel: layer against head"


def test_an_analyzer_with_a_picture_is_added_in_two_files(found: dict[str, Any]) -> None:
    """And a line makes it public."""
    assert len(ANALYZER_WITH_PICTURE) == 2 and len(PUBLIC) == 1
    assert found["norms"] == "weight norms at 2 checkpoints"
    assert found["drawn"] == found["named"] == "Drawing of 1 panel: norm against training step (updates)"


def test_a_figure_is_added_in_one_file(found: dict[str, Any]) -> None:
    assert len(FIGURE) == 1
    assert found["figure"] == "the steps at which a run keeps its checkpoints"
    assert found["figure drawn"] == found["figure named"] == "Drawing of 1 panel: kept against training step (updates)"


def test_a_preset_is_added_in_one_place(found: dict[str, Any]) -> None:
    assert len(PRESET) == 1
    assert found["steps"] == [0, 2]


def test_a_study_is_one_folder_and_one_line() -> None:
    """With data, batches, a preset, an analyzer, a picture and a report; the package does not know it."""
    groups = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]
    assert groups["grok_interp.studies"] == {"reversal": "reversal_study.study:STUDY"}
    assert [folder.name for folder in EXAMPLE.iterdir() if (folder / "__init__.py").exists()] == ["reversal_study"]
    assert [file for file in PACKAGE.rglob("*.py") if "reversal" in file.read_text()] == []
