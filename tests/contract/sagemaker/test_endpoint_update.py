"""Variants, weights, capacities and deployments of endpoints in service, through boto3."""

import time

import pytest
from botocore.exceptions import ClientError

from clary.kernel import ids
from clary.testing.hosting import Hammer, Hosting, saying

BROKEN = """
def model_fn(model_dir):
    raise RuntimeError("no such weights")

def transform_fn(model, data, content_type, accept):
    return "", "text/plain"
"""


@pytest.fixture(scope="module")
def hosting(clary_server):
    made = Hosting.of(clary_server.account())
    yield made
    made.close()


@pytest.fixture(scope="module")
def blue(hosting):
    return hosting.model(saying("blue"))


@pytest.fixture(scope="module")
def green(hosting):
    return hosting.model(saying("green"))


def percent(value):
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def blue_green(kind, wait_s, **sizes):
    routing = {"Type": kind, "WaitIntervalInSeconds": wait_s, **sizes}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}


def alarm_on(hosting, threshold=10.0):
    name, metric = f"alarm-{ids.short()}", f"metric-{ids.short()}"
    hosting.account.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="Tests",
        MetricName=metric,
        Statistic="Maximum",
        Period=10,
        EvaluationPeriods=1,
        Threshold=threshold,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    return name, metric


def trip(hosting, metric, value=99.0):
    hosting.account.client("cloudwatch").put_metric_data(
        Namespace="Tests", MetricData=[{"MetricName": metric, "Value": value}]
    )


def until(condition, limit_s=60.0):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise TimeoutError(f"not within {limit_s} s")


def test_variants_share_by_weight_and_a_target_variant_picks_one(hosting, blue, green):
    name = hosting.endpoint(
        hosting.config(
            hosting.variant(blue, "a", InitialVariantWeight=3.0),
            hosting.variant(green, "b", InitialVariantWeight=1.0),
        )
    )
    counts = hosting.shares(name, 200)
    assert 110 < counts["blue"] < 190
    assert {hosting.ask(name, TargetVariant="b") for _ in range(5)} == {"green"}
    with pytest.raises(ClientError, match="Variant nobody not found for Endpoint") as refused:
        hosting.ask(name, TargetVariant="nobody")
    assert refused.value.response["Error"]["Code"] == "ValidationError"

    hosting.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "a", "DesiredWeight": 0.0}]
    )
    described = hosting.settled(name)
    assert [each["CurrentWeight"] for each in described["ProductionVariants"]] == [0.0, 1.0]
    assert [each["DesiredWeight"] for each in described["ProductionVariants"]] == [0.0, 1.0]
    assert hosting.shares(name, 20) == {"green": 20}
    assert hosting.ask(name, TargetVariant="a") == "blue"


def test_capacities_and_updates_under_load_drop_nothing(hosting, blue, green):
    first, second = hosting.config(hosting.variant(blue)), hosting.config(hosting.variant(green))
    name = hosting.endpoint(first)
    with Hammer(lambda: hosting.ask(name)) as hammer:
        for count in (3, 1):
            hosting.sagemaker.update_endpoint_weights_and_capacities(
                EndpointName=name,
                DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": count}],
            )
            described = hosting.settled(name)
            (variant,) = described["ProductionVariants"]
            assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (count, count)
        hosting.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=second)
        assert hosting.settled(name)["EndpointConfigName"] == second
        until(lambda: hammer.answers["green"] > 20)
    assert hammer.errors == []
    assert set(hammer.answers) == {"blue", "green"}
    assert hosting.shares(name, 20) == {"green": 20}


def test_retained_properties_stay_and_excluded_ones_do_not(hosting, blue, green):
    name = hosting.endpoint(hosting.config(hosting.variant(blue)))
    hosting.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name,
        DesiredWeightsAndCapacities=[
            {"VariantName": "AllTraffic", "DesiredInstanceCount": 2, "DesiredWeight": 7.0}
        ],
    )
    hosting.settled(name)
    hosting.sagemaker.update_endpoint(
        EndpointName=name,
        EndpointConfigName=hosting.config(hosting.variant(green)),
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredWeight"}],
    )
    (variant,) = hosting.settled(name)["ProductionVariants"]
    assert (variant["DesiredInstanceCount"], variant["DesiredWeight"]) == (2, 1.0)
    assert hosting.ask(name) == "green"


def test_a_canary_bakes_with_its_share_and_then_takes_all(hosting, blue, green):
    name = hosting.endpoint(hosting.config(hosting.variant(blue)))
    target = hosting.config(hosting.variant(green))
    deployment = blue_green("CANARY", 5, CanarySize=percent(30))
    hosting.sagemaker.update_endpoint(
        EndpointName=name, EndpointConfigName=target, DeploymentConfig=deployment
    )

    def baking():
        pending = hosting.describe(name).get("PendingDeploymentSummary", {})
        variants = pending.get("ProductionVariants", ())
        return any(each["VariantStatus"][0]["Status"] == "Baking" for each in variants) and pending

    assert until(baking)["EndpointConfigName"] == target
    counts = hosting.shares(name, 60)
    assert 2 < counts["green"] < 45
    described = hosting.settled(name)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", target)
    assert described["LastDeploymentConfig"] == deployment
    assert hosting.shares(name, 20) == {"green": 20}


def test_an_alarm_in_a_bake_rolls_back_without_a_dropped_request(hosting, blue, green):
    alarm, metric = alarm_on(hosting)
    config = hosting.config(hosting.variant(blue))
    name = hosting.endpoint(config)
    deployment = blue_green("LINEAR", 60, LinearStepSize=percent(50)) | {
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]}
    }
    with Hammer(lambda: hosting.ask(name)) as hammer:
        hosting.sagemaker.update_endpoint(
            EndpointName=name,
            EndpointConfigName=hosting.config(hosting.variant(green)),
            DeploymentConfig=deployment,
        )
        until(lambda: hammer.answers["green"] > 10)
        trip(hosting, metric)
        described = hosting.settled(name)
        assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", config)
        assert f"CloudWatch alarm '{alarm}' is in ALARM" in described["FailureReason"]
        assert hosting.shares(name, 20) == {"blue": 20}
    assert hammer.errors == []
    hosting.account.client("cloudwatch").delete_alarms(AlarmNames=[alarm])


def test_a_rolling_update_goes_batch_by_batch(hosting, blue, green):
    name = hosting.endpoint(hosting.config(hosting.variant(blue, InitialInstanceCount=2)))
    policy = {
        "RollingUpdatePolicy": {
            "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
            "WaitIntervalInSeconds": 3,
        }
    }
    target = hosting.config(hosting.variant(green, InitialInstanceCount=2))
    with Hammer(lambda: hosting.ask(name)) as hammer:
        hosting.sagemaker.update_endpoint(
            EndpointName=name, EndpointConfigName=target, DeploymentConfig=policy
        )
        until(lambda: hammer.answers["green"] > 10)
        assert hosting.describe(name)["EndpointStatus"] == "Updating"
        assert hosting.settled(name)["EndpointConfigName"] == target
    assert hammer.errors == []
    assert hosting.shares(name, 20) == {"green": 20}


def test_a_model_that_does_not_start_leaves_the_old_fleet_serving(hosting, blue):
    config = hosting.config(hosting.variant(blue))
    name = hosting.endpoint(config)
    hosting.sagemaker.update_endpoint(
        EndpointName=name, EndpointConfigName=hosting.config(hosting.variant(hosting.model(BROKEN)))
    )
    described = hosting.settled(name)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", config)
    assert "no such weights" in described["FailureReason"]
    assert hosting.ask(name) == "blue"


@pytest.mark.parametrize(
    ("deployment", "text"),
    [
        (blue_green("CANARY", 0), "Type CANARY needs CanarySize"),
        (blue_green("ALL_AT_ONCE", 0, CanarySize=percent(10)), "Type ALL_AT_ONCE has no CanarySize"),
        (blue_green("LINEAR", 0, LinearStepSize=percent(60)), "it must be 10% to 50%"),
        (
            {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "nobody"}]}},
            "there is no CloudWatch alarm 'nobody'",
        ),
    ],
)
def test_a_deployment_that_makes_no_sense_is_refused_by_its_member(hosting, blue, deployment, text):
    name = hosting.endpoint(hosting.config(hosting.variant(blue)))
    with pytest.raises(ClientError, match=text) as refused:
        hosting.sagemaker.update_endpoint(
            EndpointName=name,
            EndpointConfigName=hosting.config(hosting.variant(blue)),
            DeploymentConfig=deployment,
        )
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert hosting.describe(name)["EndpointStatus"] == "InService"
