"""Experiments, trials and their components through boto3: names, parts, refusals, lists, search."""

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.documented


@pytest.fixture(scope="module")
def sagemaker(clary_server):
    return clary_server.account().client("sagemaker")


def code_of(error):
    return error.value.response["Error"]["Code"]


def make(sagemaker, name, *trials, **components):
    """Make an experiment with trials, and components with the trials they are in."""
    sagemaker.create_experiment(ExperimentName=name)
    for trial in trials:
        sagemaker.create_trial(ExperimentName=name, TrialName=trial)
    for keyword, of in components.items():
        component = keyword.replace("_", "-")
        sagemaker.create_trial_component(TrialComponentName=component)
        for trial in of:
            sagemaker.associate_trial_component(TrialComponentName=component, TrialName=trial)


def test_an_experiment_lives_and_dies(sagemaker):
    arn = sagemaker.create_experiment(ExperimentName="Life", Description="of one")["ExperimentArn"]
    assert arn.endswith(":experiment/Life")
    shown = sagemaker.describe_experiment(ExperimentName="Life")
    assert (shown["DisplayName"], shown["Description"]) == ("Life", "of one")
    assert "assumed-role" in shown["CreatedBy"]["IamIdentity"]["Arn"]
    sagemaker.update_experiment(ExperimentName="Life", DisplayName="Other", Description="")
    changed = sagemaker.describe_experiment(ExperimentName="Life")
    assert (changed["DisplayName"], changed["Description"]) == ("Other", "")
    assert changed["LastModifiedTime"] >= shown["LastModifiedTime"]
    assert sagemaker.delete_experiment(ExperimentName="Life")["ExperimentArn"] == arn
    with pytest.raises(ClientError) as missing:
        sagemaker.describe_experiment(ExperimentName="Life")
    assert code_of(missing) == "ResourceNotFound"


def test_a_second_one_of_a_name_is_refused_in_the_words_that_clients_look_for(sagemaker):
    make(sagemaker, "twice", "twice-trial", twice_component=())
    for again in (
        lambda: sagemaker.create_experiment(ExperimentName="twice"),
        lambda: sagemaker.create_trial(ExperimentName="twice", TrialName="twice-trial"),
        lambda: sagemaker.create_trial_component(TrialComponentName="twice-component"),
    ):
        with pytest.raises(ClientError, match="already exists") as taken:
            again()
        assert code_of(taken) == "ValidationException"


def test_nothing_is_deleted_while_something_stands_on_it(sagemaker):
    make(sagemaker, "stand", "stand-t", stand_c=("stand-t",))
    with pytest.raises(ClientError, match="one is 'stand-t'"):
        sagemaker.delete_experiment(ExperimentName="stand")
    with pytest.raises(ClientError, match="one is 'stand-c'"):
        sagemaker.delete_trial(TrialName="stand-t")
    with pytest.raises(ClientError, match="disassociated from all trials"):
        sagemaker.delete_trial_component(TrialComponentName="stand-c")
    sagemaker.disassociate_trial_component(TrialComponentName="stand-c", TrialName="stand-t")
    sagemaker.delete_trial_component(TrialComponentName="stand-c")
    sagemaker.delete_trial(TrialName="stand-t")
    sagemaker.delete_experiment(ExperimentName="stand")


def test_what_is_not_there_is_not_found(sagemaker):
    for ask in (
        lambda: sagemaker.create_trial(ExperimentName="nowhere", TrialName="t"),
        lambda: sagemaker.associate_trial_component(TrialComponentName="nowhere", TrialName="nowhere"),
        lambda: sagemaker.list_trials(ExperimentName="nowhere"),
        lambda: sagemaker.list_trial_components(TrialName="nowhere"),
        lambda: sagemaker.update_trial(TrialName="nowhere", DisplayName="x"),
        lambda: sagemaker.delete_trial(TrialName="nowhere"),
    ):
        with pytest.raises(ClientError) as missing:
            ask()
        assert code_of(missing) == "ResourceNotFound"


def test_a_component_keeps_what_it_is_told(sagemaker):
    start = datetime(2026, 1, 31, 12, tzinfo=UTC)
    sagemaker.create_trial_component(
        TrialComponentName="kept",
        DisplayName="Kept",
        Status={"PrimaryStatus": "InProgress", "Message": "on the way"},
        StartTime=start,
        Parameters={"lr": {"NumberValue": 0.1}, "kind": {"StringValue": "tree"}},
        InputArtifacts={"train": {"MediaType": "text/csv", "Value": "s3://b/train"}},
        MetadataProperties={"CommitId": "abc"},
    )
    sagemaker.update_trial_component(
        TrialComponentName="kept",
        Status={"PrimaryStatus": "Completed"},
        EndTime=start,
        Parameters={"depth": {"NumberValue": 6}},
        ParametersToRemove=["kind"],
        OutputArtifacts={"model": {"Value": "s3://b/model.tar.gz"}},
        InputArtifactsToRemove=["train"],
    )
    shown = sagemaker.describe_trial_component(TrialComponentName="kept")
    assert shown["Parameters"] == {"lr": {"NumberValue": 0.1}, "depth": {"NumberValue": 6.0}}
    assert shown["InputArtifacts"] == {}
    assert shown["OutputArtifacts"] == {"model": {"Value": "s3://b/model.tar.gz"}}
    assert shown["Status"] == {"PrimaryStatus": "Completed"}
    assert (shown["StartTime"], shown["EndTime"]) == (start, start)
    assert shown["MetadataProperties"] == {"CommitId": "abc"}
    assert shown["Metrics"] == []
    many = {f"p{n}": {"NumberValue": n} for n in range(299)}
    with pytest.raises(ClientError, match="300 are allowed"):
        sagemaker.update_trial_component(TrialComponentName="kept", Parameters=many)


def test_a_component_may_be_in_several_trials_and_lists_tell(sagemaker):
    make(
        sagemaker, "shared", "shared-1", "shared-2", shared_a=("shared-1", "shared-2"), shared_b=("shared-2",)
    )
    sagemaker.associate_trial_component(TrialComponentName="shared-a", TrialName="shared-1")  # again

    def components(**of):
        found = sagemaker.list_trial_components(SortBy="Name", SortOrder="Ascending", **of)
        return [each["TrialComponentName"] for each in found["TrialComponentSummaries"]]

    def trials(**of):
        found = sagemaker.list_trials(SortBy="Name", SortOrder="Ascending", **of)
        return [each["TrialName"] for each in found["TrialSummaries"]]

    assert components(TrialName="shared-1") == ["shared-a"]
    assert components(TrialName="shared-2") == ["shared-a", "shared-b"]
    assert components(ExperimentName="shared") == ["shared-a", "shared-b"]
    assert trials(ExperimentName="shared") == ["shared-1", "shared-2"]
    assert trials(TrialComponentName="shared-b") == ["shared-2"]
    pages = sagemaker.get_paginator("list_trials").paginate(
        ExperimentName="shared", SortBy="Name", SortOrder="Descending", PaginationConfig={"PageSize": 1}
    )
    assert [each["TrialName"] for page in pages for each in page["TrialSummaries"]] == [
        "shared-2",
        "shared-1",
    ]
    with pytest.raises(ClientError, match="without ExperimentName"):
        sagemaker.list_trial_components(SourceArn="arn:aws:sagemaker:us-east-1:1:x/y", TrialName="shared-1")


def test_search_knows_parents_and_parts(sagemaker):
    make(sagemaker, "found", "found-1", "found-2", found_a=("found-1", "found-2"), found_b=("found-2",))

    def search(resource, member, *filters, **more):
        expression = {
            "Filters": [dict(zip(("Name", "Operator", "Value"), each, strict=True)) for each in filters]
        }
        found = sagemaker.search(Resource=resource, SearchExpression=expression, **more)
        return [each[member] for each in found["Results"]]

    (one,) = search(
        "ExperimentTrialComponent",
        "TrialComponent",
        ("TrialComponentName", "Equals", "found-a"),
        ("Parents.TrialName", "Equals", "found-2"),
    )
    assert sorted(each["TrialName"] for each in one["Parents"]) == ["found-1", "found-2"]
    assert {each["ExperimentName"] for each in one["Parents"]} == {"found"}
    both = search("ExperimentTrialComponent", "TrialComponent", ("Parents.ExperimentName", "Equals", "found"))
    assert sorted(each["TrialComponentName"] for each in both) == ["found-a", "found-b"]
    part = search("ExperimentTrialComponent", "TrialComponent", ("Parents.TrialName", "Contains", "ound-1"))
    assert [each["TrialComponentName"] for each in part] == ["found-a"]
    (trial,) = search("ExperimentTrial", "Trial", ("TrialName", "Equals", "found-2"))
    assert {each["TrialComponentName"] for each in trial["TrialComponentSummaries"]} == {"found-a", "found-b"}
    (experiment,) = search("Experiment", "Experiment", ("ExperimentName", "Equals", "found"))
    assert experiment["ExperimentName"] == "found"


def test_search_compares_parameters_and_sorts_by_metrics(clary_server):
    account = clary_server.account()
    sagemaker, metrics = account.client("sagemaker"), account.client("sagemaker-metrics")
    for n, name in enumerate(("c-0", "c-1", "c-2")):
        parameters = {"lr": {"NumberValue": 0.1 * (n + 1)}, "kind.of": {"StringValue": f"tree{n}"}}
        sagemaker.create_trial_component(TrialComponentName=name, Parameters=parameters)
        data = [
            {
                "MetricName": "test:acc",
                "Timestamp": datetime(2026, 1, 1, tzinfo=UTC),
                "Step": step,
                "Value": value,
            }
            for step, value in enumerate((0.5, 1.0 - n / 10))
        ]
        if n:
            metrics.batch_put_metrics(TrialComponentName=name, MetricData=data)

    def search(*filters, **more):
        expression: dict[str, Any] = {
            "Filters": [dict(zip(("Name", "Operator", "Value"), each, strict=False)) for each in filters]
        }
        expression = {"SearchExpression": expression} if filters else {}
        found = sagemaker.search(
            **{
                "Resource": "ExperimentTrialComponent",
                "SortBy": "TrialComponentName",
                "SortOrder": "Ascending",
            }
            | expression
            | more
        )
        return [each["TrialComponent"]["TrialComponentName"] for each in found["Results"]]

    assert search(("Parameters.lr", "GreaterThan", "0.15")) == ["c-1", "c-2"]
    assert search(("Parameters.lr.NumberValue", "LessThanOrEqualTo", "0.1")) == ["c-0"]
    assert search(("parameters.kind.of", "Equals", "tree1")) == ["c-1"]
    assert search(("Parameters.kind.of.StringValue", "Contains", "tree")) == ["c-0", "c-1", "c-2"]
    assert search(("Parameters.kind.of", "NotEquals", "tree1")) == ["c-0", "c-2"]
    assert search(("Parameters.absent", "NotExists")) == ["c-0", "c-1", "c-2"]
    assert search(("Metrics.test:acc.max", "GreaterThan", "0.85")) == ["c-1"]
    assert search(("Metrics.test:acc", "Exists")) == ["c-1", "c-2"]
    assert search(("Metrics.test:acc.Last", "NotExists")) == ["c-0"]
    by_metric = {"SortBy": "metrics.test:acc.max", "SortOrder": "Descending"}
    assert search(**by_metric) == ["c-1", "c-2", "c-0"]
    assert search(SortBy="Parameters.lr", SortOrder="Descending") == ["c-2", "c-1", "c-0"]
