"""Lineage entities and their associations through boto3."""

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.documented


@pytest.fixture(scope="module")
def sagemaker(clary_server):
    return clary_server.account().client("sagemaker")


def artifact(sagemaker, uri, kind="DataSet", **more):
    made = sagemaker.create_artifact(
        ArtifactName="data", ArtifactType=kind, Source={"SourceUri": uri, **more.pop("source", {})}, **more
    )
    return made["ArtifactArn"]


def context(sagemaker, name, kind="Endpoint"):
    source = {"SourceUri": f"uri:{name}"}
    return sagemaker.create_context(ContextName=name, ContextType=kind, Source=source)["ContextArn"]


def code_of(error):
    return error.value.response["Error"]["Code"]


def test_an_artefact_is_its_address_and_version(sagemaker):
    first = artifact(sagemaker, "s3://a/one", Properties={"rows": "5"})
    assert artifact(sagemaker, "s3://a/one") == first
    with pytest.raises(ClientError, match="already exists") as taken:
        artifact(sagemaker, "s3://a/one", kind="Model")
    assert code_of(taken) == "ValidationException"
    version = {"SourceTypes": [{"SourceIdType": "S3ETag", "Value": "abc"}]}
    second = artifact(sagemaker, "s3://a/one", source=version)
    assert first != second
    listed = sagemaker.list_artifacts(SourceUri="s3://a/one")["ArtifactSummaries"]
    assert {each["ArtifactArn"] for each in listed} == {first, second}
    sagemaker.update_artifact(ArtifactArn=first, Properties={"columns": "3"}, PropertiesToRemove=["rows"])
    shown = sagemaker.describe_artifact(ArtifactArn=first)
    assert shown["Properties"] == {"columns": "3"}
    assert shown["LineageGroupArn"].endswith("lineage-group/sagemaker-default-lineage-group")
    sagemaker.delete_artifact(Source={"SourceUri": "s3://a/one", **version})
    with pytest.raises(ClientError) as missing:
        sagemaker.describe_artifact(ArtifactArn=second)
    assert code_of(missing) == "ResourceNotFound"


def test_actions_and_contexts_live_and_die(sagemaker):
    action = sagemaker.create_action(
        ActionName="approve", ActionType="Approval", Source={"SourceUri": "uri:a"}, Status="InProgress"
    )["ActionArn"]
    sagemaker.update_action(ActionName="approve", Status="Completed", Description="done")
    shown = sagemaker.describe_action(ActionName="approve")
    assert (shown["Status"], shown["Description"], shown["ActionArn"]) == ("Completed", "done", action)
    assert sagemaker.list_actions(ActionType="Approval")["ActionSummaries"][0]["ActionName"] == "approve"
    assert sagemaker.delete_action(ActionName="approve")["ActionArn"] == action
    context(sagemaker, "somewhere")
    sagemaker.update_context(ContextName="somewhere", Properties={"a": "b"})
    assert sagemaker.describe_context(ContextName="somewhere")["Properties"] == {"a": "b"}
    assert (
        sagemaker.list_contexts(SourceUri="uri:somewhere")["ContextSummaries"][0]["ContextType"] == "Endpoint"
    )
    sagemaker.delete_context(ContextName="somewhere")


def test_associations_are_listed_by_both_ends_and_by_type(sagemaker):
    data, model = artifact(sagemaker, "s3://b/data"), artifact(sagemaker, "s3://b/model", kind="Model")
    place = context(sagemaker, "place")
    sagemaker.add_association(SourceArn=data, DestinationArn=model, AssociationType="DerivedFrom")
    sagemaker.add_association(SourceArn=model, DestinationArn=place, AssociationType="ContributedTo")

    def ends(**of):
        found = sagemaker.list_associations(**of)["AssociationSummaries"]
        return sorted((each["SourceArn"], each["DestinationArn"]) for each in found)

    assert ends(SourceArn=data) == [(data, model)]
    assert ends(DestinationArn=place) == [(model, place)]
    assert ends(SourceArn=model, DestinationType="Context") == [(model, place)]
    assert ends(SourceArn=model, DestinationType="Endpoint") == [(model, place)]
    assert ends(DestinationArn=model, SourceType="Model") == []
    assert ends(AssociationType="DerivedFrom", SourceArn=data) == [(data, model)]
    with pytest.raises(ClientError, match="already exists"):
        sagemaker.add_association(SourceArn=data, DestinationArn=model)
    with pytest.raises(ClientError, match="associations must be deleted first"):
        sagemaker.delete_artifact(ArtifactArn=model)
    sagemaker.delete_association(SourceArn=data, DestinationArn=model)
    assert ends(SourceArn=data) == []
    with pytest.raises(ClientError) as missing:
        sagemaker.delete_association(SourceArn=data, DestinationArn=model)
    assert code_of(missing) == "ResourceNotFound"


def test_what_does_not_exist_is_not_associated(sagemaker):
    data = artifact(sagemaker, "s3://c/data")
    for other in (f"{data[:-4]}0000", data.replace("artifact/", "context/")):
        with pytest.raises(ClientError) as missing:
            sagemaker.add_association(SourceArn=data, DestinationArn=other)
        assert code_of(missing) == "ResourceNotFound"
    with pytest.raises(ClientError, match="both"):
        sagemaker.add_association(SourceArn=data, DestinationArn=data)
    foreign = data.replace(data.split(":")[4], "999999999999")
    with pytest.raises(ClientError, match="not authorized"):
        sagemaker.query_lineage(StartArns=[foreign])


def test_the_one_lineage_group_is_shared_with_nobody(sagemaker):
    (group,) = sagemaker.list_lineage_groups()["LineageGroupSummaries"]
    shown = sagemaker.describe_lineage_group(LineageGroupName=group["LineageGroupName"])
    assert shown["LineageGroupArn"] == group["LineageGroupArn"]
    with pytest.raises(ClientError, match="not shared"):
        sagemaker.get_lineage_group_policy(LineageGroupName=group["LineageGroupName"])


@pytest.mark.inferred
def test_an_endpoint_s_models_are_found_from_the_endpoint_s_side_too(sagemaker):
    """Source: SageMaker SDK 2.257, `EndpointContext.models` and `models_v2`."""
    model, place = artifact(sagemaker, "s3://e/model", kind="Model"), context(sagemaker, "served")
    source = {"SourceUri": "uri:deployment"}
    deployment = sagemaker.create_action(
        ActionName="deployment", ActionType="ModelDeployment", Source=source, Status="Completed"
    )["ActionArn"]
    sagemaker.add_association(SourceArn=model, DestinationArn=deployment, AssociationType="ContributedTo")
    sagemaker.add_association(SourceArn=deployment, DestinationArn=place, AssociationType="AssociatedWith")

    def ends(**of):
        found = sagemaker.list_associations(**of)["AssociationSummaries"]
        return [(each["SourceArn"], each["DestinationArn"], each["DestinationType"]) for each in found]

    assert ends(SourceArn=place, DestinationType="ModelDeployment") == [
        (place, deployment, "ModelDeployment")
    ]
    assert ends(SourceArn=deployment, DestinationType="Model") == [(deployment, model, "Model")]
    assert ends(SourceArn=place) == []
    found = sagemaker.query_lineage(
        StartArns=[place], Direction="Descendants", Filters={"Types": ["ModelDeployment"]}
    )
    assert [each["Arn"] for each in found["Vertices"]] == [deployment]
    own = artifact(sagemaker, "s3://e/own", kind="Model")
    sagemaker.add_association(SourceArn=deployment, DestinationArn=own, AssociationType="Produced")
    assert ends(SourceArn=deployment, DestinationType="Model") == [(deployment, own, "Model")]
