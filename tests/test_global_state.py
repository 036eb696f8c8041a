"""No public function changes what a program shares: random states, threads, dtype, warnings filters, rcParams ..."""

import json
import os
import subprocess
import sys
from pathlib import Path


def test_no_public_function_changes_what_a_program_shares(own_cache: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("global_state.py")), str(tmp_path)]
    environment = {**os.environ, "MPLBACKEND": "agg"}
    found = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout.splitlines()[-1]) == {}
