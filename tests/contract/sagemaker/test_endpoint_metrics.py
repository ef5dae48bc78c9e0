"""The service's metrics of endpoints, and the scaling that follows them, through boto3."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from clary.testing.hosting import Hammer, Hosting, saying

FAILING = """
def model_fn(model_dir):
    return None

def transform_fn(model, data, content_type, accept):
    raise RuntimeError("a bad day")
"""


@pytest.fixture(scope="module")
def hosting(clary_server):
    made = Hosting.of(clary_server.account())
    yield made
    made.close()


def total(hosting, endpoint, metric, statistic, *, namespace="AWS/SageMaker"):
    now = datetime.now(UTC)
    points = hosting.account.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[
            {"Name": "EndpointName", "Value": endpoint},
            {"Name": "VariantName", "Value": "AllTraffic"},
        ],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=[statistic],
    )["Datapoints"]
    return sum(each[statistic] for each in points)


def wait_for(read, expected, limit_s=40.0):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        found = read()
        if found == expected:
            return
        time.sleep(0.1)
    raise AssertionError(f"{found} is not {expected} within {limit_s} s")


def test_every_invocation_is_counted_and_timed(hosting):
    name = hosting.endpoint(hosting.config(hosting.variant(hosting.model(saying("x")))))
    for _ in range(30):
        hosting.ask(name)
    wait_for(lambda: total(hosting, name, "Invocations", "Sum"), 30)
    assert total(hosting, name, "InvocationsPerInstance", "Sum") == 30
    assert total(hosting, name, "Invocation4XXErrors", "Sum") == 0
    for metric in ("ModelLatency", "OverheadLatency"):
        assert total(hosting, name, metric, "SampleCount") == 30
    assert (
        total(hosting, name, "ModelLatency", "Maximum") >= total(hosting, name, "ModelLatency", "Average") > 0
    )


def test_what_the_instances_use_is_told(hosting):
    name = hosting.endpoint(hosting.config(hosting.variant(hosting.model(saying("x")))))
    place = "/aws/sagemaker/Endpoints"
    wait_for(lambda: total(hosting, name, "MemoryUtilization", "Maximum", namespace=place) > 0, True)
    assert total(hosting, name, "CPUUtilization", "SampleCount", namespace=place) >= 1


def test_errors_are_counted_by_who_made_them(hosting):
    name = hosting.endpoint(hosting.config(hosting.variant(hosting.model(FAILING))))
    for _ in range(5):
        with pytest.raises(ClientError, match="a bad day"):
            hosting.ask(name)
    wait_for(lambda: total(hosting, name, "Invocation5XXErrors", "Sum"), 5)
    assert total(hosting, name, "InvocationModelErrors", "Sum") == 5
    assert total(hosting, name, "Invocation4XXErrors", "Sum") == 0
    assert total(hosting, name, "Invocation5XXErrors", "Average") == 1.0


def test_a_variant_grows_with_its_invocations_and_shrinks_without(hosting):
    name = hosting.endpoint(hosting.config(hosting.variant(hosting.model(saying("x")))))
    client = hosting.account.client("application-autoscaling")
    names = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{name}/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    client.register_scalable_target(**names, MinCapacity=1, MaxCapacity=2)
    client.put_scaling_policy(
        **names,
        PolicyName="follow",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 60.0,
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
            },
            "ScaleInCooldown": 1,
            "ScaleOutCooldown": 1,
        },
    )

    def instances():
        (variant,) = hosting.describe(name)["ProductionVariants"]
        return variant["CurrentInstanceCount"]

    with Hammer(lambda: hosting.ask(name), n_clients=1) as hammer:
        wait_for(instances, 2)
    wait_for(instances, 1)
    assert hammer.errors == []
    client.deregister_scalable_target(**names)
