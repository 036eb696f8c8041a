"""What limits a test: its CPU time, not the clock, so that a busy machine makes no test fail."""

import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parent / "conftest.py"
TESTS = """
import time
from hypothesis import given, strategies

@given(strategies.booleans())
def test_of_slow_examples(_):
    time.sleep(0.3)

def test_that_waits():
    time.sleep(1.5)

def test_that_computes_for_ever():
    while True:
        pass

def test_after_it():
    pass

def test_in_a_browser():
    import pytest
    pytest.skip("needs chromium (apt install chromium)")
"""


def test_cpu_time_is_limited_and_a_missing_browser_is_told(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text().replace("CPU_SECONDS = 300", "CPU_SECONDS = 1"))
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(tmp_path)]
    printed = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path).stdout
    assert "test_that_computes_for_ever took more than 1 s of CPU time" in printed
    assert "SKIPPED tests in a browser: 1 (apt install chromium)" in printed
    assert "1 failed, 3 passed, 1 skipped" in printed
