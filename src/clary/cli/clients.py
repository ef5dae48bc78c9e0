"""boto3 clients of a running Clary, for commands that are users of the public API."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clary.cli import credentials
from clary.cli.supervisor.state import Running
from clary.kernel.errors import SetupError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_sagemaker import SageMakerClient


def client(running: Running, service: str, account: str = "default", *, timeout_s: float = 10.0) -> Any:
    """Return a boto3 client that acts in `account`."""
    import boto3  # noqa: PLC0415 - 0.2 s that `clary env` must not pay
    from botocore.config import Config  # noqa: PLC0415

    for name in (
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
    ):  # botocore insists that it exists, though it is not used
        os.environ.pop(name, None)
    keys = credentials.find(Path(running.data_dir), account)
    return boto3.Session(
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        region_name=running.region,
    ).client(
        service,  # type: ignore[call-overload]
        endpoint_url=running.url,
        config=Config(
            proxies={}, connect_timeout=timeout_s, read_timeout=timeout_s, retries={"total_max_attempts": 3}
        ),
    )


def sagemaker(running: Running, account: str = "default", *, timeout_s: float = 10.0) -> "SageMakerClient":
    """Return the client of the control plane's main service."""
    made: SageMakerClient = client(running, "sagemaker", account, timeout_s=timeout_s)
    return made


def logs(running: Running, account: str = "default") -> "CloudWatchLogsClient":
    """Return the client of the log service."""
    made: CloudWatchLogsClient = client(running, "logs", account)
    return made


def code_of(error: Exception) -> str:
    """Return AWS's code of a client's error; empty for any other error."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def explained(error: Exception) -> SetupError:
    """Return a client's error as one line."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return SetupError(f"{response['Error'].get('Message') or code_of(error)}")
    return SetupError(f"Clary does not answer: {error}")
