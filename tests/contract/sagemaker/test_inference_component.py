"""Inference components through boto3: placed, asked by name, resized, updated, scaled, deleted."""

import time
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from clary.kernel import ids
from clary.testing.hosting import Hammer, Hosting, saying

NEEDS = {"MinMemoryRequiredInMb": 256, "NumberOfCpuCoresRequired": 0.25}


@pytest.fixture(scope="module")
def hosting(clary_server):
    made = Hosting.of(clary_server.account())
    yield made
    for each in made.sagemaker.list_inference_components(MaxResults=100)["InferenceComponents"]:
        made.sagemaker.delete_inference_component(InferenceComponentName=each["InferenceComponentName"])
    wait_for(lambda: not made.sagemaker.list_inference_components()["InferenceComponents"])
    made.close()


@pytest.fixture(scope="module")
def endpoint(hosting):
    return room(hosting, InitialInstanceCount=2)


def room(hosting: Hosting, **members: Any) -> str:
    """Create an endpoint of instances that have no model yet."""
    variant = {
        "VariantName": "AllTraffic",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        **members,
    }
    return hosting.endpoint(hosting.config(variant, ExecutionRoleArn=hosting.account.role_arn))


def add(hosting: Hosting, endpoint: str, model: str, *, copies: int = 1, **members: Any) -> str:
    name = f"ic-{ids.short()}"
    hosting.sagemaker.create_inference_component(
        InferenceComponentName=name,
        EndpointName=endpoint,
        VariantName="AllTraffic",
        Specification={"ModelName": model, "ComputeResourceRequirements": NEEDS, **members},
        RuntimeConfig={"CopyCount": copies},
    )
    return name


def settled(hosting: Hosting, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def is_settled() -> bool:
        found[:] = [hosting.sagemaker.describe_inference_component(InferenceComponentName=name)]
        return found[0]["InferenceComponentStatus"] in {"InService", "Failed"}

    wait_for(is_settled)
    return found[0]


def wait_for(condition: Any, limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {limit_s} s")
        time.sleep(0.1)


def test_components_of_one_endpoint_are_asked_by_name(hosting, endpoint):
    one = add(hosting, endpoint, hosting.model("print('loaded', flush=True)\n" + saying("one")))
    two = add(hosting, endpoint, hosting.model(saying("two")), copies=2)
    described = settled(hosting, two)
    assert described["InferenceComponentStatus"] == "InService", described
    assert described["RuntimeConfig"] == {"DesiredCopyCount": 2, "CurrentCopyCount": 2}
    assert described["EndpointName"] == endpoint
    assert described["EndpointArn"] == hosting.describe(endpoint)["EndpointArn"]
    assert described["Specification"]["ComputeResourceRequirements"] == NEEDS
    settled(hosting, one)
    for _ in range(3):
        assert hosting.ask(endpoint, InferenceComponentName=one) == "one"
        assert hosting.ask(endpoint, InferenceComponentName=two) == "two"
    with pytest.raises(ClientError, match="InferenceComponentName is required"):
        hosting.ask(endpoint)
    with pytest.raises(ClientError, match="Inference Component nobody of Endpoint"):
        hosting.ask(endpoint, InferenceComponentName="nobody")
    listed = hosting.sagemaker.list_inference_components(EndpointNameEquals=endpoint)["InferenceComponents"]
    assert {each["InferenceComponentName"] for each in listed} >= {one, two}
    (variant,) = hosting.describe(endpoint)["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == 2
    with pytest.raises(ClientError, match="it has inference components"):
        hosting.sagemaker.delete_endpoint(EndpointName=endpoint)
    logs = hosting.account.client("logs")
    wait_for(
        lambda: logs.describe_log_groups(logGroupNamePrefix=f"/aws/sagemaker/InferenceComponents/{one}")[
            "logGroups"
        ]
    )
    hosting.sagemaker.delete_inference_component(InferenceComponentName=one)
    wait_for(lambda: not hosting.sagemaker.list_inference_components(NameContains=one)["InferenceComponents"])
    with pytest.raises(ClientError, match="not found"):
        hosting.ask(endpoint, InferenceComponentName=one)


def test_copies_come_and_go_and_none_is_an_answer_of_its_own(hosting, endpoint):
    name = add(hosting, endpoint, hosting.model(saying("here")))
    settled(hosting, name)

    def resize(n: int) -> dict[str, Any]:
        hosting.sagemaker.update_inference_component_runtime_config(
            InferenceComponentName=name, DesiredRuntimeConfig={"CopyCount": n}
        )
        return settled(hosting, name)

    with Hammer(lambda: hosting.ask(endpoint, InferenceComponentName=name), n_clients=2) as hammer:
        assert resize(3)["RuntimeConfig"] == {"DesiredCopyCount": 3, "CurrentCopyCount": 3}
        assert resize(1)["RuntimeConfig"] == {"DesiredCopyCount": 1, "CurrentCopyCount": 1}
    assert hammer.errors == []
    assert resize(0)["RuntimeConfig"] == {"DesiredCopyCount": 0, "CurrentCopyCount": 0}
    with pytest.raises(
        ClientError, match="Inference Component has no capacity to process this request"
    ) as none:
        hosting.ask(endpoint, InferenceComponentName=name)
    assert none.value.response["Error"]["Code"] == "ValidationError"
    resize(1)
    assert hosting.ask(endpoint, InferenceComponentName=name) == "here"


def test_an_update_brings_another_model_in_without_a_dropped_request(hosting, endpoint):
    name = add(hosting, endpoint, hosting.model(saying("old")))
    settled(hosting, name)
    container = hosting.container(saying("new"))
    with Hammer(lambda: hosting.ask(endpoint, InferenceComponentName=name), n_clients=2) as hammer:
        wait_for(lambda: hammer.answers["old"] or hammer.errors)
        hosting.sagemaker.update_inference_component(
            InferenceComponentName=name,
            Specification={
                "Container": {
                    "Image": container["Image"],
                    "ArtifactUrl": container["ModelDataUrl"],
                    "Environment": container["Environment"],
                },
                "ComputeResourceRequirements": NEEDS,
            },
            DeploymentConfig={
                "RollingUpdatePolicy": {
                    "MaximumBatchSize": {"Type": "COPY_COUNT", "Value": 1},
                    "WaitIntervalInSeconds": 0,
                }
            },
        )
        described = settled(hosting, name)
        wait_for(lambda: hammer.answers["new"] > 10 or hammer.errors)
    assert hammer.errors == []
    assert set(hammer.answers) == {"old", "new"}
    image = described["Specification"]["Container"]["DeployedImage"]["SpecifiedImage"]
    assert image == container["Image"]
    assert "RollingUpdatePolicy" in described["LastDeploymentConfig"]


def test_what_does_not_fit_the_instances_fails_and_says_so(hosting, endpoint):
    model = hosting.model(saying("big"))
    needs = {"MinMemoryRequiredInMb": 7000}
    name = add(hosting, endpoint, model, copies=3, ComputeResourceRequirements=needs)
    described = settled(hosting, name)
    assert described["InferenceComponentStatus"] == "Failed"
    assert "not enough hardware resources" in described["FailureReason"]
    assert "of 3 copies fit on 2 x ml.m5.large" in described["FailureReason"]


def test_managed_instances_follow_the_copies(hosting):
    scaling = {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 3}
    name = room(hosting, ManagedInstanceScaling=scaling)
    (variant,) = hosting.describe(name)["ProductionVariants"]
    assert variant["ManagedInstanceScaling"] == scaling
    model = hosting.model(saying("here"))
    needs = {"MinMemoryRequiredInMb": 5000, "MaxMemoryRequiredInMb": 5000}
    component = add(hosting, name, model, copies=2, ComputeResourceRequirements=needs)
    described = settled(hosting, component)
    assert described["InferenceComponentStatus"] == "InService", described
    assert hosting.ask(name, InferenceComponentName=component) == "here"

    def n_instances() -> int:
        (variant,) = hosting.describe(name)["ProductionVariants"]
        n: int = variant["CurrentInstanceCount"]
        return n

    wait_for(lambda: n_instances() == 2)
    hosting.sagemaker.update_inference_component_runtime_config(
        InferenceComponentName=component, DesiredRuntimeConfig={"CopyCount": 0}
    )
    settled(hosting, component)
    wait_for(lambda: n_instances() == 0)


def test_copies_follow_the_load(hosting, endpoint):
    name = add(hosting, endpoint, hosting.model(saying("here")))
    settled(hosting, name)
    scaling = hosting.account.client("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"inference-component/{name}",
        "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
    }
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=3)
    scaling.put_scaling_policy(
        **target,
        PolicyName="load",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerInferenceComponentInvocationsPerCopy"
            },
            "TargetValue": 60.0,
            "ScaleOutCooldown": 1,
        },
    )

    def n_copies() -> int:
        described = hosting.sagemaker.describe_inference_component(InferenceComponentName=name)
        n: int = described["RuntimeConfig"]["CurrentCopyCount"]
        return n

    with Hammer(lambda: hosting.ask(endpoint, InferenceComponentName=name), n_clients=2) as hammer:
        wait_for(lambda: n_copies() == 3)
    assert hammer.errors == []
    scaling.deregister_scalable_target(**target)


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (
            {"ManagedInstanceScaling": {"Status": "ENABLED", "MaxInstanceCount": 2}},
            "for variants of inference",
        ),
    ],
)
def test_a_variant_with_a_model_is_scaled_otherwise(hosting, members, text):
    with pytest.raises(ClientError, match=text):
        hosting.config(hosting.variant(hosting.model(saying("x")), **members))


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"BaseInferenceComponentName": "base"}, "BaseInferenceComponentName is not served yet"),
        ({"Container": {"Image": "x"}}, "give ModelName or Container"),
    ],
)
def test_what_is_not_served_is_refused_by_its_member(hosting, endpoint, members, text):
    with pytest.raises(ClientError, match=text):
        add(hosting, endpoint, hosting.model(saying("x")), **members)


def test_endpoints_whose_variants_have_models_take_no_components(hosting):
    model = hosting.model(saying("x"))
    name = hosting.endpoint(hosting.config(hosting.variant(model)))
    with pytest.raises(ClientError, match="need a variant without ModelName"):
        hosting.sagemaker.create_inference_component(
            InferenceComponentName=f"ic-{ids.short()}",
            EndpointName=name,
            Specification={"ModelName": model, "ComputeResourceRequirements": NEEDS},
            RuntimeConfig={"CopyCount": 1},
        )
    with pytest.raises(ClientError, match="ExecutionRoleArn is required"):
        hosting.config({"VariantName": "v", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1})
    runtime = hosting.account.client(
        "sagemaker-runtime", config=Config(retries={"total_max_attempts": 1}, proxies={})
    )
    with pytest.raises(ClientError, match="not found"):
        runtime.invoke_endpoint(EndpointName=name, Body=b"?", InferenceComponentName="nobody")
