"""Settings and objects that every test shares."""

import functools
import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in its background without it

import hypothesis  # noqa: E402
import matplotlib  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

from grok_interp.configs import TrainConfig  # noqa: E402
from grok_interp.plugins import loaded_entries  # noqa: E402
from grok_interp.presets import training_preset  # noqa: E402

CPU_SECONDS = 300  # of one test, its fixtures among them; a busy machine does not make a test fail
hypothesis.settings.register_profile(  # which limits an example to 200 ms of the clock, and the time to draw it
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")
matplotlib.use("Agg")
torch.set_num_threads(1)  # tiny models are several times slower on two threads


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    def too_slow(*_: object) -> None:
        pytest.fail(f"{item.nodeid} took more than {CPU_SECONDS} s of CPU time")

    before = signal.signal(signal.SIGPROF, too_slow)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def pytest_sessionstart() -> None:
    """`make mutants` tries a mutant in a fork of a process that ran the tests: what functions kept there is cleared."""
    if "mutmut" in sys.modules:
        for kept in gc.get_objects():
            if isinstance(kept, functools._lru_cache_wrapper) and str(kept.__module__).startswith("grok_interp"):
                kept.cache_clear()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What needs a browser is not left out silently."""
    left_out = [
        report for report in terminalreporter.stats.get("skipped", []) if "needs chromium" in str(report.longrepr)
    ]
    if left_out:
        terminalreporter.write_line(f"SKIPPED tests in a browser: {len(left_out)} (apt install chromium)", yellow=True)


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real text of some 40,000 bytes, to train on."""
    import inspect
    import pathlib

    file = tmp_path_factory.mktemp("text") / "pathlib.txt"
    file.write_text(inspect.getsource(pathlib))
    return file


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Corpora are built under this test's own folder, also by the processes that it starts."""
    monkeypatch.setenv("GROK_INTERP_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache"


@pytest.fixture
def tiny(text_file: Path, own_cache: Path) -> TrainConfig:
    """20 updates of the tiny copier, checkpoints every 5."""
    config = training_preset("copier-tiny")
    return replace(config, data=replace(config.data, source=str(text_file)))


@pytest.fixture
def train_tiny(text_file: Path, own_cache: Path, tmp_path: Path) -> list[str]:
    """The command that trains the tiny copier."""
    return ["train", "copier-tiny", "--run", str(tmp_path / "run"), "--data.source", str(text_file), "--device", "cpu"]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which tests/example_study was installed, as a user installs it."""
    source, site = tmp_path_factory.mktemp("example") / "source", tmp_path_factory.mktemp("site")
    shutil.copytree(Path(__file__).parent / "example_study", source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(source)], check=True, capture_output=True)
    return site


@pytest.fixture
def fresh() -> Iterator[None]:
    """Plugins are looked for again, before and after."""
    loaded_entries.cache_clear()
    yield
    loaded_entries.cache_clear()


@pytest.fixture
def example(site: Path, fresh: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its package is there."""
    monkeypatch.syspath_prepend(str(site))
    return site
