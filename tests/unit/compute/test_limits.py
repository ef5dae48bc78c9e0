"""Memory limits: groups come and go, the watchdog counts."""

import os
import secrets
import signal
import subprocess
import sys

import pytest

from clary.compute import limits


@pytest.fixture
def name() -> str:
    return f"unit-{secrets.token_hex(6)}.algo-1"


def test_a_group_is_gone_with_its_members_after_close(name: str) -> None:
    fence = limits.fence(name, 100)
    if fence is None:
        pytest.skip("no cgroup can be made here")
    child = subprocess.Popen(["sleep", "60"])
    fence.attach(child.pid)
    assert len(limits.leftover_groups(name)) == 1
    fence.close()
    fence.close()
    assert child.wait() == -signal.SIGKILL
    assert not limits.leftover_groups(name)


def test_the_watchdog_kills_what_is_too_large_and_nothing_else() -> None:
    killed: list[bool] = []
    roomy = limits.Watchdog(10**6, lambda: [os.getpid()], lambda: killed.append(True))
    roomy.look()
    assert (killed, roomy.was_exceeded()) == ([], False)
    assert roomy.memory_bytes() > 1 << 20
    tight = limits.Watchdog(1, lambda: [os.getpid()], lambda: killed.append(True))
    tight.look()
    assert (killed, tight.was_exceeded()) == ([True], True)


def test_processes_that_are_gone_weigh_nothing() -> None:
    assert limits.Watchdog(1, lambda: [2**22 + 1], lambda: None).memory_bytes() == 0


IDLE = """
import os, time
import numpy, scipy.linalg
from threadpoolctl import ThreadpoolController
pools = ThreadpoolController()
if os.fork():
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
pools.limit(limits=2)
numpy.ones((64, 64)) @ numpy.ones((64, 64))
before = time.process_time()
time.sleep(0.3)
os._exit(time.process_time() - before > 0.05)
"""


def test_a_forks_pools_sleep_while_they_have_nothing_to_do() -> None:
    """Threads of linear algebra are made anew after a fork, and would spin for 2^26 cycles each."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **limits.PATIENT_THREADS}
    assert subprocess.run([sys.executable, "-c", IDLE], env=environment, check=False).returncode == 0
