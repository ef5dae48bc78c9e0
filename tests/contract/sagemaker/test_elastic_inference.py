"""AcceleratorType through boto3: one accelerator shared, refused beyond its capacity, guarded, measured."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from clary.testing.hosting import Hosting
from clary.testing.jobs import training_request, upload_csv, wait_for_job
from clary.testing.server import ClaryServer

COUNTING = """
import os, threading

def model_fn(model_dir):
    return {name!r}

def predict_fn(data, model):
    if data == "loop":
        while True:
            try:
                sum(range(1000))
            except Exception:
                pass
    if data == "die":
        os.kill(os.getpid(), 9)
    if data == "grow":
        model = bytearray(3 << 30)
        for at in range(0, len(model), 4096):
            model[at] = 1
        threading.Event().wait(20)
    return f"{{model}} {{data}} {{'CLARY_ACCELERATOR_TOKEN' in os.environ}}"

def input_fn(data, content_type):
    return data.decode() if isinstance(data, bytes) else data

def output_fn(prediction, accept):
    return prediction, "text/plain"
"""


@pytest.fixture
def hosting(clary_server: Any) -> Iterator[Hosting]:
    made = Hosting.of(clary_server.account())
    yield made
    made.close()
    for name in made.endpoints:  # the accelerator is free for the next test
        made.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})


def model(hosting: Hosting, word: str = "one", **environment: str) -> str:
    container = hosting.container(COUNTING.format(name=word))
    container["Environment"] |= environment
    name = f"model-{word}-{os.urandom(4).hex()}"
    hosting.sagemaker.create_model(
        ModelName=name, PrimaryContainer=container, ExecutionRoleArn=hosting.account.role_arn
    )
    return name


def deployed(hosting: Hosting, word: str = "one", kind: str = "ml.eia2.medium", **environment: str) -> str:
    made = model(hosting, word, **environment)
    return hosting.endpoint(hosting.config(hosting.variant(made, AcceleratorType=kind)))


def ask_once(hosting: Hosting, endpoint: str, body: bytes) -> None:
    account: Any = hosting.account
    config = Config(proxies={}, retries={"total_max_attempts": 1})
    account.client("sagemaker-runtime", config=config).invoke_endpoint(
        EndpointName=endpoint, Body=body, ContentType="text/plain"
    )


def eventually(answers: Any, limit_s: float = 60.0) -> Any:
    deadline = time.monotonic() + limit_s
    while True:
        try:
            found = answers()
            if found:
                return found
        except ClientError:
            pass
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)


def test_two_endpoints_share_an_accelerator_and_a_third_fails_and_says_by_whom(
    hosting: Hosting,
) -> None:
    first = deployed(hosting, "first", "ml.eia2.large")
    second = deployed(hosting, "second", "ml.eia2.large")
    assert hosting.ask(first, b"x") == "first x True"
    assert hosting.ask(second, b"y") == "second y True"
    described = hosting.sagemaker.describe_endpoint_config(
        EndpointConfigName=hosting.describe(first)["EndpointConfigName"]
    )
    assert described["ProductionVariants"][0]["AcceleratorType"] == "ml.eia2.large"
    config = hosting.config(hosting.variant(model(hosting, "third"), AcceleratorType="ml.eia1.medium"))
    third = f"ep-third-{os.urandom(4).hex()}"
    hosting.sagemaker.create_endpoint(EndpointName=third, EndpointConfigName=config)
    hosting.endpoints.append(third)
    described = hosting.settled(third)
    assert described["EndpointStatus"] == "Failed"
    reason = described["FailureReason"]
    assert "InsufficientAcceleratorCapacity" in reason
    assert "ml.eia1.medium takes 25 % and 1024 MiB" in reason
    assert f"{first}/AllTraffic 50 % and 4096 MiB (ml.eia2.large)" in reason
    hosting.sagemaker.delete_endpoint(EndpointName=first)
    hosting.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=first, WaiterConfig={"Delay": 1})
    again = hosting.endpoint(config)
    assert hosting.ask(again, b"z") == "third z True"


def test_the_daemon_may_be_killed_at_any_time_and_every_request_is_answered(
    clary_server: Any, hosting: Hosting
) -> None:
    endpoint = deployed(hosting)
    before = clary_server.pid("accelerator")
    answers: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            answers.append(hosting.ask(endpoint, b"x"))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        os.kill(before, signal.SIGKILL)
        eventually(lambda: clary_server.pid("accelerator") not in {0, before})
        n = len(answers)
        eventually(lambda: len(answers) > n + 20)
    finally:
        over.set()
        thread.join()
    assert set(answers) == {"one x True"}
    config = hosting.config(hosting.variant(model(hosting), AcceleratorType="ml.eia2.xlarge"))
    name = f"ep-{os.urandom(4).hex()}"
    hosting.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    hosting.endpoints.append(name)
    assert f"{endpoint}/AllTraffic" in hosting.settled(name)["FailureReason"], "the lease outlived the daemon"


def test_an_endless_loop_is_cut_by_its_timeout_while_others_are_answered(hosting: Hosting) -> None:
    looping = deployed(hosting, "looping", SAGEMAKER_MODEL_SERVER_TIMEOUT="3")
    other = deployed(hosting, "other")
    found: list[ClientError] = []

    def loop() -> None:
        try:
            hosting.ask(looping, b"loop")
        except ClientError as error:
            found.append(error)

    thread = threading.Thread(target=loop)
    thread.start()
    n = 0
    while thread.is_alive():
        assert hosting.ask(other, b"x") == "other x True"
        n += 1
    assert n > 3
    error: Any = found[0].response
    assert error["Error"]["Code"] == "ModelError"
    assert "longer than 3 s" in error["OriginalMessage"]
    assert hosting.ask(looping, b"again") == "looping again True", "the replica lives on"


def test_a_tenant_that_dies_or_outgrows_its_memory_hurts_nobody_else(hosting: Hosting) -> None:
    frail, other = deployed(hosting, "frail"), deployed(hosting, "other")
    for poison in (b"die", b"grow"):
        with pytest.raises(ClientError) as refused:
            ask_once(hosting, frail, poison)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in {424, 503}
        assert hosting.ask(other, b"x") == "other x True"
        assert eventually(lambda: hosting.ask(frail, b"y")) == "frail y True"


def command(server: ClaryServer, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "clary.cli.main", *arguments, "--data-dir", str(server.data_dir)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_use_is_seen_in_cloudwatch_and_by_the_command(clary_server: Any, hosting: Hosting) -> None:
    endpoint = deployed(hosting)
    cloudwatch = hosting.account.client("cloudwatch")

    def points(name: str, statistic: str) -> list[dict[str, Any]]:
        hosting.ask(endpoint, b"x")
        now = datetime.now(UTC)
        found: list[dict[str, Any]] = cloudwatch.get_metric_statistics(
            Namespace="/aws/sagemaker/Endpoints",
            MetricName=name,
            Dimensions=[
                {"Name": "EndpointName", "Value": endpoint},
                {"Name": "VariantName", "Value": "AllTraffic"},
            ],
            StartTime=now - timedelta(minutes=10),
            EndTime=now + timedelta(minutes=1),
            Period=3600,
            Statistics=[statistic],
        )["Datapoints"]
        return found

    def counted() -> list[dict[str, Any]]:
        return [point for point in points("AcceleratorTotalInferenceCount", "Sum") if point["Sum"] >= 1]

    assert eventually(counted)[0]["Unit"] == "Count"
    assert points("AcceleratorMemoryUsage", "Maximum")[0]["Unit"] == "Bytes"
    assert eventually(lambda: [each for each in points("AcceleratorDeviceTime", "Sum") if each["Sum"] > 0])
    assert points("AcceleratorUtilization", "Maximum")[0]["Maximum"] <= 100.1
    done = command(clary_server, "accelerators", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (tenant,) = [each for each in document["tenants"] if each["endpoint"] == endpoint]
    assert tenant["n_answers"] >= 1
    assert (tenant["share"], tenant["price"]) == (0.25, 0.168)
    assert document["cost"]["devices_saved"] >= 0.5
    assert endpoint in command(clary_server, "accelerators").stdout


def test_a_built_in_model_runs_on_an_accelerator(hosting: Hosting) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 4))
    rows[:, 0] = rows[:, 1] > 0
    request = training_request(hosting.account, upload_csv(hosting.account, "train/data.csv", rows))
    hosting.sagemaker.create_training_job(**request)
    job = wait_for_job(hosting.account, request["TrainingJobName"])
    name = f"model-{os.urandom(4).hex()}"
    hosting.sagemaker.create_model(
        ModelName=name,
        PrimaryContainer={
            "Image": request["AlgorithmSpecification"]["TrainingImage"],
            "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"],
        },
        ExecutionRoleArn=hosting.account.role_arn,
    )
    plain = hosting.endpoint(hosting.config(hosting.variant(name)))
    lent = hosting.endpoint(hosting.config(hosting.variant(name, AcceleratorType="ml.eia2.medium")))
    body = b"\n".join(b",".join(b"%f" % value for value in row[1:]) for row in rows[:5])
    assert hosting.ask(lent, body, ContentType="text/csv") == hosting.ask(plain, body, ContentType="text/csv")


def test_a_paused_tenant_goes_on_after_the_daemon_was_killed(clary_server: Any, hosting: Hosting) -> None:
    """A long turn is paused for others; who was paused when the daemon died must not stay so."""
    slow, other = deployed(hosting, "slow", SAGEMAKER_MODEL_SERVER_TIMEOUT="4"), deployed(hosting, "other")
    done = threading.Event()

    def loop() -> None:
        with pytest.raises(ClientError):
            ask_once(hosting, slow, b"loop")
        done.set()

    def crowd() -> None:
        while not done.is_set():
            hosting.ask(other, b"x")

    threads = [threading.Thread(target=each) for each in (loop, crowd, crowd)]
    for thread in threads:
        thread.start()
    os.kill(clary_server.pid("accelerator"), signal.SIGKILL)
    for thread in threads:
        thread.join(90)
        assert not thread.is_alive()
    assert eventually(lambda: hosting.ask(slow, b"y")) == "slow y True"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"AcceleratorType": "ml.eia3.medium"}, "acceleratorType"),
        (
            {
                "AcceleratorType": "ml.eia2.medium",
                "InstanceType": None,
                "InitialInstanceCount": None,
                "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1},
            },
            "exclude each other",
        ),
    ],
)
def test_what_cannot_be_lent_is_refused_at_create(hosting: Hosting, members: Any, said: str) -> None:
    variant = {**hosting.variant(model(hosting)), **members}
    variant = {name: value for name, value in variant.items() if value is not None}
    with pytest.raises(ClientError) as refused:
        hosting.config(variant)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert said in refused.value.response["Error"]["Message"]
