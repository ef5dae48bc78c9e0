"""`clary notebook`: run a notebook as a job, now or on a schedule."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from clary.cli import clients, options
from clary.cli.supervisor import state
from clary.cli.supervisor.state import Running
from clary.kernel import ids
from clary.kernel.errors import SetupError

EXAMPLE = "clary notebook report.ipynb --parameter day=2026-01-31 --schedule 'cron(0 6 * * ? *)'"
EXIT_CODES = "0 the notebook ran, or is scheduled; 1 it did not run well, and its last line says why"
ENDED = frozenset({"Completed", "Failed", "Stopped"})
LOG_GROUP = "/aws/scheduler"
POLL_S = 0.2
FOLDER = "/opt/ml/processing"


def notebook(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The notebook.")],
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="For the cell tagged `parameters`."),
    ] = None,
    output: Annotated[str, typer.Option(help="S3 prefix for the result, as notebook and HTML.")] = "",
    instance_type: Annotated[str, typer.Option(help="What it may use.")] = "ml.m5.large",
    kernel: Annotated[str, typer.Option(help="Kernel; default: the notebook's own.")] = "",
    schedule: Annotated[
        str, typer.Option(help="Run it at times: rate(1 hour), cron(0 6 * * ? *) or at(2026-01-31T06:00:00).")
    ] = "",
    name: Annotated[str, typer.Option(help="Name of the job or schedule; default: from the file's.")] = "",
    account: options.Account = "default",
    data_dir: options.DataDir = None,
) -> None:
    """Run a notebook as a job; its result, as notebook and as HTML, is kept in S3."""
    running = state.expect_running(options.settings_of(data_dir).data_dir)
    name = name or f"{_plain(file.stem)}-{ids.short(6)}"
    try:
        place = output.rstrip("/") or f"s3://{_bucket(running, account)}/notebooks/{name}"
        source = f"{place}/input"
        bucket, _, key = source.removeprefix("s3://").partition("/")
        clients.client(running, "s3", account).upload_file(str(file), bucket, f"{key}/{file.name}")
        asked = ["--notebook", f"{FOLDER}/input/notebook/{file.name}"]
        asked += [word for each in parameter or () for word in ("--parameter", each)]
        asked += ["--kernel", kernel] if kernel else []
        role = _role(running, account)
        job = f"{name[:40]}-<aws.scheduler.execution-id>" if schedule else name
        request = _request(job, role, instance_type, source, f"{place}/{job}" if schedule else place, asked)
        if schedule:
            _schedule(running, account, name, schedule, role, request)
            print(f"{name} is scheduled: {schedule}. Results go to {place}/, faults to the log {LOG_GROUP}.")
            return
        clients.sagemaker(running, account).create_processing_job(**request)
        print(f"{name} runs; `clary logs {name}` shows what it prints.", flush=True)
        found = _wait(running, account, name)
    except SetupError:
        raise
    except Exception as error:
        raise clients.explained(error) from None
    if found["ProcessingJobStatus"] != "Completed":
        reason = found.get("FailureReason", "it was stopped")
        raise SetupError(f"{name} did not complete: {reason}. What ran is in {place}/.")
    print(f"{place}/{file.name}\n{place}/{file.stem}.html")


def _request(
    name: str, role: str, instance_type: str, source: str, output: str, asked: list[str]
) -> dict[str, Any]:
    """Return the CreateProcessingJob request of a run."""
    into = {"S3Uri": source, "LocalPath": f"{FOLDER}/input/notebook"}
    out = {"S3Uri": output, "LocalPath": f"{FOLDER}/output/notebook", "S3UploadMode": "Continuous"}
    return {
        "ProcessingJobName": name,
        "RoleArn": role,
        "AppSpecification": {"ImageUri": "clary-notebook:latest", "ContainerArguments": asked},
        "ProcessingInputs": [
            {
                "InputName": "notebook",
                "S3Input": {**into, "S3DataType": "S3Prefix", "S3InputMode": "File"},
            }
        ],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "notebook", "S3Output": out}]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": instance_type, "InstanceCount": 1, "VolumeSizeInGB": 5}
        },
    }


def _schedule(
    running: Running, account: str, name: str, expression: str, role: str, request: Mapping[str, Any]
) -> None:
    clients.client(running, "scheduler", account).create_schedule(
        Name=name,
        ScheduleExpression=expression,
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:sagemaker:createProcessingJob",
            "RoleArn": role,
            "Input": json.dumps(request),
        },
    )


def _wait(running: Running, account: str, name: str) -> Mapping[str, Any]:
    client = clients.sagemaker(running, account)
    while True:
        found: Mapping[str, Any] = client.describe_processing_job(ProcessingJobName=name)
        if found["ProcessingJobStatus"] in ENDED:
            return found
        time.sleep(POLL_S)


def _role(running: Running, account: str) -> str:
    """Return the role that the account's own key speaks for."""
    parts = clients.client(running, "sts", account).get_caller_identity()["Arn"].split(":")
    return f"arn:aws:iam::{parts[4]}:role/{parts[5].split('/')[1]}"


def _bucket(running: Running, account: str) -> str:
    """Return the SDKs' default bucket, made where it is missing."""
    owner = clients.client(running, "sts", account).get_caller_identity()["Account"]
    name = f"sagemaker-{running.region}-{owner}"
    client = clients.client(running, "s3", account)
    if name not in [each["Name"] for each in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=name)
    return name


def _plain(stem: str) -> str:
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in stem)
    return "-".join(filter(None, kept.split("-")))[:40] or "notebook"
