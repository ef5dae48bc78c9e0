"""Multi-model endpoints through boto3: loaded on demand, unloaded when memory is short, never mixed up."""

import contextlib
import io
import json
import os
import random
import signal
import tarfile
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import xgboost
from botocore.config import Config
from botocore.exceptions import ClientError

from clary.cli import agents
from clary.compute import linux
from clary.kernel import ids
from clary.testing.hosting import Hammer, Hosting, saying
from clary.testing.jobs import SCIKIT_LEARN, XGBOOST, pack

PREFIX = "many/"
HEAVY = """
import os

def model_fn(model_dir):
    return open(os.path.join(model_dir, "word.txt")).read(), bytearray(os.urandom(1 << 20)) * 12

def transform_fn(model, data, content_type, accept):
    return model[0], "text/plain"
"""
"""A model of some 12 MiB that answers with its own word."""
CRASHING = """
import os, signal

def model_fn(model_dir):
    return os.getpid()

def transform_fn(model, data, content_type, accept):
    if data == b"die" or data == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return str(model), "text/plain"
"""


@pytest.fixture(scope="module")
def hosting(clary_server):
    made = Hosting.of(clary_server.account())
    yield made
    made.close()


def add(hosting: Hosting, name: str, body: bytes) -> None:
    hosting.account.client("s3").put_object(Bucket=hosting.bucket, Key=PREFIX + name, Body=body)


def tree(value: float) -> bytes:
    """Return the archive of a booster that says about `value` for whatever it is asked."""
    data = xgboost.DMatrix(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([value, value]))
    booster = xgboost.train({"base_score": value, "max_depth": 1}, data, num_boost_round=1)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        raw = bytes(booster.save_raw("ubj"))
        member = tarfile.TarInfo("xgboost-model")
        member.size = len(raw)
        archive.addfile(member, io.BytesIO(raw))
    return packed.getvalue()


def endpoint(hosting: Hosting, image: str = SCIKIT_LEARN, **container: Any) -> str:
    name = f"model-{ids.short()}"
    hosting.sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=hosting.account.role_arn,
        PrimaryContainer={
            "Image": image,
            "Mode": "MultiModel",
            "ModelDataUrl": f"s3://{hosting.bucket}/{PREFIX}",
            **container,
        },
    )
    return hosting.endpoint(hosting.config(hosting.variant(name)))


def statistic(hosting: Hosting, name: str, metric: str, what: str, namespace: str = "AWS/SageMaker") -> float:
    now = datetime.now(UTC)
    points = hosting.account.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "AllTraffic"}],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=[what],
    )["Datapoints"]
    found = [float(each[what]) for each in points]  # two, where an hour has begun meanwhile
    return max(found, default=0.0) if what == "Maximum" else sum(found)


def wait_for(condition: Any, limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {limit_s} s")
        time.sleep(0.1)


def test_scripts_of_one_name_do_not_meet(hosting):
    """Each model brings an `inference.py` of its own."""
    for word in ("one", "two"):
        add(hosting, f"{word}.tar.gz", pack({"code/inference.py": saying(word)}))
    name = endpoint(hosting)
    for _ in range(3):
        assert hosting.ask(name, TargetModel="one.tar.gz") == "one"
        assert hosting.ask(name, TargetModel="two.tar.gz") == "two"
    add(hosting, "deep/three.tar.gz", pack({"code/inference.py": saying("three")}))
    assert hosting.ask(name, TargetModel="deep/three.tar.gz") == "three"
    with pytest.raises(ClientError) as missing:
        hosting.ask(name, TargetModel="absent.tar.gz")
    assert missing.value.response["Error"]["Code"] == "ValidationError"
    assert f"Failed to download model data(bucket: {hosting.bucket}, key: {PREFIX}absent.tar.gz)" in str(
        missing.value
    )
    with pytest.raises(ClientError, match="TargetModel is required"):
        hosting.ask(name)
    for what, number in (("Sum", 4), ("SampleCount", 7)):
        wait_for(lambda what=what, number=number: statistic(hosting, name, "ModelCacheHit", what) == number)
    for metric in ("ModelLoadingWaitTime", "ModelDownloadingTime", "ModelLoadingTime"):
        wait_for(lambda metric=metric: statistic(hosting, name, metric, "SampleCount") == 3)
    wait_for(lambda: statistic(hosting, name, "LoadedModelCount", "Maximum", "/aws/sagemaker/Endpoints") == 3)


def test_what_cannot_be_loaded_says_why_and_hurts_nobody(hosting):
    add(hosting, "good.tar.gz", pack({"code/inference.py": saying("good")}))
    add(
        hosting,
        "bad.tar.gz",
        pack({"code/inference.py": "def model_fn(folder):\n    raise ValueError('no luck')"}),
    )
    add(hosting, "none.tar.gz", b"no archive")
    name = endpoint(hosting)
    assert hosting.ask(name, TargetModel="good.tar.gz") == "good"
    with pytest.raises(ClientError, match="model_fn failed: ValueError: no luck") as failed:
        hosting.ask(name, TargetModel="bad.tar.gz")
    assert failed.value.response["Error"]["Code"] == "ModelError"
    with pytest.raises(ClientError, match="Failed to download model data"):
        hosting.ask(name, TargetModel="none.tar.gz")
    add(hosting, "bad.tar.gz", pack({"code/inference.py": saying("mended")}))
    assert hosting.ask(name, TargetModel="bad.tar.gz") == "mended"
    assert hosting.ask(name, TargetModel="good.tar.gz") == "good"


def test_a_model_whose_process_is_killed_is_loaded_again(hosting):
    add(hosting, "crashing.tar.gz", pack({"code/inference.py": CRASHING}))
    add(hosting, "good.tar.gz", pack({"code/inference.py": saying("good")}))
    name = endpoint(hosting)
    first = hosting.ask(name, TargetModel="crashing.tar.gz")
    assert hosting.ask(name, TargetModel="crashing.tar.gz") == first
    runtime = hosting.account.client(
        "sagemaker-runtime", config=Config(retries={"total_max_attempts": 1}, proxies={})
    )
    with pytest.raises(ClientError):
        runtime.invoke_endpoint(
            EndpointName=name, Body=b"die", ContentType="text/plain", TargetModel="crashing.tar.gz"
        )
    assert hosting.ask(name, TargetModel="good.tar.gz") == "good"
    assert hosting.ask(name, TargetModel="crashing.tar.gz") != first


def test_a_replica_that_is_killed_loads_its_models_again(clary_server, hosting):
    for word in ("one", "two"):
        add(hosting, f"{word}.tar.gz", pack({"code/inference.py": saying(word)}))
    name = endpoint(hosting)
    words = iter(["one", "two"] * 100_000)

    def ask() -> str:
        word = next(words)
        return f"{word} {hosting.ask(name, TargetModel=f'{word}.tar.gz')}"

    assert {ask(), ask()} == {"one one", "two two"}
    (agent,) = [each for each in agents.alive(clary_server.settings) if each.run_id.startswith(name)]
    (record,) = clary_server.settings.data_dir.glob(f"**/{agent.run_id}/hosts/algo-1/program")
    killed = linux.stamped(record)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)

    def is_back() -> bool:
        with contextlib.suppress(ClientError):
            return {ask(), ask()} == {"one one", "two two"} and linux.stamped(record) != killed
        return False

    wait_for(is_back)


def test_forty_models_in_memory_for_eight_never_answer_for_each_other(hosting):
    n_models = 40
    for number in range(n_models):
        body = pack({"code/inference.py": HEAVY, "word.txt": f"model {number}"})
        add(hosting, f"heavy-{number}.tar.gz", body)
    name = endpoint(hosting, Environment={"CLARY_MODELS_MEMORY_MIB": "200"})
    draw = random.Random(7)
    wrong: list[str] = []

    def ask() -> str:
        number = draw.randrange(n_models) if draw.random() < 0.5 else draw.randrange(3)
        answer = hosting.ask(name, TargetModel=f"heavy-{number}.tar.gz")
        if answer != f"model {number}":
            wrong.append(f"{number}: {answer}")
        return str(number)

    with Hammer(ask, n_clients=8) as hammer:
        wait_for(lambda: sum(hammer.answers.values()) > 400 or hammer.errors or wrong, 120)
    assert wrong == []
    assert hammer.errors == []
    assert len(hammer.answers) > 20
    wait_for(lambda: statistic(hosting, name, "ModelUnloadingTime", "SampleCount") > 10)


def test_built_in_models_share_a_process_and_come_into_place(hosting):
    n_models = 30
    for number in range(n_models):
        add(hosting, f"tree-{number}.tar.gz", tree(float(number)))
    name = endpoint(hosting, XGBOOST)

    def answer(number: int) -> float:
        text = hosting.ask(name, b"0,1", ContentType="text/csv", TargetModel=f"tree-{number}.tar.gz")
        return float(text)

    with Hammer(lambda: str(round(answer(7)))) as hammer:
        for _ in range(4):
            assert [round(answer(number)) for number in range(n_models)] == list(range(n_models))
    assert set(hammer.answers) == {"7"}
    assert hammer.errors == []


def test_without_a_cache_a_model_is_loaded_for_each_invocation(hosting):
    add(hosting, "crashing.tar.gz", pack({"code/inference.py": CRASHING}))
    name = endpoint(hosting, MultiModelConfig={"ModelCacheSetting": "Disabled"})
    answers = {hosting.ask(name, TargetModel="crashing.tar.gz") for _ in range(3)}
    assert len(answers) == 3


def test_an_update_keeps_a_multi_model_endpoint_answering(hosting):
    for word in ("one", "two"):
        add(hosting, f"{word}.tar.gz", pack({"code/inference.py": saying(word)}))
    name = endpoint(hosting)
    model = hosting.sagemaker.describe_endpoint_config(
        EndpointConfigName=hosting.describe(name)["EndpointConfigName"]
    )["ProductionVariants"][0]["ModelName"]
    described = hosting.sagemaker.describe_model(ModelName=model)["PrimaryContainer"]
    assert json.dumps(described, sort_keys=True) == json.dumps(
        {
            "Image": SCIKIT_LEARN,
            "Mode": "MultiModel",
            "ModelDataUrl": f"s3://{hosting.bucket}/{PREFIX}",
            "Environment": {},
        },
        sort_keys=True,
    )
    config = hosting.config(hosting.variant(model, InitialInstanceCount=2))
    words = iter(["one", "two"] * 100_000)

    def ask() -> str:
        word = next(words)
        assert hosting.ask(name, TargetModel=f"{word}.tar.gz") == word
        return word

    with Hammer(ask, n_clients=2) as hammer:
        hosting.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
        described = hosting.settled(name)
        wait_for(lambda: sum(hammer.answers.values()) > 100)
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert hammer.errors == []


@pytest.mark.parametrize(
    ("container", "text"),
    [
        ({"ModelDataUrl": "https://x/y"}, "ModelDataUrl 'https://x/y' must be the S3 prefix"),
        ({"Mode": "SingleModel", "MultiModelConfig": {}}, "MultiModelConfig is for containers"),
    ],
)
def test_what_cannot_be_is_refused_by_its_member(hosting, container, text):
    with pytest.raises(ClientError, match=text):
        endpoint(hosting, **container)


def test_serverless_variants_have_one_model(hosting):
    name = f"model-{ids.short()}"
    hosting.sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=hosting.account.role_arn,
        PrimaryContainer={"Image": SCIKIT_LEARN, "Mode": "MultiModel", "ModelDataUrl": "s3://some/where/"},
    )
    terms = {"MemorySizeInMB": 1024, "MaxConcurrency": 2}
    with pytest.raises(
        ClientError, match="ServerlessConfig is not allowed for a model whose Mode is MultiModel"
    ):
        hosting.config({"VariantName": "AllTraffic", "ModelName": name, "ServerlessConfig": terms})
