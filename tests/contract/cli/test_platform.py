"""The command line against the whole platform: accounts, logs, status, killed processes, stop and start."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from clary.cli import agents
from clary.cli.supervisor import identity, state
from clary.testing.jobs import TERMINAL, training_request, upload_csv, wait_for_job
from clary.testing.server import Account, ClaryServer, end_agents

LONG = {"num_round": "200000", "max_depth": "8"}


def command(server: ClaryServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clary.cli.main", *arguments, "--data-dir", str(server.data_dir)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def run(server: ClaryServer, code: str) -> subprocess.CompletedProcess[str]:
    folder = ["--data-dir", str(server.data_dir)]
    return subprocess.run(
        [sys.executable, "-m", "clary.cli.main", "run", *folder, "--", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def start_job(account: Account, hyperparameters: dict[str, str]) -> str:
    cancer = load_breast_cancer()
    bucket = upload_csv(account, "train/data.csv", np.column_stack([cancer.target, cancer.data]))
    request = training_request(account, bucket, hyperparameters=hyperparameters)
    account.client("sagemaker").create_training_job(**request)
    return str(request["TrainingJobName"])


def test_status_shows_every_process_and_what_it_works_on(clary_server):
    deadline = time.monotonic() + 60
    while (done := command(clary_server, "status", "--json")).returncode:  # a busy machine answers late
        assert time.monotonic() < deadline, done.stdout + done.stderr
    document = json.loads(done.stdout)
    names = [each["name"] for each in document["processes"]]
    assert names == ["objects", "zygote-base", "control", "accelerator", "edge"]
    assert document["url"] == clary_server.url
    assert set(document["work"]) == {"training_jobs_in_progress", "endpoints_in_service"}
    shown = command(clary_server, "status").stdout
    assert "Clary is up" in shown
    assert "endpoints in service" in shown


def test_a_created_account_is_listed_and_its_keys_work_under_run(clary_server):
    name = f"lab-{os.getpid()}"
    made = command(clary_server, "account", "create", name, "--json")
    assert made.returncode == 0, made.stderr
    keys = json.loads(made.stdout)
    listed = json.loads(command(clary_server, "account", "list", "--json").stdout)
    assert {"name": name, "account": keys["account"]} in listed
    code = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    folder = ["--data-dir", str(clary_server.data_dir), "--account", name]
    argv = [sys.executable, "-m", "clary.cli.main", "run", *folder, "--", sys.executable, "-c", code]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip() == keys["account"]
    again = command(clary_server, "account", "create", name)
    assert again.returncode == 1
    assert again.stderr.count("\n") == 1
    assert name in again.stderr


def test_the_fixed_host_names_of_the_sdks_are_answered_under_run(clary_server):
    code = (
        "import boto3; url = 'https://sts.eu-central-1.amazonaws.com';"
        "print(boto3.client('sts', endpoint_url=url).get_caller_identity()['Arn'])"
    )
    done = run(clary_server, code)
    assert done.returncode == 0, done.stderr
    assert ":assumed-role/" in done.stdout


@pytest.mark.parametrize("process", ["edge", "control", "objects"])
def test_after_sigkill_of_a_process_the_next_requests_are_answered(clary_server, process):
    client = clary_server.client("s3")
    bucket = f"survives-{process}-{os.getpid()}"
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="k", Body=b"v")
    os.kill(clary_server.pid(process), signal.SIGKILL)
    deadline = time.monotonic() + 60
    while True:
        try:
            assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"v"
            assert clary_server.client("sts").get_caller_identity()["Account"]
            break
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_logs_of_a_job_are_printed_and_followed_to_its_end(clary_server):
    account = clary_server.account()
    job = start_job(account, {"num_round": "5", "objective": "binary:logistic", "eval_metric": "auc"})
    followed = command(clary_server, "logs", job, "-f", "--account", account.name)
    assert followed.returncode == 0, followed.stderr
    assert "[4]" in followed.stdout
    assert command(clary_server, "logs", job, "--account", account.name).stdout == followed.stdout


def test_logs_of_a_failed_job_end_with_its_reason_and_code_1(clary_server):
    account = clary_server.account()
    job = start_job(account, {"num_round": "5", "eta": "7"})
    wait_for_job(account, job)
    failed = command(clary_server, "logs", job, "-f", "--account", account.name)
    assert failed.returncode == 1
    assert f"clary: {job} has failed: " in failed.stderr
    assert "eta" in failed.stderr


def test_what_does_not_exist_is_one_line(clary_server):
    for arguments in (("logs", "nobody"), ("spot", "interrupt", "nobody")):
        refused = command(clary_server, *arguments)
        assert refused.returncode == 1
        assert refused.stderr.startswith("clary: ")
        assert refused.stderr.count("\n") == 1


@pytest.fixture
def own(tmp_path):
    """Yield a Clary that the test may stop."""
    server = ClaryServer.start(tmp_path / "data")
    yield server
    command(server, "down", "--jobs")
    server.stop()
    end_agents(server.settings)


def test_a_job_goes_on_without_the_platform_and_is_taken_over(own):
    account = own.account("default")
    job = start_job(account, LONG)
    wait_for_job(account, job, until={"Training", *TERMINAL})
    down = command(own, "down")
    assert down.returncode == 0, down.stderr
    assert "1 job goes on" in down.stdout
    (agent,) = agents.alive(own.settings)
    assert agent.name == job
    again = ClaryServer.start(own.data_dir, port=own.settings.port)
    account = again.account("default")
    assert (
        account.client("sagemaker").describe_training_job(TrainingJobName=job)["TrainingJobStatus"]
        == "InProgress"
    )
    assert identity.is_alive(agent.pid, agent.since)
    ended = command(again, "down", "--jobs")
    again.stop()
    assert ended.stdout.endswith("Clary has stopped.\n")
    assert not identity.is_alive(agent.pid, agent.since)
    assert state.running(own.data_dir) is None
    last = ClaryServer.start(own.data_dir, port=own.settings.port)
    described = last.account("default").client("sagemaker").describe_training_job(TrainingJobName=job)
    assert described["TrainingJobStatus"] == "Stopped"
    last.stop()
