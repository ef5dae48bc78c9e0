"""Checkpoints: there before the program, copied while it runs, and what spot interruptions live on."""

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.cli import control
from clary.kernel.errors import SetupError
from clary.testing.jobs import TERMINAL, ScriptJob, new_bucket

RESTORE = """
import json, os, pathlib, sys
folder = pathlib.Path(sys.argv[2])
found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
config = pathlib.Path("/opt/ml/input/config/checkpointconfig.json").read_text()
found = {"files": found, "config": json.loads(config)}
(folder / "deep").mkdir(exist_ok=True)
(folder / "deep" / "2").write_text("second")
(folder / "1").write_text("changed")
pathlib.Path("/opt/ml/model/findings.json").write_text(json.dumps(found))
"""


def put(account: Any, bucket: Any, **objects: Any) -> Any:
    for key, body in objects.items():
        account.client("s3").put_object(Bucket=bucket, Key=f"check/{key}", Body=body)


def get(account: Any, bucket: Any) -> Any:
    s3 = account.client("s3")
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="check/").get("Contents", [])
    return {
        each["Key"].removeprefix("check/"): s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
        for each in listed
    }


@pytest.mark.parametrize("path", ["", "/opt/ml/mine/points", "/checkpoints"], ids=["default", "below", "own"])
def test_checkpoints_are_restored_before_and_copied_back_after(clary_server, path):
    account = clary_server.account()
    bucket = new_bucket(account)
    put(account, bucket, **{"1": b"first", "deep/0": b"zero"})
    where = {"S3Uri": f"s3://{bucket}/check"} | ({"LocalPath": path} if path else {})
    job = ScriptJob.create(
        account,
        RESTORE,
        bucket=bucket,
        hyperparameters={"folder": path or "/opt/ml/checkpoints"},
        CheckpointConfig=where,
    )
    found = job.findings()
    assert found["files"] == {"1": "first", "deep/0": "zero"}
    assert found["config"] == {"LocalPath": path or "/opt/ml/checkpoints"}
    assert get(account, bucket) == {"1": b"changed", "deep/0": b"zero", "deep/2": b"second"}
    assert set(job.model()) == {"findings.json"}


WRITE_AND_WAIT = """
import pathlib, time
pathlib.Path("/opt/ml/checkpoints/1").write_text("early")
pathlib.Path("/opt/ml/output/intermediate/note").write_text("meanwhile")
print("written", flush=True)
time.sleep(600)
"""


def test_checkpoints_and_intermediate_output_are_copied_while_the_program_runs(clary_server):
    account = clary_server.account()
    bucket = new_bucket(account)
    job = ScriptJob.create(
        account, WRITE_AND_WAIT, bucket=bucket, CheckpointConfig={"S3Uri": f"s3://{bucket}/check/"}
    )
    job.await_line("written")
    deadline = time.monotonic() + 60
    while not get(account, bucket) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert get(account, bucket) == {"1": b"early"}
    listed = account.client("s3").list_objects_v2(
        Bucket=bucket, Prefix=f"out/{job.name}/output/intermediate/"
    )
    assert [each["Key"].rpartition("/")[2] for each in listed["Contents"]] == ["note"]
    assert job.wait(until={"Training", *TERMINAL})["TrainingJobStatus"] == "InProgress"
    account.client("sagemaker").stop_training_job(TrainingJobName=job.name)
    assert job.wait()["TrainingJobStatus"] == "Stopped"


RESUME = """
import json, pathlib, signal, sys, time
point = pathlib.Path("/opt/ml/checkpoints/step")
start = int(point.read_text()) if point.exists() else 0
def leave(number, frame):
    print("told to leave", flush=True)
    point.write_text(str(step))
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
step = start
print(f"begins at {start}", flush=True)
while start == 0:
    step += 1
    time.sleep(0.01)
time.sleep(0.5)  # long enough to be seen in training: one interruption is one, however long the rest takes
pathlib.Path("/opt/ml/model/findings.json").write_text(json.dumps({"start": start}))
"""
SPOT: dict[str, Any] = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 600},
}


def interrupt(server: Any, job: Any) -> Any:
    where = {"account": job.account.account_id, "region": job.account.region, "name": job.name}
    control.ask(server.settings, "POST", "/internal/jobs/interrupt", where)


def test_an_interrupted_spot_job_goes_on_from_its_checkpoint(clary_server):
    account = clary_server.account()
    bucket = new_bucket(account)
    job = ScriptJob.create(
        account, RESUME, bucket=bucket, CheckpointConfig={"S3Uri": f"s3://{bucket}/check"}, **SPOT
    )
    job.await_line("begins at 0")
    interrupt(clary_server, job)
    described = job.completed()
    passed = [each["Status"] for each in described["SecondaryStatusTransitions"]]
    at = passed.index("Interrupted")
    assert passed[at:] == [
        "Interrupted", "Restarting", "Starting", "Downloading", "Training", "Uploading", "Completed",
    ]  # fmt: skip
    step = int(get(account, bucket)["step"])
    assert job.findings() == {"start": step}
    assert step > 0
    lines = job.lines()
    assert "told to leave" in lines
    assert f"begins at {step}" in lines


def test_a_stop_after_an_interruption_ends_the_job(clary_server):
    account = clary_server.account()
    job = ScriptJob.create(account, "import time; print('up', flush=True); time.sleep(600)", **SPOT)
    job.await_line("up")
    interrupt(clary_server, job)
    account.client("sagemaker").stop_training_job(TrainingJobName=job.name)
    assert job.wait()["TrainingJobStatus"] == "Stopped"


def test_only_spot_jobs_are_interrupted(clary_server):
    account = clary_server.account()
    job = ScriptJob.create(account, "import time; time.sleep(600)")
    with pytest.raises(SetupError, match="EnableManagedSpotTraining"):
        interrupt(clary_server, job)
    account.client("sagemaker").stop_training_job(TrainingJobName=job.name)
    assert job.wait()["TrainingJobStatus"] == "Stopped"


def test_spot_needs_a_wait_that_is_no_shorter_than_its_runtime(clary_server):
    account = clary_server.account()
    stopping = {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 60}
    with pytest.raises(ClientError, match="MaxWaitTimeInSeconds"):
        ScriptJob.create(account, "", EnableManagedSpotTraining=True, StoppingCondition=stopping)


def test_a_checkpoint_path_that_would_hide_the_system_is_refused(clary_server):
    account = clary_server.account()
    bucket = new_bucket(account)
    described = ScriptJob.create(
        account,
        "print('never')",
        bucket=bucket,
        CheckpointConfig={"S3Uri": f"s3://{bucket}/check", "LocalPath": "/usr"},
    ).wait()
    assert described["TrainingJobStatus"] == "Failed"
    assert '"/usr"' in described["FailureReason"]
