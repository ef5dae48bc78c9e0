"""`kill -9` of the control plane while a tuning job runs: same trials, none doubled, same best."""

import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from clary.cli.supervisor import state
from clary.testing.jobs import upload_csv
from clary.testing.server import ClaryServer, end_agents
from clary.testing.tuning import trials_of, tuned, tuning_request, wait_for_tuning

pytestmark = pytest.mark.xdist_group("chaos")
OBJECTIVE = "FinalHyperParameterTuningJobObjectiveMetric"


@pytest.fixture(scope="module")
def server():
    home = Path(tempfile.mkdtemp(prefix="clary-tuning-chaos-"))
    home.chmod(0o711)  # jobs of other user ids pass
    server = ClaryServer.start(home / "data")
    yield server
    server.stop()
    end_agents(server.settings)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def place(server):
    """Return an account with data, and what a job that nobody disturbs finds, by strategy and parallelism."""
    account = server.account()
    rows = np.random.default_rng(5).normal(size=(400, 6))
    table = np.column_stack([rows[:, 0] + rows[:, 1] ** 2 > 0.5, rows])
    bucket = upload_csv(account, "train/data.csv", table[:300])
    upload_csv(account, "validation/data.csv", table[300:], bucket=bucket)
    return account, bucket, {}


def kill_control(server):
    """Kill the control plane once; the supervisor starts it again."""
    running = state.read(server.data_dir)
    for each in running.processes if running else ():
        if each.name == "control" and each.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)


def found(account, described):
    rows = trials_of(account, described["HyperParameterTuningJobName"])
    tried = [(each["TunedHyperParameters"], each[OBJECTIVE]["Value"]) for each in rows]
    return tried, described["BestTrainingJob"][OBJECTIVE]["Value"]


def patiently(call):
    """Repeat a call while the control plane is away."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return call()
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@pytest.mark.parametrize(
    ("strategy", "parallel", "seed"),
    [
        ("Random", 2, 1),
        pytest.param("Bayesian", 1, 2, marks=pytest.mark.slow),
        pytest.param("Random", 3, 3, marks=pytest.mark.slow),
        pytest.param("Bayesian", 1, 4, marks=pytest.mark.slow),
    ],
)
def test_a_tuning_job_survives_kills_of_the_control_plane(server, place, strategy, parallel, seed):
    account, bucket, undisturbed = place
    common = {"strategy": strategy, "parallel": parallel, "n": 8, "RandomSeed": 11}
    if strategy not in undisturbed:
        undisturbed[strategy] = found(account, tuned(account, tuning_request(account, bucket, **common)))
    request = tuning_request(account, bucket, **common)
    name = request["HyperParameterTuningJobName"]
    account.client("sagemaker").create_hyper_parameter_tuning_job(**request)
    chance = random.Random(seed)
    for _ in range(3):
        time.sleep(chance.uniform(0.0, 0.7))
        kill_control(server)
        patiently(
            lambda: account.client("sagemaker").describe_hyper_parameter_tuning_job(
                HyperParameterTuningJobName=name
            )
        )
    described = patiently(lambda: wait_for_tuning(account, name, limit_s=90))
    assert described["HyperParameterTuningJobStatus"] == "Completed", described.get("FailureReason")
    assert found(account, described) == undisturbed[strategy]
    listed = account.client("sagemaker").list_training_jobs(NameContains=f"{name}-", MaxResults=100)
    names = [each["TrainingJobName"] for each in listed["TrainingJobSummaries"]]
    assert sorted(each.split("-")[-2] for each in names) == [f"{index:03d}" for index in range(1, 9)]
