"""Load on every kind of endpoint while it is updated and its processes are killed: the short form."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.xdist_group("chaos")
def test_every_request_of_half_a_minute_is_accounted_for(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "bench.load", "--minutes", "0.5", "--share", "0.1"]
    done = subprocess.run(
        [*argv, "--json", str(tmp_path / "load.json")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
