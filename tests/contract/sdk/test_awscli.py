"""The AWS command line, unmodified, against a live Clary."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from clary.kernel import ids
from clary.testing.jobs import XGBOOST

Aws = Callable[..., str]


def test_aws_trains_looks_and_carries_files(aws: Aws, tmp_path: Path) -> None:
    caller = json.loads(aws("sts", "get-caller-identity"))
    role = f"arn:aws:iam::{caller['Account']}:role/{caller['Arn'].split('/')[1]}"
    bucket, name = f"cli-{ids.short()}", f"cli-{ids.short()}"
    aws("s3", "mb", f"s3://{bucket}")
    rng = np.random.default_rng(7)
    features = rng.normal(size=(200, 3))
    rows = np.column_stack([features[:, 0] > 0, features])
    np.savetxt(tmp_path / "train.csv", rows, delimiter=",", fmt="%.5f")
    aws("s3", "cp", "train.csv", f"s3://{bucket}/train/train.csv")
    assert aws("s3", "ls", f"s3://{bucket}/train/").split()[-1] == "train.csv"

    request = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": XGBOOST, "TrainingInputMode": "File"},
        "RoleArn": role,
        "HyperParameters": {"num_round": "5", "objective": "binary:logistic"},
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "ContentType": "text/csv",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/train/"}},
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 300},
    }
    (tmp_path / "job.json").write_text(json.dumps(request))
    made = json.loads(aws("sagemaker", "create-training-job", "--cli-input-json", "file://job.json"))
    assert made["TrainingJobArn"].endswith(f":training-job/{name}")
    query = ("--query", "TrainingJobStatus", "--output", "text")
    deadline = time.monotonic() + 60
    while aws("sagemaker", "describe-training-job", "--training-job-name", name, *query) == "InProgress\n":
        assert time.monotonic() < deadline
    aws("sagemaker", "wait", "training-job-completed-or-stopped", "--training-job-name", name)

    listed = json.loads(
        aws("sagemaker", "list-training-jobs", "--status-equals", "Completed", "--max-items", "5")
    )
    assert [each["TrainingJobName"] for each in listed["TrainingJobSummaries"]] == [name]
    group = ("--log-group-name", "/aws/sagemaker/TrainingJobs")
    streams = json.loads(aws("logs", "describe-log-streams", *group, "--log-stream-name-prefix", name))
    stream = streams["logStreams"][0]["logStreamName"]
    events = json.loads(
        aws("logs", "get-log-events", *group, "--log-stream-name", stream, "--start-from-head")
    )
    assert any("train-logloss" in event["message"] for event in events["events"])

    aws("s3", "sync", f"s3://{bucket}/out", "down")
    assert [path.name for path in (tmp_path / "down").rglob("*") if path.is_file()] == ["model.tar.gz"]
    (tmp_path / "down/more.txt").write_text("more")
    os.utime(tmp_path / "down/more.txt", (0, 0))  # S3 tells whole seconds only
    assert "upload: down/more.txt" in aws("s3", "sync", "down", f"s3://{bucket}/out", "--no-progress")
    assert aws("s3", "sync", "down", f"s3://{bucket}/out", "--no-progress") == ""
    aws("s3", "rb", f"s3://{bucket}", "--force")
    assert bucket not in aws("s3", "ls")
