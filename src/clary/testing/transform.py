"""Factories and waits for tests of batch transform: plain functions with defaults."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clary.kernel import ids
from clary.testing.jobs import SCIKIT_LEARN, XGBOOST, Account, new_bucket, pack, read_object

GROUP = "/aws/sagemaker/TransformJobs"


def create_model(account: Account, artefact: str, *, image: str = XGBOOST, **members: Any) -> str:
    """Create a model of one container and return its name."""
    name = f"model-{ids.short()}"
    account.client("sagemaker").create_model(
        ModelName=name,
        PrimaryContainer={"Image": image, "ModelDataUrl": artefact, **members},
        ExecutionRoleArn=account.role_arn,
    )
    return name


def script_container(account: Account, bucket: str, text: str, **environment: str) -> dict[str, Any]:
    """Return a container whose `inference.py` is `text`, for CreateModel."""
    key = f"models/{ids.short()}/model.tar.gz"
    account.client("s3").put_object(Bucket=bucket, Key=key, Body=pack({"code/inference.py": text}))
    return {
        "Image": SCIKIT_LEARN,
        "ModelDataUrl": f"s3://{bucket}/{key}",
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py", **environment},
    }


def transform_request(
    model: str,
    source: str,
    output: str,
    *,
    content_type: str = "text/csv",
    split: str = "Line",
    instances: int = 1,
    **members: Any,
) -> dict[str, Any]:
    """Return a CreateTransformJob request.

    Parameters
    ----------
    members : Any
        Members to add or set otherwise; those of a structure are set one by one.
    """
    request: dict[str, Any] = {
        "TransformJobName": f"transform-{ids.short()}",
        "ModelName": model,
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source}},
            "ContentType": content_type,
            "SplitType": split,
        },
        "TransformOutput": {"S3OutputPath": output, "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": instances},
    }
    for name, value in members.items():
        held = request.get(name)
        request[name] = {**held, **value} if isinstance(held, dict) and isinstance(value, dict) else value
    return request


@dataclass(frozen=True)
class Transform:
    """A transform job that was created."""

    account: Account
    request: Mapping[str, Any]

    @classmethod
    def create(cls, account: Account, model: str, source: str, **members: Any) -> "Transform":
        """Create a job whose output goes to a prefix of its own beside the source."""
        bucket = source.removeprefix("s3://").partition("/")[0]
        output = members.pop("output", f"s3://{bucket}/out-{ids.short()}")
        request = transform_request(model, source, output, **members)
        account.client("sagemaker").create_transform_job(**request)
        return cls(account, request)

    @property
    def name(self) -> str:
        """Of the job."""
        return str(self.request["TransformJobName"])

    @property
    def output(self) -> str:
        """`S3OutputPath`."""
        return str(self.request["TransformOutput"]["S3OutputPath"])

    def describe(self) -> dict[str, Any]:
        """Return DescribeTransformJob."""
        client = self.account.client("sagemaker")
        described: dict[str, Any] = client.describe_transform_job(TransformJobName=self.name)
        return described

    def wait(self, *, limit_s: float = 90.0) -> dict[str, Any]:
        """Return DescribeTransformJob once the job has ended."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            described = self.describe()
            if described["TransformJobStatus"] in {"Completed", "Failed", "Stopped"}:
                return described
            time.sleep(0.05)
        raise TimeoutError(f"{self.name} is still {described['TransformJobStatus']} after {limit_s} s")

    def outputs(self) -> dict[str, bytes]:
        """Return the output objects of the completed job, by their names below the output's prefix."""
        described = self.wait()
        assert described["TransformJobStatus"] == "Completed", described.get("FailureReason")
        return self.published()

    def published(self) -> dict[str, bytes]:
        """Return what lies below the output's prefix now."""
        bucket, _, prefix = self.output.removeprefix("s3://").partition("/")
        listed = self.account.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")
        keys = [each["Key"] for each in listed.get("Contents", ())]
        return {key[len(prefix) + 1 :]: read_object(self.account, f"s3://{bucket}/{key}") for key in keys}

    def lines(self, *, data_log: bool = False) -> list[str]:
        """Return the log lines of its models, or those of its data log."""
        logs = self.account.client("logs")
        try:
            found = logs.filter_log_events(logGroupName=GROUP, logStreamNamePrefix=f"{self.name}/")
        except logs.exceptions.ResourceNotFoundException:  # the account's first line is still to come
            return []
        return [
            event["message"]
            for event in found["events"]
            if event["logStreamName"].endswith("/data-log") == data_log
        ]


def upload(account: Account, files: Mapping[str, bytes], *, bucket: str = "") -> str:
    """Upload objects by key; return their bucket, a new one when none is given."""
    bucket = bucket or new_bucket(account)
    for key, body in files.items():
        account.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
    return bucket
