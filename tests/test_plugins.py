"""Other packages bring studies and head scores: the example goes through every verb, a faulty one is named."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grok_interp import Transformer, draw, head_scores, repeated_tokens, training_preset
from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.plugins import loaded_entries
from grok_interp.runs.run import Run
from grok_interp.studies.catalog import figures, studies, study_of

EXAMPLE = Path(__file__).parent / "example_study"
PIP = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the example was installed, as a user installs it."""
    source, site = tmp_path_factory.mktemp("example") / "source", tmp_path_factory.mktemp("site")
    shutil.copytree(EXAMPLE, source)
    subprocess.run([*PIP, "--target", str(site), str(source)], check=True, capture_output=True)
    return site


@pytest.fixture
def fresh() -> Iterator[None]:
    """Plugins are looked for again, before and after."""
    loaded_entries.cache_clear()
    yield
    loaded_entries.cache_clear()


@pytest.fixture
def example(site: Path, fresh: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(site))
    return site


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


def test_the_example_goes_from_data_to_its_figures(example: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["list", "figures"]) == 0
    assert "reversal/accuracy" in capsys.readouterr().out
    assert main(["list", "presets", "--json"]) == 0
    rows = {row["preset"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["reversal-tiny"]["trainable"]
    assert main(["train", "reversal-tiny", "--run", "run", "--data.n-symbols", "4", "--model.d-vocab", "5"]) == 0
    assert main(["analyze", "run"]) == 0
    assert "reversal accuracy at 3 checkpoints" in capsys.readouterr().out
    assert main(["report", "run", "--threshold", "0"]) == 0
    printed = capsys.readouterr()
    assert "first step with accuracy above 0" in printed.out
    assert "grok-interp reproduce reversal/accuracy --run run" in printed.err
    page = Path("run/report.html").read_text()
    assert "When is a string reversed?" in page and "strings of 3 of 4 symbols, reversed" in page
    assert Path("run/figures/reversal.svg").exists()
    assert main(["reproduce", "reversal/accuracy", "--run", "run"]) == 0
    assert Path("run/figures/reversal_accuracy.pdf").exists()
    assert main(["reproduce", "reversal/batches", "--preset", "tiny", "--seeds", "1"]) == 0
    assert Path("runs/reversal-tiny/figures/reversal_batches.svg").exists()
    assert {run.config.batch_size for run in Run.below(Path("runs"))} == {4, 8}


def test_a_run_of_the_example_is_a_run_like_any_other(example: Path, tmp_path: Path, capsys) -> None:
    run = str(tmp_path / "run")
    assert main(["train", "reversal-tiny", "--run", run, "--dry-run"]) == 0
    assert "strings of 3 of 5 symbols, reversed" in capsys.readouterr().out
    assert main(["train", "reversal-tiny", "--run", run]) == 0
    config = training_preset("reversal-tiny")
    assert Run.open(run).config == config == TrainConfig.from_dict(config.to_dict())
    study = study_of(Run.open(run))
    assert study is studies()["reversal"]
    (result,) = study.analyze(Run.open(run)).each.values()
    assert len(draw(result).panels[0].marks) == 3
    assert main(["reproduce", "copying/fig2", "--run", run]) == 2
    assert f"copying/fig2 needs runs of the copying study, {run} is one of reversal" in capsys.readouterr().err
    assert main(["reproduce", "reversal/accuracy", "--preset", "mini"]) == 2
    assert "reversal/accuracy is trained at the sizes tiny, got --preset mini" in capsys.readouterr().err
    assert main(["report", str(tmp_path)]) == 2
    assert "nor has it runs that a study compares" in capsys.readouterr().err
    with pytest.raises(ValueError, match="ReversalConfig: n_symbols must be at least 2 .* got 1 and 3"):
        config.with_data(n_symbols=1)
    with pytest.raises(ValueError, match="d_vocab must be n_symbols . 1 = 5, got 6"):
        config.with_data(n_symbols=4)


def test_the_example_is_watched_in_a_process_of_its_own(example: Path, tmp_path: Path) -> None:
    """As an installed command finds it: nothing but the path of the process is set."""
    assert main(["train", "reversal-tiny", "--run", str(tmp_path / "run")]) == 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(example), *sys.path])}
    command = [sys.executable, "-m", "grok_interp.cli", "watch", str(tmp_path / "run"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout
            address = process.stdout.readline().split()[3]
            assert process.stdout.readline() == "shown up to step 10\n"
            assert b"When is a string reversed?" in urllib.request.urlopen(address).read()
        finally:
            process.kill()


def test_help_knows_the_example_and_stays_light(example: Path) -> None:
    script = (
        "import sys\nfrom grok_interp.cli import main\ntry: main(['reproduce', '--help'])\nexcept SystemExit: pass\n"
    )
    script += "print(sorted({'torch', 'transformer_lens', 'xarray', 'numpy', 'matplotlib'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(example), *sys.path])}
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert "reversal/accuracy" in found.stdout
    assert found.stdout.splitlines()[-1] == "[]"


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
