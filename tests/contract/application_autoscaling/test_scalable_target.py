"""Scalable targets, their policies and actions, through boto3 against endpoints in service."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from clary.kernel import ids
from clary.testing.hosting import Hosting, saying

VARIANT = "sagemaker:variant:DesiredInstanceCount"


class Scaling:
    """An endpoint of one variant as a scalable target."""

    def __init__(self, hosting, model):
        self.hosting = hosting
        self.client = hosting.account.client("application-autoscaling")
        self.endpoint = hosting.endpoint(hosting.config(hosting.variant(model)))
        self.names = {
            "ServiceNamespace": "sagemaker",
            "ResourceId": f"endpoint/{self.endpoint}/variant/AllTraffic",
            "ScalableDimension": VARIANT,
        }

    def register(self, low, high, **members):
        return self.client.register_scalable_target(
            **self.names, MinCapacity=low, MaxCapacity=high, **members
        )["ScalableTargetARN"]

    def policy(self, **terms):
        name = f"policy-{ids.short()}"
        member = "StepScaling" if "AdjustmentType" in terms else "TargetTrackingScaling"
        return self.client.put_scaling_policy(
            **self.names, PolicyName=name, PolicyType=member, **{f"{member}PolicyConfiguration": terms}
        )["PolicyARN"]

    def instances(self):
        (variant,) = self.hosting.describe(self.endpoint)["ProductionVariants"]
        return variant["CurrentInstanceCount"]

    def wait_for(self, n, limit_s=60.0):
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if self.instances() == n:
                return
            time.sleep(0.1)
        raise TimeoutError(f"{self.endpoint} has {self.instances()} instances, not {n}")

    def activities(self):
        asked = {name: self.names[name] for name in ("ServiceNamespace", "ResourceId")}
        return self.client.describe_scaling_activities(**asked)["ScalingActivities"]

    def close(self):
        self.client.deregister_scalable_target(**self.names)


@pytest.fixture(scope="module")
def hosting(clary_server):
    made = Hosting.of(clary_server.account())
    yield made
    made.close()


@pytest.fixture(scope="module")
def model(hosting):
    return hosting.model(saying("here"))


@pytest.fixture
def scaling(hosting, model):
    made = Scaling(hosting, model)
    yield made
    made.close()


def test_bounds_alone_move_the_capacity_and_every_move_is_told(scaling):
    arn = scaling.register(2, 3, Tags={"team": "a"})
    assert scaling.client.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"team": "a"}
    scaling.wait_for(2)
    assert scaling.register(0, 1) == arn
    scaling.wait_for(1)
    (shown,) = scaling.client.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[scaling.names["ResourceId"]]
    )["ScalableTargets"]
    assert (shown["MinCapacity"], shown["MaxCapacity"], shown["ScalableTargetARN"]) == (0, 1, arn)
    deadline = time.monotonic() + 60
    while scaling.activities()[0]["StatusCode"] != "Successful":
        assert time.monotonic() < deadline, scaling.activities()
        time.sleep(0.1)
    causes = [each["Cause"] for each in scaling.activities()]
    assert causes == ["maximum capacity was set to 1", "minimum capacity was set to 2"]


def test_a_target_is_tracked_by_a_metric_of_ones_own_out_and_back_in(scaling):
    metric = f"backlog-{ids.short()}"
    put = scaling.hosting.account.client("cloudwatch").put_metric_data
    scaling.register(1, 3)
    scaling.policy(
        TargetValue=10.0,
        CustomizedMetricSpecification={"MetricName": metric, "Namespace": "Tests", "Statistic": "Maximum"},
        ScaleOutCooldown=300,
        ScaleInCooldown=0,
    )
    put(Namespace="Tests", MetricData=[{"MetricName": metric, "Value": 25.0}])
    scaling.wait_for(3)
    assert f"{metric} against its target 10" in scaling.activities()[0]["Cause"]


def test_steps_follow_an_alarm(scaling):
    metric = f"metric-{ids.short()}"
    cloudwatch = scaling.hosting.account.client("cloudwatch")
    scaling.register(1, 4)
    arn = scaling.policy(
        AdjustmentType="ChangeInCapacity",
        Cooldown=300,
        StepAdjustments=[
            {"MetricIntervalLowerBound": 0.0, "MetricIntervalUpperBound": 10.0, "ScalingAdjustment": 1},
            {"MetricIntervalLowerBound": 10.0, "ScalingAdjustment": 2},
        ],
    )
    alarm = f"alarm-{ids.short()}"
    cloudwatch.put_metric_alarm(
        AlarmName=alarm,
        Namespace="Tests",
        MetricName=metric,
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=10.0,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[arn],
    )
    cloudwatch.put_metric_data(Namespace="Tests", MetricData=[{"MetricName": metric, "Value": 15.0}])
    scaling.wait_for(2)
    # A larger step within the cooldown counts from where the first one began.
    cloudwatch.put_metric_data(Namespace="Tests", MetricData=[{"MetricName": metric, "Value": 30.0}])
    scaling.wait_for(3)
    assert f"monitor alarm {alarm} in state ALARM" in scaling.activities()[0]["Cause"]
    cloudwatch.delete_alarms(AlarmNames=[alarm])


def test_a_scheduled_action_moves_the_bounds_when_it_is_due(scaling):
    scaling.register(1, 1)
    moment = datetime.now(UTC) + timedelta(seconds=2)
    scaling.client.put_scheduled_action(
        **scaling.names,
        ScheduledActionName="morning",
        Schedule=f"at({moment:%Y-%m-%dT%H:%M:%S})",
        ScalableTargetAction={"MinCapacity": 2, "MaxCapacity": 2},
    )
    scaling.wait_for(2)
    assert scaling.activities()[0]["Cause"] == "scheduled action name morning"
    asked = {name: scaling.names[name] for name in ("ServiceNamespace", "ResourceId")}
    (shown,) = scaling.client.describe_scheduled_actions(**asked)["ScheduledActions"]
    assert shown["ScalableTargetAction"] == {"MinCapacity": 2, "MaxCapacity": 2}
    scaling.client.delete_scheduled_action(**scaling.names, ScheduledActionName="morning")
    assert scaling.client.describe_scheduled_actions(**asked)["ScheduledActions"] == []


def test_policies_are_described_changed_and_deleted(scaling):
    scaling.register(1, 1)
    terms = {
        "TargetValue": 70.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    }
    arns = {
        scaling.client.put_scaling_policy(
            **scaling.names,
            PolicyName="mine",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=terms | {"TargetValue": value},
        )["PolicyARN"]
        for value in (70.0, 80.0)
    }
    asked = {name: scaling.names[name] for name in ("ServiceNamespace", "ResourceId")}
    (shown,) = scaling.client.describe_scaling_policies(**asked)["ScalingPolicies"]
    assert {shown["PolicyARN"]} == arns
    assert shown["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 80.0
    scaling.client.delete_scaling_policy(**scaling.names, PolicyName="mine")
    with pytest.raises(ClientError) as refused:
        scaling.client.delete_scaling_policy(**scaling.names, PolicyName="mine")
    assert refused.value.response["Error"]["Code"] == "ObjectNotFoundException"


def refusal(call, **request):
    with pytest.raises(ClientError) as refused:
        call(**request)
    return refused.value.response["Error"]["Code"], refused.value.response["Error"]["Message"]


def test_what_makes_no_sense_is_refused_by_its_member(scaling):
    client, names = scaling.client, scaling.names
    assert refusal(client.put_scaling_policy, **names, PolicyName="x")[0] == "ObjectNotFoundException"
    scaling.register(1, 2)
    for request, text in (
        ({"MinCapacity": 3, "MaxCapacity": 2}, "MinCapacity (3) must not be larger"),
        ({"ResourceId": f"endpoint/{scaling.endpoint}/variant/no", "MinCapacity": 1}, "no variant 'no'"),
        ({"ResourceId": "endpoint/nobody/variant/x", "MinCapacity": 1}, "Could not find endpoint"),
        ({"ScalableDimension": "ecs:service:DesiredCount"}, "ScalableDimension"),
        ({"ServiceNamespace": "ecs"}, "ServiceNamespace"),
    ):
        asked = {**names, "MaxCapacity": 5, **request}
        code, message = refusal(client.register_scalable_target, **asked)
        assert (code, text in message) == ("ValidationException", True), message
    action = {"ScheduledActionName": "a", "ScalableTargetAction": {"MinCapacity": 1}}
    code, message = refusal(client.put_scheduled_action, **names, **action, Schedule="cron(x)")
    assert (code, "six fields" in message) == ("ValidationException", True)
    steps = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": []}
    code, message = refusal(
        client.put_scaling_policy,
        **names,
        PolicyName="x",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration=steps,
    )
    assert (code, "StepAdjustments" in message) == ("ValidationException", True)
