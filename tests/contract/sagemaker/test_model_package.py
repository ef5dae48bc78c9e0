"""The model registry through boto3: groups, versions, approval, lists, search, policies, refusals."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.testing.jobs import XGBOOST, new_bucket

pytestmark = pytest.mark.documented

DATA = "s3://nobody-has-this/model.tar.gz"


@pytest.fixture(scope="module")
def account(clary_server):
    return clary_server.account()


@pytest.fixture(scope="module")
def sagemaker(account):
    return account.client("sagemaker")


def specification(url: str = DATA, **container: Any) -> dict[str, Any]:
    return {
        "Containers": [{"Image": XGBOOST, "ModelDataUrl": url, **container}],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
        "SupportedTransformInstanceTypes": ["ml.m5.large"],
        "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
    }


def group_of(sagemaker: Any, name: str, **members: Any) -> str:
    return str(
        sagemaker.create_model_package_group(ModelPackageGroupName=name, **members)["ModelPackageGroupArn"]
    )


def version_of(sagemaker: Any, group: str, **members: Any) -> str:
    made = sagemaker.create_model_package(
        ModelPackageGroupName=group, **{"InferenceSpecification": specification(), **members}
    )
    return str(made["ModelPackageArn"])


def listed(sagemaker: Any, **asked: Any) -> list[str]:
    pages = sagemaker.get_paginator("list_model_packages").paginate(**asked)
    return [each["ModelPackageArn"] for page in pages for each in page["ModelPackageSummaryList"]]


def refused(match: str, call: Any, *, code: str = "ValidationException", **request: Any) -> None:
    with pytest.raises(ClientError, match=match) as error:
        call(**request)
    assert error.value.response["Error"]["Code"] == code


def test_a_group_lives_and_dies(sagemaker):
    tags = [{"Key": "team", "Value": "fraud"}]
    arn = group_of(sagemaker, "Life", ModelPackageGroupDescription="of one", Tags=tags)
    assert arn.endswith(":model-package-group/Life")
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
    shown = sagemaker.describe_model_package_group(ModelPackageGroupName=arn)
    assert shown["ModelPackageGroupName"] == "Life"
    assert shown["ModelPackageGroupStatus"] == "Completed"
    assert shown["ModelPackageGroupDescription"] == "of one"
    assert "assumed-role" in shown["CreatedBy"]["IamIdentity"]["Arn"]
    refused("already exists", sagemaker.create_model_package_group, ModelPackageGroupName="Life")
    version = version_of(sagemaker, "Life")
    refused(
        "must be deleted first.*Life/1",
        sagemaker.delete_model_package_group,
        code="ConflictException",
        ModelPackageGroupName="Life",
    )
    sagemaker.delete_model_package(ModelPackageName=version)
    sagemaker.delete_model_package_group(ModelPackageGroupName="Life")
    refused("does not exist", sagemaker.describe_model_package_group, ModelPackageGroupName="Life")
    refused("does not exist", sagemaker.create_model_package, ModelPackageGroupName="Life")


def test_groups_are_listed_by_name_and_time_in_pages(clary_server):
    sagemaker = clary_server.account().client("sagemaker")
    for name in ("churn-b", "churn-a", "other"):
        group_of(sagemaker, name)

    def names(**asked: Any) -> list[str]:
        pages = sagemaker.get_paginator("list_model_package_groups").paginate(
            **asked, PaginationConfig={"PageSize": 1}
        )
        return [
            each["ModelPackageGroupName"] for page in pages for each in page["ModelPackageGroupSummaryList"]
        ]

    assert names() == ["other", "churn-a", "churn-b"]
    assert names(SortBy="Name", SortOrder="Ascending") == ["churn-a", "churn-b", "other"]
    assert names(NameContains="churn", CrossAccountFilterOption="SameAccount") == ["churn-a", "churn-b"]
    made = sagemaker.describe_model_package_group(ModelPackageGroupName="churn-a")["CreationTime"]
    assert names(CreationTimeAfter=made, NameContains="churn-b") == []
    refused("CrossAccount", sagemaker.list_model_package_groups, CrossAccountFilterOption="CrossAccount")


def test_a_policy_is_kept_as_given_until_it_is_deleted(sagemaker):
    group_of(sagemaker, "shared")
    asked = {"ModelPackageGroupName": "shared"}
    refused("Cannot find resource policy", sagemaker.get_model_package_group_policy, **asked)
    refused("not JSON", sagemaker.put_model_package_group_policy, **asked, ResourcePolicy="{")
    refused("Statement", sagemaker.put_model_package_group_policy, **asked, ResourcePolicy="{}")
    text = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]}'
    put = sagemaker.put_model_package_group_policy(**asked, ResourcePolicy=text)
    assert put["ModelPackageGroupArn"].endswith("/shared")
    assert sagemaker.get_model_package_group_policy(**asked)["ResourcePolicy"] == text
    for _ in range(2):
        sagemaker.delete_model_package_group_policy(**asked)
    refused("Cannot find resource policy", sagemaker.get_model_package_group_policy, **asked)


def test_versions_count_up_and_no_number_is_used_again(sagemaker):
    group_of(sagemaker, "numbers")
    first, second = version_of(sagemaker, "numbers"), version_of(sagemaker, "numbers")
    assert first.endswith(":model-package/numbers/1")
    assert second.endswith(":model-package/numbers/2")
    sagemaker.delete_model_package(ModelPackageName=second)
    refused("does not exist", sagemaker.describe_model_package, ModelPackageName=second)
    assert version_of(sagemaker, "numbers").endswith("numbers/3")
    group = sagemaker.describe_model_package_group(ModelPackageGroupName="numbers")["ModelPackageGroupArn"]
    assert version_of(sagemaker, group).endswith("numbers/4")
    with ThreadPoolExecutor(4) as pool:
        arns = list(pool.map(lambda _: version_of(sagemaker, "numbers"), range(12)))
    assert sorted(int(arn.rpartition("/")[2]) for arn in arns) == list(range(5, 17))


def test_a_token_makes_one_version_however_often_it_is_sent(sagemaker):
    group_of(sagemaker, "tokens")
    with ThreadPoolExecutor(4) as pool:
        arns = set(pool.map(lambda _: version_of(sagemaker, "tokens", ClientToken="once"), range(8)))
    assert [arn.rpartition("/")[2] for arn in arns] == ["1"]
    refused(
        "another request",
        sagemaker.create_model_package,
        code="ConflictException",
        ModelPackageGroupName="tokens",
        ClientToken="once",
    )
    sagemaker.delete_model_package(ModelPackageName=arns.pop())
    assert version_of(sagemaker, "tokens", ClientToken="once").endswith("/2")


def test_a_version_keeps_what_it_is_told(sagemaker):
    group_of(sagemaker, "kept")
    source = {"ContentType": "application/json", "S3Uri": "s3://b/statistics.json"}
    told = {
        "ModelPackageDescription": "trees",
        "ModelPackageRegistrationType": "Registered",
        "InferenceSpecification": specification(Environment={"A": "1"}, Framework="XGBOOST"),
        "AdditionalInferenceSpecifications": [{"Name": "small", "Containers": [{"Image": XGBOOST}]}],
        "ModelMetrics": {"ModelQuality": {"Statistics": source}},
        "DriftCheckBaselines": {"ModelQuality": {"Statistics": source}},
        "CustomerMetadataProperties": {"owner": "risk"},
        "MetadataProperties": {"CommitId": "abc", "GeneratedBy": "arn:aws:sagemaker:::training-job/x"},
        "Domain": "MACHINE_LEARNING",
        "Task": "CLASSIFICATION",
        "SamplePayloadUrl": "s3://b/payload.tar.gz",
        "SkipModelValidation": "All",
        "ModelCard": {
            "ModelCardContent": '{"intended_uses": {"risk_rating": "Low", "purpose_of_model": "churn"}}',
            "ModelCardStatus": "Draft",
        },
        "ModelLifeCycle": {"Stage": "Development", "StageStatus": "PendingApproval"},
    }
    arn = version_of(sagemaker, "kept", **told)
    shown = sagemaker.describe_model_package(ModelPackageName=arn)
    assert {name: shown[name] for name in told} == told
    assert (shown["ModelPackageName"], shown["ModelPackageVersion"]) == ("kept/1", 1)
    assert shown["ModelPackageGroupName"] == "kept"
    assert shown["ModelPackageStatus"] == "Completed"
    assert shown["ModelApprovalStatus"] == "PendingManualApproval"
    assert shown["ModelPackageStatusDetails"] == {"ValidationStatuses": [], "ImageScanStatuses": []}
    assert "LastModifiedBy" not in shown
    assert sagemaker.describe_model_package(ModelPackageName="kept/1")["ModelPackageArn"] == arn
    hidden = sagemaker.describe_model_package(ModelPackageName=arn, IncludedData="MetadataOnly")
    assert hidden["ModelCard"]["ModelCardContent"] == '{"intended_uses": {"risk_rating": "Low"}}'
    made = sagemaker.create_model_package(ModelPackageGroupName="kept", SourceUri=arn)["ModelPackageArn"]
    clone = sagemaker.describe_model_package(ModelPackageName=made)
    for name in ("InferenceSpecification", "ModelMetrics", "CustomerMetadataProperties", "Task"):
        assert clone[name] == told[name]
    assert (clone["SourceUri"], "ModelCard" in clone) == (arn, False)


def test_an_update_changes_what_is_given(sagemaker):
    group_of(sagemaker, "changes")
    arn = version_of(sagemaker, "changes", CustomerMetadataProperties={"a": "1", "b": "2"})

    def after(**changes: Any) -> dict[str, Any]:
        assert sagemaker.update_model_package(ModelPackageArn=arn, **changes)["ModelPackageArn"] == arn
        return dict(sagemaker.describe_model_package(ModelPackageName=arn))

    shown = after(ModelApprovalStatus="Approved", ApprovalDescription="good enough")
    assert (shown["ModelApprovalStatus"], shown["ApprovalDescription"]) == ("Approved", "good enough")
    assert "assumed-role" in shown["LastModifiedBy"]["IamIdentity"]["Arn"]
    shown = after(CustomerMetadataProperties={"b": "3", "c": "4"}, CustomerMetadataPropertiesToRemove=["a"])
    assert shown["CustomerMetadataProperties"] == {"b": "3", "c": "4"}
    assert "CustomerMetadataProperties" not in after(CustomerMetadataPropertiesToRemove=["b", "c"])
    small = {"Name": "small", "Containers": [{"Image": XGBOOST}]}
    assert after(AdditionalInferenceSpecificationsToAdd=[small])["AdditionalInferenceSpecifications"] == [
        small
    ]
    refused(
        "'small' already",
        sagemaker.update_model_package,
        ModelPackageArn=arn,
        AdditionalInferenceSpecificationsToAdd=[small],
    )
    other = specification("s3://nobody-has-this/other.tar.gz")
    assert after(InferenceSpecification=other)["InferenceSpecification"] == other
    stage = {"Stage": "Production", "StageStatus": "Approved", "StageDescription": "live"}
    shown = after(SourceUri="s3://b/source", ModelLifeCycle=stage)
    assert (shown["SourceUri"], shown["ModelLifeCycle"]) == ("s3://b/source", stage)
    assert after(ModelCard={"ModelCardContent": '{"a": 1}'})["ModelCard"]["ModelCardStatus"] == "Draft"
    assert after(ModelCard={"ModelCardStatus": "Archived"})["ModelCard"]["ModelCardContent"] == '{"a": 1}'
    card = {"ModelCardContent": "{}"}
    refused("Archived state", sagemaker.update_model_package, ModelPackageArn=arn, ModelCard=card)


def test_lists_tell_versions_from_packages_of_their_own(clary_server):
    sagemaker = clary_server.account().client("sagemaker")
    group_of(sagemaker, "listed")
    group_of(sagemaker, "listed-more")
    one, two = (
        version_of(sagemaker, "listed", ModelApprovalStatus="Approved"),
        version_of(sagemaker, "listed"),
    )
    more = version_of(sagemaker, "listed-more")
    alone = sagemaker.create_model_package(
        ModelPackageName="alone", InferenceSpecification=specification(), ModelApprovalStatus="Approved"
    )["ModelPackageArn"]
    assert alone.endswith(":model-package/alone")
    assert listed(sagemaker) == [alone]
    assert listed(sagemaker, ModelPackageType="Versioned") == [more, two, one]
    assert listed(sagemaker, ModelPackageType="Both", PaginationConfig={"PageSize": 1}) == [
        alone,
        more,
        two,
        one,
    ]
    assert listed(sagemaker, ModelPackageGroupName="listed") == [two, one]
    approved = {"ModelApprovalStatus": "Approved", "SortBy": "CreationTime", "SortOrder": "Ascending"}
    assert listed(sagemaker, ModelPackageGroupName="listed", **approved) == [one]
    assert listed(sagemaker, ModelPackageType="Both", NameContains="listed-") == [more]
    assert listed(sagemaker, NameContains="none") == []
    shown = sagemaker.describe_model_package(ModelPackageName="alone")
    assert "ModelApprovalStatus" not in shown
    found = sagemaker.batch_describe_model_package(ModelPackageArnList=[one, alone, f"{one}9"])
    assert list(found["ModelPackageSummaries"]) == [one]
    assert found["ModelPackageSummaries"][one]["ModelApprovalStatus"] == "Approved"
    assert set(found["BatchDescribeModelPackageErrorMap"]) == {alone, f"{one}9"}


def test_search_finds_groups_and_versions(sagemaker):
    group_of(sagemaker, "sought")
    version_of(sagemaker, "sought", CustomerMetadataProperties={"owner": "risk"})
    version_of(sagemaker, "sought", ModelApprovalStatus="Approved")

    def found(resource: str, **wanted: str) -> list[Any]:
        filters = [{"Name": name.replace("__", "."), "Value": value} for name, value in wanted.items()]
        answer = sagemaker.search(Resource=resource, SearchExpression={"Filters": filters})
        return [each[resource] for each in answer["Results"]]

    assert [
        each["ModelPackageGroupStatus"] for each in found("ModelPackageGroup", ModelPackageGroupName="sought")
    ] == ["Completed"]
    versions = found("ModelPackage", ModelPackageGroupName="sought", ModelApprovalStatus="Approved")
    assert [each["ModelPackageVersion"] for each in versions] == [2]
    owned = found("ModelPackage", ModelPackageGroupName="sought", CustomerMetadataProperties__owner="risk")
    assert [each["ModelPackageVersion"] for each in owned] == [1]
    hint = {"PropertyNameQuery": {"PropertyNameHint": "ModelAppr"}}
    names = sagemaker.get_search_suggestions(Resource="ModelPackage", SuggestionQuery=hint)
    assert names["PropertyNameSuggestions"] == [{"PropertyName": "ModelApprovalStatus"}]


def test_model_data_are_told_apart_by_their_etag(account, sagemaker):
    bucket = new_bucket(account)
    etag = account.client("s3").put_object(Bucket=bucket, Key="model.tar.gz", Body=b"one")["ETag"].strip('"')
    group_of(sagemaker, "stamped")
    arn = version_of(
        sagemaker, "stamped", InferenceSpecification=specification(f"s3://{bucket}/model.tar.gz")
    )
    shown = sagemaker.describe_model_package(ModelPackageName=arn)["InferenceSpecification"]["Containers"][0]
    assert (shown["ModelDataUrl"], shown["ModelDataETag"]) == (f"s3://{bucket}/model.tar.gz", etag)


def test_what_a_package_cannot_be_is_refused_by_name(sagemaker):
    group_of(sagemaker, "refusals")
    whole: dict[str, Any] = {"InferenceSpecification": specification()}
    versioned, alone = {"ModelPackageGroupName": "refusals"}, {"ModelPackageName": "refused"}
    algorithm = {"SourceAlgorithms": [{"AlgorithmName": "mine"}]}
    bare = {"Containers": [{"Image": XGBOOST}]}
    role = "arn:aws:iam::000000000000:role/R"
    skipped = {
        "SkipModelValidation": "All",
        "ValidationSpecification": {"ValidationRole": role, "ValidationProfiles": []},
    }
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({**versioned, **alone, **whole}, "Both ModelPackageName and ModelPackageGroupName"),
        (whole, "Give ModelPackageGroupName"),
        ({**versioned, **whole, "Tags": [{"Key": "a", "Value": "b"}]}, "tag the group"),
        ({**alone, "SourceAlgorithmSpecification": algorithm}, "SourceAlgorithmSpecification: algorithms"),
        ({**alone, **whole, "CertifyForMarketplace": True}, "CertifyForMarketplace"),
        ({**alone, **whole, "SourceUri": "s3://b/x"}, "SourceUri is for versions"),
        ({**alone, "InferenceSpecification": bare}, "SupportedTransformInstanceTypes is required"),
        (alone, "InferenceSpecification is required"),
        ({**versioned, "InferenceSpecification": {"Containers": [{}]}}, "Containers.1: .*must have an Image"),
        (
            {**versioned, "InferenceSpecification": {"Containers": [{"Image": "x"}]}},
            "Containers.1: image 'x'",
        ),
        ({**versioned, "ModelCard": {"ModelCardContent": "{", "ModelCardStatus": "Draft"}}, "not JSON"),
        ({**versioned, "SecurityConfig": {"KmsKeyId": "k"}}, "SecurityConfig"),
        ({**alone, **whole, **skipped}, "SkipModelValidation All"),
    )
    for request, match in wrong:
        refused(match, sagemaker.create_model_package, **request)
    sagemaker.create_model_package(**alone, **whole)
    refused("ModelPackage already exists", sagemaker.create_model_package, **alone, **whole)
    arn = sagemaker.describe_model_package(ModelPackageName="refused")["ModelPackageArn"]
    refused(
        "is no version", sagemaker.update_model_package, ModelPackageArn=arn, ModelApprovalStatus="Approved"
    )
    assert listed(sagemaker, ModelPackageGroupName="refusals") == []


def test_another_account_sees_nothing(clary_server, sagemaker):
    group_of(sagemaker, "secret")
    arn = version_of(sagemaker, "secret")
    other = clary_server.account().client("sagemaker")
    denied: dict[str, Any] = {"code": "AccessDeniedException"}
    refused("not authorized", other.describe_model_package, **denied, ModelPackageName=arn)
    refused("not authorized", other.update_model_package, **denied, ModelPackageArn=arn, SourceUri="x")
    refused("does not exist", other.list_model_packages, ModelPackageGroupName="secret")
    errors = other.batch_describe_model_package(ModelPackageArnList=[arn])[
        "BatchDescribeModelPackageErrorMap"
    ]
    assert errors[arn]["ErrorCode"] == "AccessDeniedException"
