"""A transform whose agent or control plane is killed completes, and scores nothing twice that was there."""

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
from clary.kernel import ids
from clary.testing.server import ClaryServer, end_agents
from clary.testing.transform import Transform, script_container, upload

pytestmark = pytest.mark.xdist_group("transform-chaos")

SCORER = """
import time

def model_fn(folder):
    return None

def transform_fn(model, body, content_type, accept):
    text = body if isinstance(body, str) else body.decode()
    print("scored", text.strip(), flush=True)
    time.sleep(0.08)
    return "twice " + text + text, "text/plain"
"""
N_OBJECTS = 16
WIDE = """
def model_fn(folder):
    return None

def transform_fn(model, body, content_type, accept):
    return body * 12, "text/plain"
"""
"""Answers large enough to be published in parts."""


@pytest.fixture(scope="module")
def server():
    home = Path(tempfile.mkdtemp(prefix="clary-transform-"))
    home.chmod(0o711)  # jobs of other user ids pass
    server = ClaryServer.start(home / "data")
    yield server
    server.stop()
    end_agents(server.settings)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def account(server):
    return server.account()


@pytest.fixture(scope="module")
def bucket(account):
    return upload(account, {f"in/{n:02}.txt": f"record {n}\n".encode() for n in range(N_OBJECTS)})


def model(account, bucket, text):
    name = f"model-{ids.short()}"
    container = script_container(account, bucket, text)
    account.client("sagemaker").create_model(
        ModelName=name, PrimaryContainer=container, ExecutionRoleArn=account.role_arn
    )
    return name


@pytest.fixture(scope="module")
def scorer(account, bucket):
    return model(account, bucket, SCORER)


def published(job):
    bucket, _, prefix = job.output.removeprefix("s3://").partition("/")
    with contextlib.suppress(Exception):  # the platform may be away for a moment
        listed = job.account.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")
        return {each["Key"]: each["LastModified"] for each in listed.get("Contents", ())}
    return {}


def await_outputs(job, n, limit_s=60.0):
    """Return what is published once that is at least `n` objects."""
    deadline = time.monotonic() + limit_s
    while len(found := published(job)) < n:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def agent_of(server, job):
    return next((each for each in agents.alive(server.settings) if each.name == job.name), None)


def check(job):
    """All outputs are there, whole; the job ended once."""
    described = job.wait(limit_s=150)
    assert described["TransformJobStatus"] == "Completed", described.get("FailureReason")
    assert job.published() == {
        f"{n:02}.txt.out": f"twice record {n}\nrecord {n}\n".encode() for n in range(N_OBJECTS)
    }
    return [line.removeprefix("scored ") for line in job.lines() if line.startswith("scored ")]


def numbers(name, n_few, n_many):
    """Return how many outputs are there when something is killed: the same in every run."""
    found = random.Random(name).sample(range(1, N_OBJECTS - 3), n_many)
    return [
        pytest.param(each, marks=[pytest.mark.slow] if n >= n_few else []) for n, each in enumerate(found)
    ]


@pytest.mark.parametrize("n_before", numbers("agent", 1, 6))
def test_a_killed_agents_successor_leaves_what_is_published(n_before, server, account, bucket, scorer):
    job = Transform.create(account, scorer, f"s3://{bucket}/in/", content_type="text/plain")
    await_outputs(job, n_before)
    agent = agent_of(server, job)
    assert agent is not None
    os.kill(agent.pid, signal.SIGKILL)
    before = published(job)
    scored = check(job)
    after = published(job)
    assert {key: after[key] for key in before} == before
    for key in before:
        n = int(key.rpartition("/")[2].partition(".")[0])
        assert scored.count(f"record {n}") == 1, scored


@pytest.mark.parametrize("n_before", numbers("control", 1, 6))
def test_a_killed_control_plane_is_not_noticed(n_before, server, account, bucket, scorer):
    job = Transform.create(account, scorer, f"s3://{bucket}/in/", content_type="text/plain")
    await_outputs(job, n_before)
    pid = server.pid("control")
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while server.pid("control") in {pid, None}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    while True:
        with contextlib.suppress(Exception):
            job.describe()
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    scored = check(job)
    assert sorted(scored) == sorted(f"record {n}" for n in range(N_OBJECTS))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_parts_of_a_killed_attempt_are_dropped(seed, server, account):
    line = b"x" * 1023 + b"\n"
    bucket = upload(account, {"wide/a.txt": line * 8192})
    wide = model(account, bucket, WIDE)
    job = Transform.create(account, wide, f"s3://{bucket}/wide/", content_type="text/plain", MaxPayloadInMB=1)
    deadline = time.monotonic() + 60
    while agent_of(server, job) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(random.Random(f"parts-{seed}").uniform(0.2, 1.5))
    agent = agent_of(server, job)
    if agent is not None:
        with contextlib.suppress(ProcessLookupError):  # the job was faster
            os.kill(agent.pid, signal.SIGKILL)
    assert job.wait(limit_s=150)["TransformJobStatus"] == "Completed"
    assert {name: len(body) for name, body in job.published().items()} == {"a.txt.out": 12 * 8192 * 1024}
    uploads = account.client("s3").list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    assert uploads == []
