"""`clary status` while PostgreSQL is away."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from clary.testing import postgres
from clary.testing.deployment import deployment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing()),
]


@pytest.fixture
def made():
    home = Path(tempfile.mkdtemp(prefix="clary-status-"))
    home.chmod(0o711)  # jobs of other user ids pass
    try:
        with deployment(home / "nodes", 1) as made:
            yield made
    finally:
        shutil.rmtree(home, ignore_errors=True)


def status(made, *options):
    given = ["-m", "clary.cli.main", "status", "--data-dir", str(made.nodes[0].data_dir), *options]
    return subprocess.run([sys.executable, *given], capture_output=True, text=True, timeout=60, check=False)


def test_status_says_that_the_database_is_away_though_its_shell_does_not_know_of_it(made):
    before = status(made, "--json")
    assert (before.returncode, json.loads(before.stdout)["store_trouble"]) == (0, "")
    server = Path(parse_qs(urlsplit(made.store_url).query)["host"][0])
    os.kill(int((server / "data/postmaster.pid").read_text().splitlines()[0]), signal.SIGQUIT)
    after = status(made)
    assert after.returncode == 1
    assert f"the store {made.store_url.partition('@')[0]}" in after.stdout
    assert "failed" in after.stdout
    assert "store_trouble" in status(made, "--json").stdout
