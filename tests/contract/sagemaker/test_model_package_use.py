"""What model packages are for: models made of them, validation by a transform job, lineage."""

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.testing.jobs import new_bucket
from clary.testing.transform import script_container

pytestmark = pytest.mark.documented

TWICE = """
def model_fn(folder):
    return None
def transform_fn(model, data, content_type, accept):
    rows = [float(row) for row in data.split()]
    return "".join(f"{2 * row}\\n" for row in rows), "text/csv"
"""
BROKEN = """
def model_fn(folder):
    return None
def transform_fn(model, data, content_type, accept):
    raise ValueError("no such column: age")
"""


@pytest.fixture(scope="module")
def place(clary_server):
    account = clary_server.account()
    return account, account.client("sagemaker"), new_bucket(account)


def refused(match: str, call: Any, /, **request: Any) -> None:
    with pytest.raises(ClientError, match=match):
        call(**request)


def registered(sagemaker: Any, group: str, *containers: dict[str, Any], **members: Any) -> str:
    """Return the ARN of the first version of a new group."""
    sagemaker.create_model_package_group(ModelPackageGroupName=group)
    made = sagemaker.create_model_package(
        ModelPackageGroupName=group, InferenceSpecification={"Containers": list(containers)}, **members
    )
    return str(made["ModelPackageArn"])


def made(place: Any, name: str, **members: Any) -> dict[str, Any]:
    account, sagemaker, _ = place
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=account.role_arn, **members)
    return dict(sagemaker.describe_model(ModelName=name))


def test_a_model_is_made_of_an_approved_version_alone(place):
    account, sagemaker, bucket = place
    container = script_container(account, bucket, TWICE, LEVEL="info")
    arn = registered(sagemaker, "gate", container)
    asked = {"ModelPackageName": arn, "Environment": {"MORE": "1"}}
    for status in ("PendingManualApproval", "Rejected"):
        sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status)
        refused(status, sagemaker.create_model, ModelName="gated", PrimaryContainer=asked)
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    shown = made(place, "gated", PrimaryContainer={**asked, "ModelPackageName": "gate/1"})["PrimaryContainer"]
    assert shown == {
        "Mode": "SingleModel",
        "Image": container["Image"],
        "ModelDataUrl": container["ModelDataUrl"],
        "ModelPackageName": arn,
        "Environment": {**container["Environment"], "MORE": "1"},
    }
    sagemaker.delete_model_package(ModelPackageName=arn)
    assert sagemaker.describe_model(ModelName="gated")["PrimaryContainer"] == shown


def test_a_package_of_several_containers_is_a_pipeline(place):
    account, sagemaker, bucket = place
    first, second = (script_container(account, bucket, TWICE) for _ in range(2))
    arn = registered(sagemaker, "chain", first, second, ModelApprovalStatus="Approved")
    urls = [first["ModelDataUrl"], second["ModelDataUrl"]]
    shown = made(place, "chained", PrimaryContainer={"ModelPackageName": arn})
    assert "PrimaryContainer" not in shown
    assert [each["ModelDataUrl"] for each in shown["Containers"]] == urls
    shown = made(place, "chained-on", Containers=[first, {"ModelPackageName": arn}])
    assert [each["ModelDataUrl"] for each in shown["Containers"]] == [urls[0], *urls]


def test_an_additional_specification_is_chosen_by_its_name(place):
    account, sagemaker, bucket = place
    own, small = (script_container(account, bucket, TWICE) for _ in range(2))
    more = [{"Name": "small", "Containers": [small]}]
    arn = registered(
        sagemaker, "two", own, AdditionalInferenceSpecifications=more, ModelApprovalStatus="Approved"
    )
    asked = {"ModelPackageName": arn, "InferenceSpecificationName": "small"}
    assert (
        made(place, "small", PrimaryContainer=asked)["PrimaryContainer"]["ModelDataUrl"]
        == small["ModelDataUrl"]
    )
    wrong = {**asked, "InferenceSpecificationName": "large"}
    refused("these additional ones: small", sagemaker.create_model, ModelName="x", PrimaryContainer=wrong)
    both = {**asked, "Image": own["Image"]}
    refused("Image: ModelPackageName", sagemaker.create_model, ModelName="x", PrimaryContainer=both)


def test_a_model_is_registered_by_its_arn(place):
    account, sagemaker, bucket = place
    container = script_container(account, bucket, TWICE)
    model = made(place, "to-register", PrimaryContainer=container)["ModelArn"]
    sagemaker.create_model_package_group(ModelPackageGroupName="from-model")
    arn = sagemaker.create_model_package(ModelPackageGroupName="from-model", SourceUri=model)[
        "ModelPackageArn"
    ]
    shown = sagemaker.describe_model_package(ModelPackageName=arn)
    assert shown["SourceUri"] == model
    [only] = shown["InferenceSpecification"]["Containers"]
    assert only.pop("ModelDataETag")
    assert only == container
    sagemaker.create_model_package(ModelPackageGroupName="from-model", ModelApprovalStatus="Approved")
    bare = {"ModelPackageName": "from-model/2"}
    refused("no InferenceSpecification", sagemaker.create_model, ModelName="x", PrimaryContainer=bare)


def validated(place: Any, name: str, text: str) -> dict[str, Any]:
    """Return a package with a validation once that has ended."""
    account, sagemaker, bucket = place
    account.client("s3").put_object(Bucket=bucket, Key=f"{name}/rows.csv", Body=b"1\n2\n3\n")
    definition = {
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{name}/"}},
            "ContentType": "text/csv",
        },
        "TransformOutput": {"S3OutputPath": f"s3://{bucket}/{name}-out/"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    specification = {
        "Containers": [script_container(account, bucket, text)],
        "SupportedTransformInstanceTypes": ["ml.m5.large"],
        "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
    }
    validation = {
        "ValidationRole": account.role_arn,
        "ValidationProfiles": [{"ProfileName": "rows", "TransformJobDefinition": definition}],
    }
    sagemaker.create_model_package(
        ModelPackageName=name, InferenceSpecification=specification, ValidationSpecification=validation
    )
    shown = dict(sagemaker.describe_model_package(ModelPackageName=name))
    deadline = time.monotonic() + 120.0
    while shown["ModelPackageStatus"] == "InProgress" and time.monotonic() < deadline:
        time.sleep(0.1)
        shown = sagemaker.describe_model_package(ModelPackageName=name)
    return shown


def test_a_validation_runs_its_transform_job_and_shows_its_end(place):
    account, sagemaker, bucket = place
    shown = validated(place, "healthy", TWICE)
    [status] = shown["ModelPackageStatusDetails"]["ValidationStatuses"]
    assert (shown["ModelPackageStatus"], status) == ("Completed", {"Name": "rows", "Status": "Completed"})
    rows = account.client("s3").get_object(Bucket=bucket, Key="healthy-out/rows.csv.out")["Body"].read()
    assert rows.split() == [b"2.0", b"4.0", b"6.0"]
    [job] = sagemaker.list_transform_jobs(NameContains="healthy-rows")["TransformJobSummaries"]
    assert job["TransformJobStatus"] == "Completed"
    made(place, "healthy", PrimaryContainer={"ModelPackageName": "healthy"})
    changed = {
        "ModelPackageArn": shown["ModelPackageArn"],
        "InferenceSpecification": shown["InferenceSpecification"],
    }
    refused("register another package", sagemaker.update_model_package, **changed)


def test_a_validation_that_fails_says_why_and_nothing_is_made_of_the_package(place):
    _, sagemaker, _ = place
    shown = validated(place, "unsound", BROKEN)
    [status] = shown["ModelPackageStatusDetails"]["ValidationStatuses"]
    assert (shown["ModelPackageStatus"], status["Status"]) == ("Failed", "Failed")
    assert "no such column: age" in status["FailureReason"]
    asked = {"ModelPackageName": "unsound"}
    refused("must be Completed", sagemaker.create_model, ModelName="unsound", PrimaryContainer=asked)


def test_lineage_leads_from_model_data_by_the_approval_to_the_model(place):
    account, sagemaker, bucket = place
    container = script_container(account, bucket, TWICE)
    arn = registered(sagemaker, "traced", container, ModelApprovalStatus="Approved")
    group = sagemaker.describe_model_package_group(ModelPackageGroupName="traced")["ModelPackageGroupArn"]
    [context] = sagemaker.list_contexts(SourceUri=group)["ContextSummaries"]
    assert context["ContextType"] == "ModelGroup"
    [action] = sagemaker.list_actions(SourceUri=arn, ActionType="Approval")["ActionSummaries"]
    assert action["Status"] == "Completed"
    model = made(place, "traced", PrimaryContainer={"ModelPackageName": arn})["ModelArn"]
    below = sagemaker.query_lineage(
        StartArns=[action["ActionArn"]], Direction="Descendants", IncludeEdges=False
    )
    found = {each["Type"] for each in below["Vertices"]}
    assert found >= {"ModelGroup", "SageMakerModel"}
    above = sagemaker.query_lineage(
        StartArns=[action["ActionArn"]], Direction="Ascendants", IncludeEdges=False
    )
    assert {each["Type"] for each in above["Vertices"]} >= {"ModelPackage", "Model", "Image"}
    sagemaker.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Rejected", ApprovalDescription="drifts"
    )
    told = sagemaker.describe_action(ActionName=action["ActionName"])
    assert (told["Status"], told["Description"]) == ("Stopped", "drifts")
    assert told["Properties"] == {"ModelApprovalStatus": "Rejected"}
    assert model
