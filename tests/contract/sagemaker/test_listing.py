"""Lists through boto3: filters by the documented grammar, sorting, pages, and whose they are."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.kernel import ids
from clary.testing.jobs import XGBOOST

NAMES = ("alpha-1", "alpha-2", "beta-1", "Beta-2", "gamma", "gamma-gamma", "z0")


def make_model(account, name, *, client=None, **more):
    (client or account.client("sagemaker")).create_model(
        ModelName=name,
        PrimaryContainer={"Image": XGBOOST},
        ExecutionRoleArn=account.role_arn,
        **more,
    )


@pytest.fixture(scope="module")
def account(clary_server):
    account = clary_server.account()
    for name in NAMES:
        make_model(account, name, Tags=[{"Key": "team", "Value": name[0]}])
    return account


@pytest.fixture(scope="module")
def models(account):
    """Every model, oldest first."""
    return account.client("sagemaker").list_models(SortOrder="Ascending")["Models"]


def names_of(answer):
    return [each["ModelName"] for each in answer["Models"]]


def pages(client, **request):
    """Return every page of a list, asked for with the tokens that it gives out."""
    found = [client.list_models(**request)]
    while "NextToken" in found[-1]:
        found.append(client.list_models(**request, NextToken=found[-1]["NextToken"]))
    return [names_of(page) for page in found]


@given(
    part=st.sampled_from(["", "a", "alpha", "-", "2", "B", "zz"]),
    sort=st.sampled_from(["Name", "CreationTime"]),
    order=st.sampled_from(["Ascending", "Descending"]),
    limit=st.integers(1, 8),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_concatenate_to_the_sorted_filtered_whole(account, models, part, sort, order, limit):
    request = {"SortBy": sort, "SortOrder": order, "MaxResults": limit}
    found = pages(account.client("sagemaker"), **request, **({"NameContains": part} if part else {}))
    wanted = [each["ModelName"] for each in models if part in each["ModelName"]]
    if sort == "Name":
        wanted = sorted(wanted)
    if order == "Descending":
        wanted = wanted[::-1]
    assert [name for page in found for name in page] == wanted
    assert all(len(page) == limit for page in found[:-1])


def test_a_list_is_newest_first_unless_asked_otherwise(account):
    assert names_of(account.client("sagemaker").list_models()) == list(NAMES[::-1])


def test_created_after_includes_the_moment_and_before_excludes_it(account, models):
    client = account.client("sagemaker")
    moment = models[0]["CreationTime"].replace(microsecond=0)  # clients send whole seconds
    later = max(each["CreationTime"] for each in models) + timedelta(seconds=2)
    assert names_of(client.list_models(CreationTimeBefore=moment)) == []
    assert len(names_of(client.list_models(CreationTimeAfter=moment))) == len(NAMES)
    assert len(names_of(client.list_models(CreationTimeBefore=later))) == len(NAMES)
    assert names_of(client.list_models(CreationTimeAfter=later)) == []


def test_a_summary_has_the_documented_members_alone(models):
    assert {frozenset(each) for each in models} == {frozenset({"ModelName", "ModelArn", "CreationTime"})}


def token_of(account):
    return account.client("sagemaker").list_models(MaxResults=1)["NextToken"]


@pytest.mark.parametrize(
    "request_of",
    [
        lambda account: {"NextToken": "x"},
        lambda account: {"NextToken": "WzEsMl0="},
        lambda account: {"NextToken": "e30="},
        lambda account: {"NextToken": token_of(account), "NameContains": "a"},
        lambda account: {"NextToken": token_of(account), "SortOrder": "Ascending"},
        lambda account: {"NextToken": token_of(account)[:-8]},
        lambda account: {"MaxResults": 101},
        lambda account: {"SortBy": "Status"},
    ],
    ids=[
        "no token",
        "a list",
        "a structure",
        "other filter",
        "other order",
        "cut",
        "too many",
        "no such column",
    ],
)
def test_what_makes_no_sense_is_refused(account, request_of):
    with pytest.raises(ClientError) as refused:
        account.client("sagemaker").list_models(**request_of(account))
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_a_token_of_another_account_is_refused(account, clary_server):
    with pytest.raises(ClientError, match="another request"):
        clary_server.account().client("sagemaker").list_models(NextToken=token_of(account))


def test_ten_come_to_a_page_unless_asked_otherwise(clary_server):
    account = clary_server.account()
    client = account.client("sagemaker")
    make_model(account, "m")
    variant = {"VariantName": "a", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    for n in range(11):
        client.create_endpoint_config(EndpointConfigName=f"c-{n}", ProductionVariants=[variant])
    page = client.list_endpoint_configs()
    assert len(page["EndpointConfigs"]) == 10
    assert len(client.list_endpoint_configs(NextToken=page["NextToken"])["EndpointConfigs"]) == 1
    assert len(client.list_endpoint_configs(MaxResults=100)["EndpointConfigs"]) == 11
    assert client.list_endpoints() | {"ResponseMetadata": None} == {"Endpoints": [], "ResponseMetadata": None}


def test_one_name_in_two_regions_and_two_accounts_are_three_resources(clary_server):
    one, other = clary_server.account(), clary_server.account()
    far = one.client("sagemaker", region="eu-west-1")
    make_model(one, "same")
    make_model(one, "same", client=far)
    make_model(other, "same")
    arns = {
        client.describe_model(ModelName="same")["ModelArn"]
        for client in (one.client("sagemaker"), far, other.client("sagemaker"))
    }
    assert len(arns) == 3
    far.delete_model(ModelName="same")
    assert names_of(far.list_models()) == []
    assert names_of(one.client("sagemaker").list_models()) == ["same"]


def test_of_creates_of_one_name_at_once_one_wins(clary_server):
    account = clary_server.account()
    client = account.client("sagemaker")
    name = f"m-{ids.short()}"

    def create(_):
        try:
            make_model(account, name, client=client)
        except ClientError as refused:
            return refused.response["Error"]
        return None

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(create, range(8)))
    assert ends.count(None) == 1
    assert {each["Code"] for each in ends if each} == {"ValidationException"}
    assert all("Cannot create already existing model" in each["Message"] for each in ends if each)


def test_of_deletes_at_once_one_wins(clary_server):
    account = clary_server.account()
    client = account.client("sagemaker")
    make_model(account, "m")

    def delete(_):
        try:
            client.delete_model(ModelName="m")
        except ClientError as refused:
            return refused.response["Error"]["Message"]
        return ""

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(delete, range(8)))
    assert ends.count("") == 1
    assert all(end.startswith("Could not find model") for end in ends if end)
