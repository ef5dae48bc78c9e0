"""Factories and waits for tests that run jobs through boto3: plain functions with defaults."""

import io
import json
import tarfile
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from clary.kernel import ids

XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
SCIKIT_LEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
TERMINAL = frozenset({"Completed", "Failed", "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"})


class Account(Protocol):
    """What a test sees of an account."""

    account_id: str
    role_arn: str

    def client(self, service: str) -> Any:
        """Return a boto3 client with the account's keys."""
        ...


def new_bucket(account: Account) -> str:
    """Make a bucket of the account's and return its name."""
    name = f"test-{ids.short()}"
    account.client("s3").create_bucket(Bucket=name)
    return name


def upload_csv(account: Account, key: str, rows: Any, *, bucket: str | None = None) -> str:
    """Upload rows as CSV without a header; return the bucket, a new one when none is given."""
    bucket = bucket or new_bucket(account)
    text = io.StringIO()
    np.savetxt(text, rows, delimiter=",", fmt="%.6g")
    account.client("s3").put_object(Bucket=bucket, Key=key, Body=text.getvalue().encode())
    return bucket


def training_request(
    account: Account,
    bucket: str,
    *,
    channels: Iterable[str] = ("train",),
    hyperparameters: Mapping[str, str] | None = None,
    image: str = XGBOOST,
) -> dict[str, Any]:
    """Return a CreateTrainingJob request for built-in XGBoost on CSV."""
    return {
        "TrainingJobName": f"job-{ids.short()}",
        "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
        "RoleArn": account.role_arn,
        "HyperParameters": dict(
            hyperparameters or {"num_round": "10", "objective": "binary:logistic", "eval_metric": "auc"}
        ),
        "InputDataConfig": [channel(bucket, name) for name in channels],
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }


def upload_script(account: Account, bucket: str, text: str, *, key: str = "source/sourcedir.tar.gz") -> str:
    """Upload a `sourcedir.tar.gz` with one file, `train.py`; return its URI."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("train.py")
        member.size = len(text.encode())
        archive.addfile(member, io.BytesIO(text.encode()))
    account.client("s3").put_object(Bucket=bucket, Key=key, Body=packed.getvalue())
    return f"s3://{bucket}/{key}"


def script_request(
    account: Account,
    bucket: str,
    source: str,
    *,
    channels: Iterable[str] = (),
    image: str = SCIKIT_LEARN,
    instance_type: str = "ml.m5.large",
) -> dict[str, Any]:
    """Return a CreateTrainingJob request for the script that `upload_script` put at `source`."""
    request = training_request(account, bucket, channels=channels, image=image)
    if not request["InputDataConfig"]:
        del request["InputDataConfig"]
    request["ResourceConfig"]["InstanceType"] = instance_type
    request["HyperParameters"] = {
        "sagemaker_program": json.dumps("train.py"),
        "sagemaker_submit_directory": json.dumps(source),
    }
    return request


def channel(bucket: str, name: str, *, content_type: str = "text/csv", **source: Any) -> dict[str, Any]:
    """Return a File-mode channel of the prefix that has its name."""
    return {
        "ChannelName": name,
        "ContentType": content_type,
        "DataSource": {
            "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{name}", **source}
        },
    }


def wait_for_job(
    account: Account, name: str, *, until: Collection[str] = TERMINAL, limit_s: float = 60.0
) -> dict[str, Any]:
    """Return DescribeTrainingJob once its secondary status is one of `until`."""
    client = account.client("sagemaker")
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        described: dict[str, Any] = client.describe_training_job(TrainingJobName=name)
        if described["SecondaryStatus"] in until:
            return described
        time.sleep(0.05)
    raise TimeoutError(f"{name} is still {described['SecondaryStatus']} after {limit_s} s")


def wait_for_endpoint(account: Account, name: str, *, limit_s: float = 60.0) -> dict[str, Any]:
    """Return DescribeEndpoint once it stands still."""
    client = account.client("sagemaker")
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        described: dict[str, Any] = client.describe_endpoint(EndpointName=name)
        if described["EndpointStatus"] in {"InService", "Failed"}:
            return described
        time.sleep(0.05)
    raise TimeoutError(f"{name} is still {described['EndpointStatus']} after {limit_s} s")
