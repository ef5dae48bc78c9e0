"""A processing job ends Completed once, whichever process of the platform is killed while it runs."""

import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest

from clary.cli import agents
from clary.testing.processing import ProcessingScript
from clary.testing.server import ClaryServer, end_agents

pytestmark = pytest.mark.xdist_group("processing-chaos")

SCRIPT = """
import os, pathlib, time
mark = os.urandom(6).hex()
for n in range(12):
    print("line", mark, n, flush=True)
    time.sleep(0.1)
out = pathlib.Path("/opt/ml/processing/output")
for n in range(20):
    (out / "late" / f"{n}").write_text(mark)
(out / "live" / "mark").write_text(mark)
pathlib.Path("/opt/ml/output/message").write_text(mark)
"""
LONGEST_S = 2.5
"""From the request to past the end of the job."""


@pytest.fixture(scope="module")
def server():
    home = Path(tempfile.mkdtemp(prefix="clary-processing-"))
    home.chmod(0o711)  # jobs of other user ids pass
    server = ClaryServer.start(home / "data")
    yield server
    server.stop()
    end_agents(server.settings)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def account(server):
    return server.account()


def start(account):
    return ProcessingScript.create(account, SCRIPT, outputs={"late": "EndOfJob", "live": "Continuous"})


def check(job):
    """All of it is there, of one attempt, and the job has one end."""
    described = job.completed(limit_s=150)
    mark = described["ExitMessage"]
    assert job.keys("late") == {str(n) for n in range(20)}
    assert {job.read(str(n), "late").decode() for n in (0, 19)} == {mark}
    assert job.read("mark", "live").decode() == mark
    lines = [line.split()[1:] for line in job.lines()]
    assert [n for each, n in lines if each == mark] == [str(n) for n in range(12)]
    listed = job.account.client("sagemaker").list_processing_jobs(NameContains=job.name)
    assert [each["ProcessingJobStatus"] for each in listed["ProcessingJobSummaries"]] == ["Completed"]


def moments(process, n_few, n_many):
    rng = random.Random(process)
    found = [round(rng.uniform(0, LONGEST_S), 2) for _ in range(n_many)]
    return [
        pytest.param(process, moment, marks=[pytest.mark.slow] if n >= n_few else [])
        for n, moment in enumerate(found)
    ]


@pytest.mark.parametrize(
    ("process", "moment_s"), [*moments("control", 1, 8), *moments("objects", 1, 4), *moments("edge", 0, 4)]
)
def test_a_job_outlives_a_process_of_the_platform(process, moment_s, server, account):
    job = start(account)
    time.sleep(moment_s)
    pid = server.pid(process)
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while server.pid(process) in {pid, None}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    check(reached(job, deadline))


def reached(job, deadline):
    """Return the job once the platform answers again."""
    while True:
        try:
            job.describe()
        except Exception:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return job


@pytest.mark.parametrize(("process", "moment_s"), moments("agent", 1, 6))
def test_a_job_whose_agent_is_killed_runs_again(process, moment_s, server, account):
    del process
    job = start(account)
    deadline = time.monotonic() + 60
    agent = None
    while agent is None and time.monotonic() < deadline:
        agent = next((each for each in agents.alive(server.settings) if each.name == job.name), None)
        time.sleep(0.01)
    time.sleep(moment_s / 2)
    if agent is not None:
        with contextlib.suppress(ProcessLookupError):  # the job was faster
            os.kill(agent.pid, signal.SIGKILL)
    check(job)
