"""Factories and waits for tests that run jobs through boto3: plain functions with defaults."""

import io
import json
import tarfile
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from clary.kernel import ids

XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
SCIKIT_LEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
TERMINAL = frozenset({"Completed", "Failed", "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"})


class Account(Protocol):
    """What a test sees of an account."""

    @property
    def account_id(self) -> str:
        """Its twelve digits."""
        ...

    @property
    def role_arn(self) -> str:
        """The role that its jobs run as."""
        ...

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


def pack(files: Mapping[str, str | bytes]) -> bytes:
    """Return a gzipped tar of files by name."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            body = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return packed.getvalue()


def unpack(body: bytes) -> dict[str, bytes]:
    """Return the files of a gzipped tar by name."""
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as archive:
        opened = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        return {name: file.read() for name, file in opened.items() if file is not None}


def read_object(account: Account, uri: str) -> bytes:
    """Return an object's bytes."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body: bytes = account.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def upload_script(account: Account, bucket: str, text: str, *, key: str = "source/sourcedir.tar.gz") -> str:
    """Upload a `sourcedir.tar.gz` with one file, `train.py`; return its URI."""
    account.client("s3").put_object(Bucket=bucket, Key=key, Body=pack({"train.py": text}))
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
    account: Account, name: str, *, until: Collection[str] = TERMINAL, limit_s: float = 120.0
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


def wait_for_endpoint(account: Account, name: str, *, limit_s: float = 120.0) -> dict[str, Any]:
    """Return DescribeEndpoint once it stands still."""
    client = account.client("sagemaker")
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        described: dict[str, Any] = client.describe_endpoint(EndpointName=name)
        if described["EndpointStatus"] in {"InService", "Failed"}:
            return described
        time.sleep(0.05)
    raise TimeoutError(f"{name} is still {described['EndpointStatus']} after {limit_s} s")


@dataclass(frozen=True)
class ScriptJob:
    """A script-mode training job that was created."""

    account: Account
    bucket: str
    name: str

    @classmethod
    def create(
        cls,
        account: Account,
        text: str,
        *,
        bucket: str = "",
        hyperparameters: Mapping[str, str] | None = None,
        image: str = SCIKIT_LEARN,
        instances: int = 1,
        **members: Any,
    ) -> "ScriptJob":
        """Upload `text` as `train.py` and create a job that runs it.

        Parameters
        ----------
        bucket : str
            Bucket of the account for all that the job reads and writes; a new one when none is given.
        hyperparameters : mapping, optional
            Of the script, beside those that name it.
        members : Any
            Members of CreateTrainingJob to add or set otherwise.
        """
        bucket = bucket or new_bucket(account)
        source = upload_script(account, bucket, text, key=f"source/{ids.short()}/sourcedir.tar.gz")
        request = script_request(account, bucket, source, image=image) | members
        request["HyperParameters"] |= hyperparameters or {}
        request["ResourceConfig"] |= {"InstanceCount": instances}
        account.client("sagemaker").create_training_job(**request)
        return cls(account, bucket, request["TrainingJobName"])

    def wait(self, *, until: Collection[str] = TERMINAL, limit_s: float = 120.0) -> dict[str, Any]:
        """Return DescribeTrainingJob once its secondary status is one of `until`."""
        return wait_for_job(self.account, self.name, until=until, limit_s=limit_s)

    def completed(self, *, limit_s: float = 120.0) -> dict[str, Any]:
        """Return DescribeTrainingJob of the completed job."""
        described = self.wait(limit_s=limit_s)
        assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
        return described

    def model(self) -> dict[str, bytes]:
        """Return the files of the model artefact, once the job has completed."""
        return unpack(read_object(self.account, self.completed()["ModelArtifacts"]["S3ModelArtifacts"]))

    def findings(self, name: str = "findings.json") -> Any:
        """Return what the script wrote as JSON to `/opt/ml/model`."""
        return json.loads(self.model()[name])

    def lines(self) -> list[str]:
        """Return the log lines of all its hosts; none before the account's first line is there."""
        logs = self.account.client("logs")
        try:
            events = logs.filter_log_events(
                logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{self.name}/"
            )["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in events]

    def await_line(self, text: str, *, limit_s: float = 90.0) -> None:
        """Wait until the job has printed a line that holds `text`."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if any(text in line for line in self.lines()):
                return
            time.sleep(0.05)
        raise TimeoutError(f"{self.name} printed no {text!r} within {limit_s} s: {self.lines()[-5:]}")
