"""Other packages bring studies and head scores: those of the example are found, a faulty one is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from grok_interp import Transformer, head_scores, repeated_tokens, training_preset
from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.runs.run import Run
from grok_interp.studies.catalog import figures, studies

Bring = Callable[..., None]


@pytest.fixture
def bring(fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bring:
    """Puts a package with one entry point on the path."""

    def made(package: str, entry: str, code: str, *, group: str = "grok_interp.studies") -> None:
        folder = tmp_path / package
        metadata = folder / f"{package}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[{group}]\n{entry} = {package}:BROUGHT\n")
        (folder / f"{package}.py").write_text(code)
        monkeypatch.syspath_prepend(str(folder))

    return made


def test_a_head_score_of_another_package_is_measured(example: Path) -> None:
    model = Transformer(training_preset("copier-tiny").model, seed=0)
    tokens = repeated_tokens(n_sequences=2, half=8, alphabet=range(40), seed=0)
    found = head_scores(model, tokens)
    assert list(found.dataset.data_vars)[-1] == "current_token"
    first = found["current_token"].to_numpy()
    assert ((first > 0) & (first < 1)).all()
    assert found.dataset.attrs["chance"]["current_token"] == pytest.approx(sum(1 / n for n in range(1, 17)) / 16)


def test_without_the_package_its_runs_are_refused_and_all_others_listed(fresh: None, tmp_path: Path, capsys) -> None:
    config = training_preset("modular-tiny")
    values = config.to_dict() | {"data": {"kind": "reversal", "n_symbols": 5, "length": 3}}
    message = "of kind text or modular, got 'reversal'; others need the package that brings"
    with pytest.raises(ValueError, match=message):
        TrainConfig.from_dict(values)
    Run.create(tmp_path / "ours", config)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "config.json").write_text(json.dumps({"train": values}))
    assert main(["list", "--folder", str(tmp_path), "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'ours'}\n"
    assert message in printed.err


BROKEN = {
    "it cannot be imported": ("sorting", "import no_such_module", "cannot be loaded .ModuleNotFoundError: No module"),
    "it is no study": ("sorting", "BROUGHT = 7", "must be a .*, got a int"),
    "its names differ": (
        "sorting",
        "import copy\nfrom grok_interp.studies.modular.study import MODULAR\nBROUGHT = copy.copy(MODULAR)",
        "is named 'modular': both names must be the same",
    ),
    "its name is taken": (
        "modular",
        "from grok_interp.studies.modular.study import MODULAR as BROUGHT",
        "has a name that is taken",
    ),
    "its kind of data is taken": (
        "sorting",
        "import copy\nfrom grok_interp.studies.modular.study import MODULAR\n"
        "BROUGHT = copy.copy(MODULAR)\nBROUGHT.name = 'sorting'",
        "the studies modular and sorting both have data of kind 'modular'",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_faulty_study_is_named_with_its_package(fault: str, bring: Bring, capsys) -> None:
    entry, code, message = BROKEN[fault]
    bring(f"faulty_{abs(hash(fault))}", entry, code)
    with pytest.raises(ValueError, match=message):
        figures()
    assert main(["list", "figures"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("grok-interp: ") and "uninstall" in printed and "Traceback" not in printed
    assert training_preset("copier-tiny").model.n_layers == 2, "the package's own presets do without plugins"


def test_two_packages_cannot_bring_one_name(bring: Bring, example: Path) -> None:
    bring("reversal_again", "reversal", "from reversal_study.study import STUDY as BROUGHT")
    with pytest.raises(ValueError, match="the plugin reversal = .* has a name that is taken: .*uninstall"):
        studies()


def test_presets_and_figures_need_names_of_their_own(bring: Bring, example: Path) -> None:
    code = "import copy\nfrom reversal_study.study import STUDY, ReversalConfig\n"
    code += "class Data(ReversalConfig): kind = 'upper'\n"
    bring("upper_study", "upper", f"{code}BROUGHT = copy.copy(STUDY)\nBROUGHT.name, BROUGHT.data = 'upper', Data\n")
    with pytest.raises(ValueError, match="the study upper has presets whose names are taken: reversal-tiny"):
        training_preset("no-such")
    with pytest.raises(
        ValueError, match="figures of the study upper must be named upper/FIGURE, got reversal/accuracy"
    ):
        figures()


def test_a_faulty_head_score_is_named(bring: Bring) -> None:
    code = "from grok_interp.analysis.head_registry import HEAD_SCORES\nBROUGHT = HEAD_SCORES['prefix_matching']"
    bring("my_scores", "prefix_matching", code, group="grok_interp.head_scores")
    model = Transformer(training_preset("copier-tiny").model, seed=0)
    tokens = repeated_tokens(n_sequences=2, half=8, alphabet=range(40), seed=0)
    with pytest.raises(ValueError, match="prefix_matching .*of the package my_scores has a name that is taken"):
        head_scores(model, tokens)
    assert list(head_scores(model, tokens, scores=["prefix_matching"]).dataset.data_vars) == ["prefix_matching"]
