"""Clients of several nodes at once, that remember what they were promised, while control planes are killed.

creates · describes · jobs · invocations ──▶ nodes ◀── kill -9, one control plane after another
            └──▶ promises, faults, times ──▶ checked at the end through every node
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from clary.kernel import ids
from clary.testing.deployment import Deployment
from clary.testing.hosting import Hosting, saying
from clary.testing.jobs import script_request, upload_script, wait_for_job
from clary.testing.server import Account, ClaryServer

SCRIPT = """
import os, time
print("began", os.urandom(6).hex(), flush=True)
time.sleep({work_s})
with open(os.environ["SM_MODEL_DIR"] + "/model", "w") as file:
    file.write("done")
"""
"""Says in its log each time that it runs: a job that was doubled says it twice."""
WORD = "still here"
RETRIES = Config(proxies={}, retries={"mode": "standard"}, read_timeout=60)
"""As an unmodified boto3 in its standard mode: three attempts."""
EXISTS = frozenset({"ResourceInUse", "ValidationException"})
"""What Create answers when an earlier attempt, whose answer was lost, had been carried out."""
JOB_WITHIN_S = 120.0


@dataclass
class Onslaught:
    """One run of all of it.

    Parameters
    ----------
    account : Account
        As the first node's client has it.
    """

    deployment: Deployment
    account: Account
    promised: list[str] = field(default_factory=list)
    """Names of the experiments whose Create was acknowledged."""
    jobs: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Requests that failed after all their retries."""
    times_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    kills: list[float] = field(default_factory=list)
    n_repeated: Counter[str] = field(default_factory=Counter)
    """Creates that a retry found carried out."""
    _over: threading.Event = field(default_factory=threading.Event)

    def prepare(self) -> "Onslaught":
        """Start the endpoint that is asked, and upload the script of the jobs."""
        hosting = Hosting.of(self.account)
        variant = hosting.variant(hosting.model(saying(WORD)))
        self.endpoint = hosting.endpoint(hosting.config(variant))
        self.source = upload_script(self.account, hosting.bucket, SCRIPT.format(work_s=0.5))
        self.bucket = hosting.bucket
        return self

    def run(self, seconds: float, *, kill_every_s: float, n_clients: int = 2, n_trainers: int = 1) -> None:
        """Let every client work, and the killer, for so long."""
        threads = []
        for node in self.deployment.nodes:
            seen = self.deployment.seen_by(self.account, node)
            workers = [self._create, self._describe, self._invoke] * n_clients + [self._train] * n_trainers
            threads += [threading.Thread(target=self._guarded, args=(each, seen)) for each in workers]
        for each in threads:
            each.start()
        self._kill(seconds, kill_every_s)
        self._over.set()
        for each in threads:
            each.join()

    def check(self) -> list[str]:
        """Return what was promised and is not so, seen through every node."""
        wrong = list(self.faults)
        for node in self.deployment.nodes:
            sagemaker = self.deployment.seen_by(self.account, node).client("sagemaker")
            pages = sagemaker.get_paginator("list_experiments").paginate()
            found = Counter(each["ExperimentName"] for page in pages for each in page["ExperimentSummaries"])
            wrong += [f"experiment {name} is lost" for name in self.promised if not found[name]]
            wrong += [f"experiment {name} is listed {n} times" for name, n in found.items() if n > 1]
        for name in self.jobs:
            described = wait_for_job(self.account, name, limit_s=JOB_WITHIN_S)
            if described["TrainingJobStatus"] != "Completed":
                wrong.append(f"job {name} {described['TrainingJobStatus']}: {described.get('FailureReason')}")
            if len(begun := self._begun(name)) != 1:
                steps = described["SecondaryStatusTransitions"]
                history = [f"{each['Status']} {each.get('StatusMessage', '')}".strip() for each in steps]
                wrong.append(f"job {name} ran {len(set(begun))} times, by its log {begun}, through {history}")
        return wrong

    def _begun(self, name: str) -> list[str]:
        events = self.account.client("logs").get_paginator("filter_log_events")
        pages = events.paginate(
            logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/algo-1-"
        )
        lines = [
            f"{event['logStreamName']} {event['timestamp']} {event['message']}"
            for page in pages
            for event in page["events"]
        ]
        return [line for line in lines if " began " in line]

    # What threads do.

    def _guarded(self, work: Callable[[Account], None], account: Account) -> None:
        try:
            work(account)
        except Exception as error:
            self.faults.append(f"{work.__name__}: {type(error).__name__}: {error}")

    def _kill(self, seconds: float, every_s: float) -> None:
        end = time.monotonic() + seconds
        for turn in count():
            if self._over.wait(min(every_s, max(0.0, end - time.monotonic()))) or time.monotonic() >= end:
                return
            node, *others = self._from(turn)
            while not any(self.deployment.has_control(each) for each in others):  # nobody would be left
                if self._over.wait(0.05) or time.monotonic() >= end:
                    return
            self.deployment.kill_control(node)
            self.kills.append(time.monotonic())

    def _from(self, turn: int) -> list[ClaryServer]:
        nodes = self.deployment.nodes
        return [nodes[(turn + n) % len(nodes)] for n in range(len(nodes))]

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            self.faults.append(f"{what}: {error}")
        finally:
            self.times_s[what].append(time.monotonic() - began)

    def _create(self, account: Account) -> None:
        sagemaker = _client(account, "sagemaker")
        while not self._over.wait(0.02):
            name = f"made-{ids.short(12)}"
            with self._asked("create"):
                self._acknowledged(name, lambda name=name: sagemaker.create_experiment(ExperimentName=name))  # type: ignore[misc]
                self.promised.append(name)

    def _acknowledged(self, name: str, create: Callable[[], Any]) -> None:
        try:
            create()
        except ClientError as error:
            is_there = error.response["Error"]["Code"] in EXISTS and name in str(error)
            if not is_there or not error.response["ResponseMetadata"]["RetryAttempts"]:
                raise
            self.n_repeated[name.partition("-")[0]] += 1

    def _describe(self, account: Account) -> None:
        sagemaker = _client(account, "sagemaker")
        for turn in count():
            if self._over.wait(0.02):
                return
            if self.promised:
                name = self.promised[(turn * 7919) % len(self.promised)]
                with self._asked("describe"):
                    sagemaker.describe_experiment(ExperimentName=name)

    def _invoke(self, account: Account) -> None:
        runtime = _client(account, "sagemaker-runtime")
        while not self._over.wait(0.02):
            with self._asked("invoke"):
                answer = runtime.invoke_endpoint(EndpointName=self.endpoint, Body=b"?")["Body"].read()
                assert answer.decode() == WORD, answer

    def _train(self, account: Account) -> None:
        sagemaker = _client(account, "sagemaker")
        while not self._over.is_set():
            request = script_request(account, self.bucket, self.source, instance_type="ml.t3.medium")
            name = request["TrainingJobName"]
            with self._asked("train"):
                self._acknowledged(name, lambda request=request: sagemaker.create_training_job(**request))  # type: ignore[misc]
                self.jobs.append(name)
                wait_for_job(account, name, limit_s=JOB_WITHIN_S)


def _client(account: Account, service: str) -> Any:
    return account.client(service, config=RETRIES)
