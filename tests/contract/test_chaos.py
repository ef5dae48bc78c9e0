"""`kill -9` of every process of the platform at random moments of running jobs: nothing is lost or doubled.

A round runs two jobs at once, a script of known output and a built-in algorithm, and kills one process.
"""

import contextlib
import io
import os
import random
import shutil
import signal
import tarfile
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from clary.cli import agents
from clary.cli.supervisor import state
from clary.testing.jobs import (
    script_request,
    training_request,
    upload_csv,
    upload_script,
    wait_for_job,
)
from clary.testing.server import ClaryServer, end_agents

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("chaos")]

N_LINES = 30
SCRIPT = f"""
import os, time
mark = os.urandom(6).hex()
for n in range({N_LINES}):
    print("line", mark, n, flush=True)
    time.sleep(0.06)
with open(os.environ["SM_MODEL_DIR"] + "/mark", "w") as file:
    file.write(mark)
print("line", mark, "end", flush=True)
"""
MOMENTS_S = (0.0, 2.6)
"""From the request to past the end of most jobs."""
PROCESSES = ("control", "edge", "objects", "zygote-base")
REQUIRED = PROCESSES[:3]
"""Without the warm runtime jobs start slowly, but they start."""
FEW, MANY = range(2), range(2, 12)
END_WITHIN_S = 8.0
"""Within so long of a job's end nothing of it is left."""


@pytest.fixture(scope="module")
def server():
    home = Path(tempfile.mkdtemp(prefix="clary-chaos-"))
    home.chmod(0o711)  # jobs of other user ids pass
    server = ClaryServer.start(home / "data")
    wait_until(lambda: is_up(server), 60, "the platform is up")
    yield server
    server.stop()
    end_agents(server.settings)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def account(server):
    return server.account()


@pytest.fixture(scope="module")
def bucket(account):
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(2_000, 8))
    return upload_csv(account, "train/data.csv", np.column_stack([rows[:, 0] > 0, rows]))


@pytest.fixture(scope="module")
def source(account, bucket):
    return upload_script(account, bucket, SCRIPT)


class Round:
    """Two jobs that run while something is killed."""

    def __init__(self, server, account, bucket, source):
        self.server, self.account, self.bucket = server, account, bucket
        rounds = {"num_round": "600", "max_depth": "4", "objective": "binary:logistic"}
        requests = [
            script_request(account, bucket, source, instance_type="ml.t3.medium"),
            training_request(account, bucket, hyperparameters=rounds),
        ]
        self.script, self.builtin = (each["TrainingJobName"] for each in requests)
        for request in requests:
            account.client("sagemaker").create_training_job(**request)

    def agent(self, name, limit_s=20.0):
        """Return the live agent of a job; None where the job ended before one was seen."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            found = next((each for each in agents.alive(self.server.settings) if each.name == name), None)
            if found is not None:
                return found
            time.sleep(0.005)
        return None

    def check(self, *, restarts_allowed=False):
        """Check all that is promised of both jobs."""
        wait_until(lambda: is_up(self.server, *REQUIRED), 60, "what is needed is restarted")
        for name in (self.script, self.builtin):
            described = wait_for_job(self.account, name, limit_s=90)
            passed = [each["Status"] for each in described["SecondaryStatusTransitions"]]
            assert described["TrainingJobStatus"] == "Completed", (passed, described.get("FailureReason"))
            assert passed.count("Completed") == 1
            assert passed[-1] == "Completed"
            if not restarts_allowed:
                assert "Restarting" not in passed, described["SecondaryStatusTransitions"]
        self.check_artefacts()
        self.check_log()
        for name in (self.script, self.builtin):
            wait_until(lambda name=name: not left_of(name), END_WITHIN_S, lambda name=name: left_of(name))
            wait_until(
                lambda name=name: not self.folders(name), END_WITHIN_S, lambda name=name: self.folders(name)
            )

    def check_artefacts(self):
        for name in (self.script, self.builtin):
            listed = self.account.client("s3").list_objects_v2(Bucket=self.bucket, Prefix=f"out/{name}/")
            keys = [each["Key"] for each in listed.get("Contents", ())]
            assert keys == [f"out/{name}/output/model.tar.gz"]
        body = self.account.client("s3").get_object(
            Bucket=self.bucket, Key=f"out/{self.script}/output/model.tar.gz"
        )
        with tarfile.open(fileobj=io.BytesIO(body["Body"].read())) as archive:
            mark = archive.extractfile("mark")
            assert mark is not None
            self.mark = mark.read().decode()

    def check_log(self):
        """Every line of the run that counts, in order; none twice, of any run."""
        seen = defaultdict(list)
        for line in self.log_lines(self.script):
            if line.startswith("line "):
                _, mark, n = line.split()
                seen[mark].append(n)
        for mark, lines in seen.items():
            assert len(lines) == len(set(lines)), (mark, lines)
        assert seen[self.mark] == [*map(str, range(N_LINES)), "end"]

    def log_lines(self, name):
        pages = (
            self.account.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/")
        )
        return [event["message"] for page in pages for event in page["events"]]

    def folders(self, name):
        return [each.name for each in self.server.settings.runs_dir.iterdir() if name in each.name]


def left_of(name):
    """Return the processes that have something of the job's: arguments, mounts, a group, an open file."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            text = (process / "cmdline").read_text() + (process / "cgroup").read_text()
            text += (process / "mountinfo").read_text()
            text += " ".join(os.readlink(each) for each in (process / "fd").iterdir())
        except OSError:
            continue
        if f"{name}-" in text:
            found.append(f"{process.name} {(process / 'comm').read_text().strip()}")
    return found


def wait_until(is_true, limit_s, what):
    deadline = time.monotonic() + limit_s
    while not is_true():
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.02)


def is_up(server, *names):
    running = state.running(server.data_dir)
    return running is not None and all(
        each.pid and each.phase == "ready" for each in running.processes if each.name in (names or PROCESSES)
    )


def kill(server, *names):
    pids = [server.pid(name) for name in names]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    told = [lambda name=name, pid=pid: server.pid(name) != pid for name, pid in zip(names, pids, strict=True)]
    wait_until(lambda: all(each() for each in told), 10, f"the supervisor saw {names} end")


def moment_s(process, n):
    """Return a moment of a job's life: the same for the same process and number."""
    return random.Random(f"{process}-{n}").uniform(*MOMENTS_S)


def moments(numbers):
    few = [pytest.param(n) for n in numbers if n in FEW]
    return [*few, *(pytest.param(n, marks=pytest.mark.slow) for n in numbers if n in MANY)]


@pytest.mark.parametrize("n", moments(range(12)))
@pytest.mark.parametrize("process", PROCESSES)
def test_jobs_outlive_the_end_of(process, n, server, account, bucket, source):
    wait_until(lambda: is_up(server), 60, "everything is restarted")
    jobs = Round(server, account, bucket, source)
    time.sleep(moment_s(process, n))
    kill(server, process)
    jobs.check()


@pytest.mark.parametrize("n", moments(range(12)))
def test_a_job_whose_agent_is_killed_starts_again_and_completes(n, server, account, bucket, source):
    wait_until(lambda: is_up(server), 60, "everything is restarted")
    jobs = Round(server, account, bucket, source)
    victim = jobs.builtin if n % 2 else jobs.script
    agent = jobs.agent(victim)
    time.sleep(moment_s("agent", n))
    if agent is not None:
        with contextlib.suppress(ProcessLookupError):  # the job was faster
            os.kill(agent.pid, signal.SIGKILL)
    jobs.check(restarts_allowed=True)


@pytest.mark.parametrize("n", moments(range(12)))
def test_jobs_created_while_the_warm_runtime_is_away_complete(n, server, account, bucket, source):
    wait_until(lambda: is_up(server), 60, "everything is restarted")
    kill(server, "zygote-base")
    time.sleep(moment_s("away", n) / 5)
    Round(server, account, bucket, source).check()


@pytest.mark.parametrize("n", moments(range(5)))
def test_jobs_outlive_everything_at_once(n, server, account, bucket, source):
    wait_until(lambda: is_up(server), 60, "everything is restarted")
    jobs = Round(server, account, bucket, source)
    time.sleep(moment_s("all", n))
    kill(server, *PROCESSES)
    jobs.check()


@pytest.mark.parametrize("n", moments(range(5)))
def test_a_new_start_adopts_the_jobs_of_a_killed_supervisor(n, tmp_path, source, bucket, account):
    del source, bucket, account  # another server than theirs
    home = Path(tempfile.mkdtemp(prefix="clary-chaos-"))
    home.chmod(0o711)
    server = ClaryServer.start(home / "data")
    try:
        wait_until(lambda: is_up(server), 60, "the platform is up")
        account = server.account()
        rows = np.random.default_rng(5).normal(size=(2_000, 8))
        bucket = upload_csv(account, "train/data.csv", np.column_stack([rows[:, 0] > 0, rows]))
        jobs = Round(server, account, bucket, upload_script(account, bucket, SCRIPT))
        time.sleep(moment_s("supervisor", n))
        os.kill(server.running.pid, signal.SIGKILL)
        server.stop()
        server = jobs.server = ClaryServer.start(home / "data", port=server.settings.port)
        jobs.check()
    finally:
        server.stop()
        end_agents(server.settings)
        shutil.rmtree(home, ignore_errors=True)
