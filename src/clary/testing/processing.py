"""Factories and waits for tests that run processing jobs through boto3."""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clary.kernel import ids
from clary.testing.jobs import SCIKIT_LEARN, Account, new_bucket, read_object

INPUT = "/opt/ml/processing/input"
OUTPUT = "/opt/ml/processing/output"
ENDED = frozenset({"Completed", "Failed", "Stopped"})


def s3_input(name: str, uri: str, *, path: str = "", **members: str) -> dict[str, Any]:
    """Return a member of `ProcessingInputs`."""
    source = {"S3Uri": uri, "LocalPath": path or f"{INPUT}/{name}", "S3DataType": "S3Prefix", **members}
    return {"InputName": name, "S3Input": source}


def s3_output(name: str, uri: str, *, path: str = "", mode: str = "EndOfJob") -> dict[str, Any]:
    """Return a member of `ProcessingOutputConfig.Outputs`."""
    target = {"S3Uri": uri, "LocalPath": path or f"{OUTPUT}/{name}", "S3UploadMode": mode}
    return {"OutputName": name, "S3Output": target}


def processing_request(
    account: Account,
    entrypoint: Sequence[str] = ("python3", f"{INPUT}/code/script.py"),
    *,
    inputs: Sequence[Mapping[str, Any]] = (),
    outputs: Sequence[Mapping[str, Any]] = (),
    instances: int = 1,
    image: str = SCIKIT_LEARN,
    **members: Any,
) -> dict[str, Any]:
    """Return a CreateProcessingJob request."""
    cluster = {"InstanceType": "ml.t3.medium", "InstanceCount": instances, "VolumeSizeInGB": 5}
    application = {"ImageUri": image, "ContainerEntrypoint": list(entrypoint)}
    return {
        "ProcessingJobName": f"job-{ids.short()}",
        "AppSpecification": application,
        "RoleArn": account.role_arn,
        "ProcessingInputs": list(inputs),
        "ProcessingOutputConfig": {"Outputs": list(outputs)},
        "ProcessingResources": {"ClusterConfig": cluster},
        **members,
    }


@dataclass(frozen=True)
class ProcessingScript:
    """A processing job that runs one script, and was created."""

    account: Account
    bucket: str
    name: str
    uris: Mapping[str, str] = field(default_factory=dict)
    """Of its outputs, by name."""

    @classmethod
    def create(
        cls,
        account: Account,
        text: str,
        *,
        bucket: str = "",
        inputs: Sequence[Mapping[str, Any]] = (),
        outputs: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        **members: Any,
    ) -> "ProcessingScript":
        """Upload `text` as `script.py` and create a job that runs it.

        Parameters
        ----------
        outputs : mapping, optional
            Upload mode by name; without any, one output `out` at the end of the job.
        members : Any
            Keywords of `processing_request`, and members of CreateProcessingJob to add or set otherwise.
        """
        bucket = bucket or new_bucket(account)
        mark = ids.short()
        code = f"s3://{bucket}/code/{mark}/script.py"
        account.client("s3").put_object(Bucket=bucket, Key=f"code/{mark}/script.py", Body=text.encode())
        uris = {name: f"s3://{bucket}/out/{mark}/{name}" for name in outputs or {"out": ""}}
        modes = outputs or {"out": "EndOfJob"}
        request = processing_request(
            account,
            inputs=[s3_input("code", code), *inputs],
            outputs=[s3_output(name, uri, mode=modes[name]) for name, uri in uris.items()],
            **members,
        )
        if arguments:
            request["AppSpecification"]["ContainerArguments"] = list(arguments)
        account.client("sagemaker").create_processing_job(**request)
        return cls(account, bucket, request["ProcessingJobName"], uris)

    def describe(self) -> dict[str, Any]:
        """Return DescribeProcessingJob."""
        found: dict[str, Any] = self.account.client("sagemaker").describe_processing_job(
            ProcessingJobName=self.name
        )
        return found

    def wait(self, *, until: Collection[str] = ENDED, limit_s: float = 120.0) -> dict[str, Any]:
        """Return DescribeProcessingJob once its status is one of `until`."""
        deadline = time.monotonic() + limit_s
        while (described := self.describe())["ProcessingJobStatus"] not in until:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} is {described['ProcessingJobStatus']} after {limit_s} s")
            time.sleep(0.05)
        return described

    def completed(self, *, limit_s: float = 120.0) -> dict[str, Any]:
        """Return DescribeProcessingJob of the completed job."""
        described = self.wait(limit_s=limit_s)
        assert described["ProcessingJobStatus"] == "Completed", described.get("FailureReason")
        return described

    def keys(self, output: str = "out") -> set[str]:
        """Return the names of what lies below an output."""
        bucket, _, prefix = self.uris[output].removeprefix("s3://").partition("/")
        listed = self.account.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")
        return {each["Key"].removeprefix(f"{prefix}/") for each in listed.get("Contents", ())}

    def read(self, name: str, output: str = "out") -> bytes:
        """Return one file of an output."""
        return read_object(self.account, f"{self.uris[output]}/{name}")

    def findings(self, name: str = "findings.json", output: str = "out") -> Any:
        """Return what the script wrote as JSON, once it has completed."""
        self.completed()
        return json.loads(self.read(name, output))

    def lines(self) -> list[str]:
        """Return the log lines of all its hosts; none before the first is there."""
        logs = self.account.client("logs")
        group = "/aws/sagemaker/ProcessingJobs"
        try:
            found = logs.filter_log_events(logGroupName=group, logStreamNamePrefix=f"{self.name}/")
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in found["events"]]

    def await_line(self, text: str, *, limit_s: float = 120.0) -> None:
        """Wait until the job has printed a line that holds `text`."""
        deadline = time.monotonic() + limit_s
        while not any(text in line for line in self.lines()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} printed no {text!r}: {self.lines()[-5:]}")
            time.sleep(0.05)
