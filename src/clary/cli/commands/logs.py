"""`clary logs`: what a job printed, as CloudWatch Logs has it."""

import sys
import time
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import typer

from clary.cli import clients, options
from clary.cli.supervisor import state
from clary.cli.supervisor.state import Running
from clary.kernel.errors import SetupError

EXAMPLE = "clary logs my-training-job --follow"
EXIT_CODES = "0 printed; 1 no such job, or the job has Failed"
POLL_S = 0.25
UNKNOWN = {
    "ValidationException",
    "ResourceNotFound",
    "ResourceNotFoundException",
    "UnknownOperationException",
}
COLOURS = (36, 33, 35, 32, 34, 31)


class Kind(NamedTuple):
    """One kind of thing that has logs."""

    noun: str
    describe: str
    group: str
    ended: frozenset[str]


JOB_ENDED = frozenset({"Completed", "Failed", "Stopped"})
KINDS = (
    Kind("TrainingJob", "describe_training_job", "/aws/sagemaker/TrainingJobs", JOB_ENDED),
    Kind("ProcessingJob", "describe_processing_job", "/aws/sagemaker/ProcessingJobs", JOB_ENDED),
    Kind("TransformJob", "describe_transform_job", "/aws/sagemaker/TransformJobs", JOB_ENDED),
    Kind("Endpoint", "describe_endpoint", "/aws/sagemaker/Endpoints/{name}", frozenset({"Failed"})),
)
"""Names of the groups: reference of the SageMaker SDK (`sagemaker.local`, `session.logs_for_job`)."""


def logs(
    job: Annotated[
        str, typer.Argument(metavar="JOB", help="Name of a training, processing, transform job or endpoint.")
    ],
    is_following: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
    account: options.Account = "default",
    data_dir: options.DataDir = None,
) -> int:
    """Print the log of a job or endpoint. Each line begins with its host where there are several."""
    running = state.expect_running(options.settings_of(data_dir).data_dir)
    try:
        return _follow(running, account, job, is_following=is_following)
    except SetupError:
        raise
    except Exception as error:
        raise clients.explained(error) from None


def _follow(running: Running, account: str, job: str, *, is_following: bool) -> int:
    sagemaker: Any = clients.sagemaker(running, account)
    kind = _kind_of(sagemaker, job)
    reader = Reader(clients.logs(running, account), kind, job)
    while True:
        found = _describe(
            sagemaker, kind, job
        )  # before reading: what it printed before it ended is then read
        reader.print_new()
        status = found[f"{kind.noun}Status"]
        if status in kind.ended or not is_following:
            break
        time.sleep(POLL_S)
    if status == "Failed":
        sys.stdout.flush()
        raise SetupError(f"{job} has failed: {found.get('FailureReason', 'no reason was given')}")
    return 0


def _kind_of(sagemaker: Any, job: str) -> Kind:
    for kind in KINDS:
        try:
            _describe(sagemaker, kind, job)
        except Exception as error:
            if clients.code_of(error) not in UNKNOWN:
                raise
        else:
            return kind
    raise SetupError(f"there is no training, processing or transform job and no endpoint called {job!r}")


def _describe(sagemaker: Any, kind: Kind, job: str) -> dict[str, Any]:
    operation = getattr(sagemaker, kind.describe)
    found: dict[str, Any] = operation(**{f"{kind.noun}Name": job})
    return found


class Reader:
    """Reads what is new in every stream of a job."""

    def __init__(self, client: Any, kind: Kind, job: str) -> None:
        self._client = client
        self._group = kind.group.format(name=job)
        self._prefix = "" if "{" in kind.group else f"{job}/"
        self._tokens: dict[str, str | None] = {}

    def print_new(self) -> None:
        """Print the lines that came since the last call, oldest first."""
        for stream in self._streams():
            self._tokens.setdefault(stream, None)
        new = [
            (event["timestamp"], stream, event["message"])
            for stream in self._tokens
            for event in self._new(stream)
        ]
        new.sort(key=lambda each: each[0])
        for _, stream, message in new:
            for line in message.splitlines() or [""]:
                print(self._label(stream) + line)
        sys.stdout.flush()

    def _streams(self) -> list[str]:
        prefix = {"logStreamNamePrefix": self._prefix} if self._prefix else {}
        pages = self._client.get_paginator("describe_log_streams").paginate(
            logGroupName=self._group, **prefix
        )
        try:
            return sorted(each["logStreamName"] for page in pages for each in page["logStreams"])
        except self._client.exceptions.ResourceNotFoundException:
            return []  # nothing was printed yet

    def _new(self, stream: str) -> Iterator[dict[str, Any]]:
        while True:
            token = {"nextToken": self._tokens[stream]} if self._tokens[stream] else {}
            page = self._client.get_log_events(
                logGroupName=self._group, logStreamName=stream, startFromHead=True, **token
            )
            yield from page["events"]
            is_last = page["nextForwardToken"] == self._tokens[stream] or not page["events"]
            self._tokens[stream] = page["nextForwardToken"]
            if is_last:
                return

    def _label(self, stream: str) -> str:
        if len(self._tokens) < 2:
            return ""
        host = stream.rpartition("/")[2]
        host = "-".join(host.split("-")[:2]) if host.startswith("algo-") else host
        if not sys.stdout.isatty():
            return f"{host} | "
        return f"\033[{COLOURS[sorted(self._tokens).index(stream) % len(COLOURS)]}m{host}\033[0m | "
