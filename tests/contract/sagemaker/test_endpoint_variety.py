"""Shadow variants, serverless variants and scaling from zero, through boto3."""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from clary.kernel import ids
from clary.testing.hosting import Hammer, Hosting, saying

SLOW = """
import time

def model_fn(model_dir):
    return None

def transform_fn(model, data, content_type, accept):
    time.sleep(float(data.decode()))
    return "done", "text/plain"
"""
WHO = """
import os, time

def model_fn(model_dir):
    return os.getpid()

def transform_fn(model, data, content_type, accept):
    time.sleep(0.2)
    return f"{model} {os.getpid()}", "text/plain"
"""


@pytest.fixture(scope="module")
def hosting(clary_server):
    made = Hosting.of(clary_server.account())
    yield made
    made.close()


@pytest.fixture(scope="module")
def model(hosting):
    return hosting.model(saying("here"))


def serverless(hosting, model, **terms):
    config = {"MemorySizeInMB": 1024, "MaxConcurrency": 2, **terms}
    return {"VariantName": "AllTraffic", "ModelName": model, "ServerlessConfig": config}


def test_workers_of_a_model_server_share_one_loaded_model(hosting):
    container = hosting.container(WHO)
    container["Environment"]["SAGEMAKER_MODEL_SERVER_WORKERS"] = "2"
    name = f"model-{ids.short()}"
    hosting.sagemaker.create_model(
        ModelName=name, PrimaryContainer=container, ExecutionRoleArn=hosting.account.role_arn
    )
    endpoint = hosting.endpoint(hosting.config(hosting.variant(name)))
    with ThreadPoolExecutor(4) as pool:
        said = [text.split() for text in pool.map(lambda _: hosting.ask(endpoint), range(8))]
    assert len({loader for loader, _ in said}) == 1
    assert len({worker for _, worker in said}) == 2


def invocations(hosting, endpoint, variant, metric="Invocations"):
    now = datetime.now(UTC)
    points = hosting.account.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName=metric,
        Dimensions=[
            {"Name": "EndpointName", "Value": endpoint},
            {"Name": "VariantName", "Value": variant},
        ],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    return sum(each["Sum"] for each in points)


def wait_for(condition, limit_s=60.0):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.1)
    raise TimeoutError(f"not within {limit_s} s")


def test_a_shadow_hears_its_share_and_never_answers(hosting, model):
    loud = hosting.model(saying("shadow"))
    name = hosting.endpoint(
        hosting.config(
            hosting.variant(model, "main", InitialVariantWeight=1.0),
            ShadowProductionVariants=[hosting.variant(loud, "shadow", InitialVariantWeight=0.5)],
        )
    )
    described = hosting.describe(name)
    assert [each["VariantName"] for each in described["ProductionVariants"]] == ["main"]
    assert [each["VariantName"] for each in described["ShadowProductionVariants"]] == ["shadow"]
    assert hosting.shares(name, 100) == {"here": 100}
    wait_for(lambda: invocations(hosting, name, "main") == 100)
    wait_for(lambda: 20 <= invocations(hosting, name, "shadow") <= 80)
    wait_for(lambda: 20 <= invocations(hosting, name, "shadow", "ShadowDisagreements") <= 80)
    with pytest.raises(ClientError, match="not found for Endpoint"):
        hosting.ask(name, TargetVariant="shadow")


def test_a_serverless_variant_refuses_more_than_its_concurrency(hosting):
    config = hosting.config(serverless(hosting, hosting.model(SLOW), MaxConcurrency=1))
    name = hosting.endpoint(config)
    (variant,) = hosting.describe(name)["ProductionVariants"]
    assert variant["CurrentServerlessConfig"] == {"MemorySizeInMB": 1024, "MaxConcurrency": 1}
    runtime = hosting.account.client(
        "sagemaker-runtime", config=Config(retries={"total_max_attempts": 1}, proxies={})
    )
    refusals = []

    def ask():
        try:
            runtime.invoke_endpoint(EndpointName=name, Body=b"0.2", ContentType="text/plain")
        except ClientError as error:
            refusals.append(error.response)
        return "asked"

    with Hammer(ask, n_clients=2) as hammer:
        wait_for(lambda: refusals)
    assert hammer.errors == []
    assert refusals[0]["Error"]["Code"] == "ThrottlingException"
    assert refusals[0]["ResponseMetadata"]["HTTPStatusCode"] == 429
    hosting.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name,
        DesiredWeightsAndCapacities=[
            {"VariantName": "AllTraffic", "ServerlessUpdateConfig": {"MaxConcurrency": 50}}
        ],
    )
    (variant,) = hosting.settled(name)["ProductionVariants"]
    assert variant["CurrentServerlessConfig"]["MaxConcurrency"] == 50
    with Hammer(lambda: hosting.ask(name, b"0.01")) as hammer:
        wait_for(lambda: hammer.answers["done"] > 10)
    assert hammer.errors == []
    with pytest.raises(ClientError, match="DesiredInstanceCount is not allowed"):
        hosting.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name,
            DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}],
        )


def test_the_count_of_a_serverless_variant_goes_with_its_endpoint(clary_server, hosting, model):
    name = hosting.endpoint(hosting.config(serverless(hosting, model)))
    arn = hosting.describe(name)["EndpointArn"]
    mark = hashlib.sha256(f"{arn}/AllTraffic".encode()).hexdigest()[:24]
    file = clary_server.settings.data_dir / "concurrency" / mark
    assert hosting.ask(name) == "here"
    assert file.exists()
    hosting.sagemaker.delete_endpoint(EndpointName=name)
    hosting.endpoints.remove(name)
    wait_for(lambda: not file.exists())


def test_a_variant_scaled_to_zero_answers_its_next_invocation(hosting, model):
    name = hosting.endpoint(hosting.config(hosting.variant(model)))
    hosting.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name,
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 0}],
    )
    described = hosting.settled(name)
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 0
    with Hammer(lambda: hosting.ask(name), n_clients=3) as hammer:
        wait_for(lambda: hammer.answers["here"] > 20)
    assert hammer.errors == []
    assert hosting.describe(name)["ProductionVariants"][0]["CurrentInstanceCount"] == 1


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"InstanceType": "ml.m5.large"}, "InstanceType and ServerlessConfig exclude each other"),
        ({"ServerlessConfig": {"MemorySizeInMB": 1500, "MaxConcurrency": 1}}, "must be 1024, 2048"),
        ({"RoutingConfig": {"RoutingStrategy": "KV_AWARE"}}, "RoutingStrategy 'KV_AWARE' is not served"),
        ({"ManagedInstanceScaling": {"Status": "ENABLED"}}, "ManagedInstanceScaling is for variants of"),
    ],
)
def test_what_cannot_be_is_refused_by_its_member(hosting, model, members, text):
    with pytest.raises(ClientError, match=text):
        hosting.config({**serverless(hosting, model), **members})
