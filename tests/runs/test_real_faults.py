"""Faults made for real, on a disk of its own that is full, read-only or closed; `faults.py` does it at more sizes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = ("disk full", "read-only", "no permission", "name", "vanished file", "no memory")


@pytest.fixture
def may_mount(tmp_path: Path) -> None:
    """Root in a container often may not."""
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs root that may mount a disk")
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_each_fault_is_named_and_the_same_command_resumes(may_mount: None) -> None:
    script = Path(__file__).parent.parent / "faults.py"
    done = subprocess.run([sys.executable, str(script), "--sizes", "2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()[1:]
    assert tuple(line[:16].strip() for line in lines) == FAULTS
    for line in lines:
        n_failed, n_well = map(int, line[16:].split())
        assert n_failed == n_well > 0
