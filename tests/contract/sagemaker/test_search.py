"""Search through boto3: properties of the record shapes, operators by type, nesting, tags, pages."""

import numpy as np
import pytest
from botocore.exceptions import ClientError

from clary.testing.jobs import training_request, upload_csv, wait_for_endpoint, wait_for_job


@pytest.fixture(scope="module")
def account(clary_server):
    """An account with one job that has metrics, and two that will find no data."""
    account = clary_server.account()
    client = account.client("sagemaker")
    bucket = upload_csv(account, "train/data.csv", np.random.default_rng(2).integers(0, 2, (50, 3)))
    for name, rounds, channels, team in (
        ("trained", "4", ("train",), "red"),
        ("empty-1", "12", ("missing",), "blue"),
        ("empty-2", "100", ("train", "missing"), ""),
    ):
        request = training_request(
            account,
            bucket,
            channels=channels,
            hyperparameters={"num_round": rounds, "objective": "binary:logistic", "eval_metric": "auc"},
        )
        tags = [{"Key": "team", "Value": team}] if team else []
        client.create_training_job(**{**request, "TrainingJobName": name, "Tags": tags})
    assert wait_for_job(account, "trained")["TrainingJobStatus"] == "Completed"
    for name in ("empty-1", "empty-2"):
        wait_for_job(account, name)
    return account


def found(account, *filters, resource="TrainingJob", nested=(), **more):
    expression = {
        "Filters": [dict(zip(("Name", "Operator", "Value"), each, strict=False)) for each in filters]
    }
    expression = {name: value for name, value in expression.items() if value}
    if nested:
        expression["NestedFilters"] = [
            {
                "NestedPropertyName": name,
                "Filters": [dict(zip(("Name", "Operator", "Value"), each, strict=False)) for each in inner],
            }
            for name, *inner in nested
        ]
    answer = account.client("sagemaker").search(
        **{"Resource": resource, "SearchExpression": expression, "SortBy": "CreationTime", **more}
    )
    return [each[resource]["TrainingJobName"] for each in answer["Results"]]


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ([("TrainingJobName", "Equals", "trained")], ["trained"]),
        ([("TrainingJobName", "Contains", "empty")], ["empty-2", "empty-1"]),
        ([("TrainingJobName", "In", "trained, empty-2")], ["empty-2", "trained"]),
        ([("TrainingJobStatus", "NotEquals", "Failed")], ["trained"]),
        ([("HyperParameters.num_round", "GreaterThan", "9")], ["empty-2", "empty-1"]),
        ([("HyperParameters.num_round", "Equals", "4")], ["trained"]),
        ([("HyperParameters.eta", "NotExists")], ["empty-2", "empty-1", "trained"]),
        ([("Metrics.train:auc", "GreaterThan", "0.1")], ["trained"]),
        ([("Metrics.train:auc", "LessThan", "0.1")], []),
        ([("Metrics.train:auc", "Exists")], ["trained"]),
        ([("Metrics.train:auc", "NotExists")], ["empty-2", "empty-1"]),
        ([("Tags.team", "Equals", "red")], ["trained"]),
        ([("Tags.team", "NotExists")], ["empty-2"]),
        ([("CreationTime", "LessThan", "2001-01-01T00:00:00")], []),
        (
            [("CreationTime", "GreaterThanOrEqualTo", "2001-01-01T00:00:00Z")],
            ["empty-2", "empty-1", "trained"],
        ),
        ([("EnableNetworkIsolation", "Equals", "false")], ["empty-2", "empty-1", "trained"]),
        ([("ResourceConfig.InstanceCount", "LessThanOrEqualTo", "1")], ["empty-2", "empty-1", "trained"]),
        ([("InputDataConfig.ChannelName", "Equals", "missing")], ["empty-2", "empty-1"]),
        ([("FailureReason", "Exists")], ["empty-2", "empty-1"]),
    ],
    ids=lambda value: (
        " ".join(value[0]) if isinstance(value, list) and value and isinstance(value[0], tuple) else ""
    ),
)
def test_filters_find_what_they_say(account, filters, wanted):
    assert found(account, *filters) == wanted


def test_a_nested_filter_asks_one_element_for_everything(account):
    same = (
        "InputDataConfig",
        ("ChannelName", "Equals", "missing"),
        ("DataSource.S3DataSource.S3Uri", "Contains", "/missing"),
    )
    mixed = (
        "InputDataConfig",
        ("InputDataConfig.ChannelName", "Equals", "train"),
        ("DataSource.S3DataSource.S3Uri", "Contains", "/missing"),
    )
    assert found(account, nested=[same]) == ["empty-2", "empty-1"]
    assert found(account, nested=[mixed]) == []


def test_or_and_sub_expressions(account):
    def equals(name):
        return {"Name": "TrainingJobName", "Value": name}

    both = {"Filters": [equals("trained"), equals("empty-1")], "Operator": "Or"}
    failed = {"Name": "TrainingJobStatus", "Value": "Failed"}
    assert found(account, SearchExpression=both) == ["empty-1", "trained"]
    assert found(account, SearchExpression={"SubExpressions": [both], "Filters": [failed]}) == ["empty-1"]


@pytest.mark.inferred
def test_an_arn_equals_any_of_several(account):
    """Source: SageMaker SDK 2.257, `Artifact.downstream_trials`, which joins ARNs by commas."""
    client = account.client("sagemaker")
    names = ("empty-1", "trained")
    arns = [client.describe_training_job(TrainingJobName=name)["TrainingJobArn"] for name in names]
    assert sorted(found(account, ("TrainingJobArn", "Equals", ",".join(arns)))) == sorted(names)


def test_results_are_sorted_by_any_property_and_paged(account):
    client = account.client("sagemaker")
    assert found(account, SortBy="TrainingJobName", SortOrder="Ascending") == [
        "empty-1",
        "empty-2",
        "trained",
    ]
    by_rounds = found(account, SortBy="HyperParameters.num_round", SortOrder="Ascending")
    assert by_rounds == ["trained", "empty-1", "empty-2"]  # 4, 12, 100
    by_metric = found(account, SortBy="Metrics.train:auc", SortOrder="Descending", MaxResults=1)
    assert by_metric == ["trained"]
    assert found(account, SortBy="Metrics.train:auc", SortOrder="Ascending")[2] == "trained"
    paged = client.get_paginator("search").paginate(
        Resource="TrainingJob", SortBy="CreationTime", PaginationConfig={"PageSize": 2}
    )
    names = [[each["TrainingJob"]["TrainingJobName"] for each in page["Results"]] for page in paged]
    assert names == [["empty-2", "empty-1"], ["trained"]]
    assert client.search(Resource="TrainingJob")["TotalHits"] == {"Value": 3, "Relation": "EqualTo"}


def test_a_result_is_the_record_with_its_tags_and_nothing_private(account):
    client = account.client("sagemaker")
    (result,) = client.search(
        Resource="TrainingJob",
        SearchExpression={"Filters": [{"Name": "TrainingJobName", "Value": "trained"}]},
    )["Results"]
    described = client.describe_training_job(TrainingJobName="trained")
    record = result["TrainingJob"]
    assert record.pop("Tags") == [{"Key": "team", "Value": "red"}]
    assert record == {name: described[name] for name in record}
    assert {"ModelArtifacts", "FinalMetricDataList", "SecondaryStatusTransitions"} <= set(record)


def test_visibility_keeps_what_has_the_value_and_what_has_no_such_tag(account):
    visible = found(account, VisibilityConditions=[{"Key": "Tags.team", "Value": "red"}])
    assert visible == ["empty-2", "trained"]
    with pytest.raises(ClientError, match="accounts share nothing"):
        found(account, CrossAccountFilterOption="CrossAccount")


def test_a_model_is_found_inside_its_dashboard_record(clary_server):
    account = clary_server.account()
    client = account.client("sagemaker")
    for name in ("one", "two"):
        client.create_model(
            ModelName=name,
            PrimaryContainer={
                "Image": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
            },
        )
    for name in ("ModelName", "Model.ModelName"):
        (result,) = client.search(
            Resource="Model", SearchExpression={"Filters": [{"Name": name, "Value": "two"}]}
        )["Results"]
        assert result["Model"]["Model"]["ModelName"] == "two"
    assert clary_server.account().client("sagemaker").search(Resource="Model")["Results"] == []


def test_an_endpoint_is_found_by_its_variants(account):
    client = account.client("sagemaker")
    artefact = client.describe_training_job(TrainingJobName="trained")["ModelArtifacts"]["S3ModelArtifacts"]
    image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
    client.create_model(ModelName="m", PrimaryContainer={"Image": image, "ModelDataUrl": artefact})
    for name, weight in (("light", 0.5), ("heavy", 2.0)):
        variant = {
            "VariantName": name,
            "ModelName": "m",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": weight,
        }
        client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        client.create_endpoint(EndpointName=name, EndpointConfigName=name)
    for name in ("light", "heavy"):
        assert wait_for_endpoint(account, name)["EndpointStatus"] == "InService"
    try:
        for inner, wanted in (
            ([("VariantName", "heavy")], ["heavy"]),
            ([("ProductionVariants.CurrentWeight", "0.5")], ["light"]),
            ([("VariantName", "heavy"), ("CurrentWeight", "0.5")], []),
            ([("CurrentInstanceCount", "1")], ["heavy", "light"]),
            ([("DeployedImages.SpecifiedImage", image)], ["heavy", "light"]),
        ):
            filters = [{"Name": name, "Operator": "Equals", "Value": value} for name, value in inner]
            nested = {"NestedPropertyName": "ProductionVariants", "Filters": filters}
            answer = client.search(
                Resource="Endpoint", SearchExpression={"NestedFilters": [nested]}, SortBy="EndpointName"
            )
            names = [each["Endpoint"]["EndpointName"] for each in answer["Results"]]
            assert sorted(names) == wanted, inner
    finally:
        for name in ("light", "heavy"):
            client.delete_endpoint(EndpointName=name)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"Name": "Colour", "Value": "red"}, "Colour"),
        ({"Name": "ResourceConfig.Colour", "Value": "red"}, "ResourceConfig.Colour"),
        ({"Name": "TrainingJobName.x", "Value": "red"}, "TrainingJobName.x"),
        ({"Name": "a..b", "Value": "red"}, "a..b"),
        ({"Name": "TrainingJobName"}, "TrainingJobName"),
        ({"Name": "TrainingJobName", "Operator": "GreaterThan", "Value": "a"}, "GreaterThan"),
        ({"Name": "CreationTime", "Operator": "GreaterThan", "Value": "yesterday"}, "yesterday"),
        ({"Name": "CreationTime", "Operator": "Contains", "Value": "2026"}, "Contains"),
        ({"Name": "ResourceConfig.InstanceCount", "Value": "many"}, "many"),
        ({"Name": "EnableNetworkIsolation", "Value": "perhaps"}, "perhaps"),
        ({"Name": "Metrics.train:auc", "Operator": "In", "Value": "1,2"}, "In"),
        ({"Name": "ResourceConfig", "Value": "x"}, "ResourceConfig"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_filter_that_makes_no_sense_is_refused_by_name(account, given, named):
    with pytest.raises(ClientError) as refused:
        account.client("sagemaker").search(Resource="TrainingJob", SearchExpression={"Filters": [given]})
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert named in refused.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    "request_of",
    [
        {"SortBy": "Colour"},
        {"SortBy": "Tags.team"},
        {"SortBy": "tag:team"},
        {"SortBy": "InputDataConfig"},
        {"NextToken": "x"},
        {"Resource": "Pipeline"},
        {"VisibilityConditions": [{"Key": "team", "Value": "red"}]},
        {
            "SearchExpression": {
                "NestedFilters": [{"NestedPropertyName": "RoleArn", "Filters": [{"Name": "x", "Value": "y"}]}]
            }
        },
        {"SearchExpression": {"SubExpressions": [{"Filters": [{"Name": "RoleArn", "Value": "y"}] * 20}] * 3}},
        {"SearchExpression": {"Filters": [{"Name": "RoleArn", "Value": "y"}] * 21}},
    ],
    ids=[
        "sort unknown",
        "sort by tag",
        "sort by column",
        "sort by list",
        "token",
        "resource",
        "visibility",
        "nested",
        "sixty",
        "twenty-one",
    ],
)
def test_a_search_that_makes_no_sense_is_refused(account, request_of):
    with pytest.raises(ClientError) as refused:
        account.client("sagemaker").search(**{"Resource": "TrainingJob", **request_of})
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_suggestions_are_properties_of_the_record(account):
    answer = account.client("sagemaker").get_search_suggestions(
        Resource="TrainingJob", SuggestionQuery={"PropertyNameQuery": {"PropertyNameHint": "trainingjob"}}
    )
    names = [each["PropertyName"] for each in answer["PropertyNameSuggestions"]]
    assert names == ["TrainingJobArn", "TrainingJobName", "TrainingJobStatus"]
