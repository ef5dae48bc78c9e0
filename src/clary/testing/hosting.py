"""Factories for tests of endpoints: models made of a few lines, endpoints of them, clients without rest."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from clary.kernel import ids
from clary.testing.jobs import SCIKIT_LEARN, Account, new_bucket, pack, wait_for_endpoint

SAYING = """
import json, os, time

def model_fn(model_dir):
    return {said!r}

def transform_fn(model, data, content_type, accept):
    time.sleep({takes_s})
    return model, "text/plain"
"""
"""A model that answers every question with one word."""


def saying(word: str, takes_s: float = 0.0) -> str:
    """Return the script of a model that answers every question with `word`."""
    return SAYING.format(said=word, takes_s=takes_s)


@dataclass(frozen=True)
class Hosting:
    """An account's models and endpoints in one test; `close` deletes the endpoints."""

    account: Account
    bucket: str
    endpoints: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, account: Account) -> "Hosting":
        """Return that of an account, with a bucket of its own."""
        return cls(account, new_bucket(account))

    @property
    def sagemaker(self) -> Any:
        """Client of the control plane."""
        return self.account.client("sagemaker")

    @property
    def runtime(self) -> Any:
        """Client of the data plane."""
        return self.account.client("sagemaker-runtime")

    def artefact(self, script: str) -> str:
        """Upload a `model.tar.gz` with `code/inference.py`; return its URI."""
        key = f"models/{ids.short()}/model.tar.gz"
        body = pack({"code/inference.py": script})
        self.account.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)
        return f"s3://{self.bucket}/{key}"

    def container(self, script: str) -> dict[str, Any]:
        """Return the container of a model that runs `script`."""
        return {
            "Image": SCIKIT_LEARN,
            "ModelDataUrl": self.artefact(script),
            "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
        }

    def model(self, script: str) -> str:
        """Create a model of a script; return its name."""
        name = f"model-{ids.short()}"
        self.sagemaker.create_model(
            ModelName=name, PrimaryContainer=self.container(script), ExecutionRoleArn=self.account.role_arn
        )
        return name

    def variant(self, model: str, name: str = "AllTraffic", **members: Any) -> dict[str, Any]:
        """Return a production variant of one instance."""
        return {
            "VariantName": name,
            "ModelName": model,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": 1.0,
            **members,
        }

    def config(self, *variants: Mapping[str, Any], **members: Any) -> str:
        """Create a configuration; return its name."""
        name = f"config-{ids.short()}"
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=list(variants), **members
        )
        return name

    def endpoint(self, config: str, **members: Any) -> str:
        """Create an endpoint and wait until it is in service; return its name."""
        name = f"ep-{ids.short()}"
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config, **members)
        self.endpoints.append(name)
        described = wait_for_endpoint(self.account, name)
        assert described["EndpointStatus"] == "InService", described.get("FailureReason")
        return name

    def describe(self, endpoint: str) -> dict[str, Any]:
        """Return DescribeEndpoint."""
        described: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=endpoint)
        return described

    def settled(self, endpoint: str, *, limit_s: float = 120.0) -> dict[str, Any]:
        """Return DescribeEndpoint once the endpoint stands still."""
        return wait_for_endpoint(self.account, endpoint, limit_s=limit_s)

    def ask(self, endpoint: str, body: bytes = b"?", **members: Any) -> str:
        """Return an endpoint's answer."""
        members.setdefault("ContentType", "text/plain")
        answer = self.runtime.invoke_endpoint(EndpointName=endpoint, Body=body, **members)
        text: str = answer["Body"].read().decode()
        return text

    def shares(self, endpoint: str, n: int) -> Counter[str]:
        """Return how often each answer comes in `n` questions."""
        return Counter(self.ask(endpoint) for _ in range(n))

    def close(self) -> None:
        """Delete the endpoints; those still on their way are let be."""
        for name in self.endpoints:
            try:
                self.sagemaker.delete_endpoint(EndpointName=name)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ValidationException":
                    raise


class Hammer:
    """Clients that ask without rest, and count what they are answered.

    Parameters
    ----------
    ask : callable
        One question; what it returns is counted, what it raises is kept.
    n_clients : int
        How many ask at a time.
    """

    def __init__(self, ask: Callable[[], str], n_clients: int = 4) -> None:
        self._ask = ask
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(n_clients)]
        self.answers: Counter[str] = Counter()
        self.errors: list[BaseException] = []

    def __enter__(self) -> "Hammer":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                self.answers[self._ask()] += 1
            except BaseException as error:
                self.errors.append(error)


@dataclass
class Crowd:
    """Clients that ask without rest and without trying again, and remember when they were answered what."""

    client: Callable[..., Any]
    """Makes a boto3 client, as `Account.client` of a server does."""
    endpoint: str
    n_clients: int = 4
    body: bytes = b"?"
    heard: list[tuple[float, float, str]] = field(default_factory=list)
    """When one asked, when it was answered, and what."""
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Crowd":
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(self.n_clients)]
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for each in self._threads:
            each.join()

    def _run(self) -> None:
        once = Config(proxies={}, retries={"total_max_attempts": 1})
        runtime = self.client("sagemaker-runtime", config=once)
        while not self._end.is_set():
            asked = time.monotonic()
            try:
                answer = runtime.invoke_endpoint(EndpointName=self.endpoint, Body=self.body)
                found = answer["Body"].read().decode()
            except ClientError as error:
                found = str(error.response["ResponseMetadata"]["HTTPStatusCode"])
            self.heard.append((asked, time.monotonic(), found))
