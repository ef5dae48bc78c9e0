"""A test run that is killed leaves nothing running."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clary.cli.supervisor import identity
from clary.compute import linux
from clary.testing import postgres, server

DEADLINE_S = 60.0
pytestmark = pytest.mark.skipif(not linux.IS_LINUX, reason="agents are found by /proc")


def soon(is_so: Callable[[], bool]) -> bool:
    until = time.monotonic() + DEADLINE_S
    while not (found := is_so()) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def begun(block: str, told: str) -> "subprocess.Popen[bytes]":
    """Begin a program that stays within a block, and prints there."""
    program = (
        f"import time\nfrom pathlib import Path\n{block}\n    print({told}, flush=True)\n    time.sleep(600)"
    )
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return the folder of a Clary that has ended, and whose agent goes on."""
    host = tmp_path / "home/data/runs/r/hosts/algo-1"
    host.mkdir(parents=True)
    agent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (host / "pid").write_text(linux.stamp(agent.pid))
    return tmp_path / "home"


def is_alive(home: Path) -> bool:
    stamp = (home / "data/runs/r/hosts/algo-1/pid").read_text()
    pid = int(stamp.split()[0])
    return identity.is_alive(pid, identity.started(pid))


def test_what_goes_on_is_ended_when_the_tests_are_killed(home: Path) -> None:
    tests = begun(f"from clary.testing import server\nwith server.watched(Path({str(home)!r})):", "'in'")
    assert tests.stdout is not None
    assert tests.stdout.readline() == b"in\n"
    assert is_alive(home)
    tests.kill()
    tests.wait()
    tests.stdout.close()
    assert soon(lambda: not home.exists())


def test_nothing_is_cleared_where_the_block_ended(home: Path) -> None:
    with server.watched(home):
        pass
    assert is_alive(home)
    server.clear(str(home))
    assert not home.exists()


@pytest.mark.postgres
@pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing())
def test_a_database_ends_with_the_tests_that_began_it() -> None:
    tests = begun("from clary.testing import postgres\nwith postgres.server() as url:", "url")
    assert tests.stdout is not None
    folder = Path(tests.stdout.readline().decode().strip().partition("host=")[2])
    pid = int((folder / "data/postmaster.pid").read_text().split()[0])
    since = identity.started(pid)
    os.kill(tests.pid, signal.SIGKILL)
    tests.wait()
    tests.stdout.close()
    assert soon(lambda: not identity.is_alive(pid, since))
    shutil.rmtree(folder)
