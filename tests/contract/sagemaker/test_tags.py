"""Tags through boto3: limits, AWS's own keys, and whose resource it is."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from clary.testing.jobs import XGBOOST


def tag(key, value="v"):
    return {"Key": key, "Value": value}


def make_model(account, name, *tags):
    return account.client("sagemaker").create_model(
        ModelName=name,
        PrimaryContainer={"Image": XGBOOST},
        ExecutionRoleArn=account.role_arn,
        Tags=list(tags),
    )["ModelArn"]


def error_of(call, **arguments):
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]


@pytest.fixture
def account(clary_server):
    return clary_server.account()


def test_a_key_that_exists_gets_the_new_value(account):
    client = account.client("sagemaker")
    arn = make_model(account, "m", tag("team", "a"))
    client.add_tags(ResourceArn=arn, Tags=[tag("team", "b"), tag("stage", "")])
    assert client.list_tags(ResourceArn=arn)["Tags"] == [tag("stage", ""), tag("team", "b")]
    client.delete_tags(ResourceArn=arn, TagKeys=["stage", "unknown"])
    assert client.list_tags(ResourceArn=arn)["Tags"] == [tag("team", "b")]


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ([tag("aws:team")], "'aws:team' must not start with 'aws:'"),
        ([tag("AWS:x")], "'AWS:x' must not start"),
        ([tag("a", "1"), tag("a", "2")], "'a' is given twice"),
        ([tag("k" * 129)], "less than or equal to 128"),
        ([tag("k", "v" * 257)], "less than or equal to 256"),
        ([tag("a;b")], "pattern"),
    ],
    ids=["reserved", "reserved in capitals", "twice", "long key", "long value", "character"],
)
def test_bad_tags_are_refused_at_create_and_later(account, tags, text):
    client = account.client("sagemaker")
    arn = make_model(account, "there")
    with pytest.raises(ClientError, match=text):
        make_model(account, "m", *tags)
    error = error_of(client.describe_model, ModelName="m")
    assert error["Code"] == "ValidationException"  # nothing was made
    error = error_of(client.add_tags, ResourceArn=arn, Tags=tags)
    assert error["Code"] == "ValidationException"
    assert text in error["Message"]
    assert client.list_tags(ResourceArn=arn)["Tags"] == []


def test_fifty_tags_are_allowed_and_no_more_even_when_added_at_once(account):
    client = account.client("sagemaker")
    arn = make_model(account, "m", *(tag(f"k{n}") for n in range(46)))

    def add(n):
        try:
            client.add_tags(ResourceArn=arn, Tags=[tag(f"new-{n}")])
        except client.exceptions.ResourceLimitExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(add, range(8)))
    assert ends.count(True) == 4
    assert len(client.list_tags(ResourceArn=arn)["Tags"]) == 50
    client.add_tags(ResourceArn=arn, Tags=[tag("k0", "again")])


def test_tags_go_with_their_resource(account):
    client = account.client("sagemaker")
    arn = make_model(account, "m", tag("team"))
    client.delete_model(ModelName="m")
    assert error_of(client.list_tags, ResourceArn=arn)["Code"] == "ValidationException"
    assert error_of(client.add_tags, ResourceArn=arn, Tags=[tag("a")])["Code"] == "ValidationException"
    make_model(account, "m")
    assert client.list_tags(ResourceArn=arn)["Tags"] == []


def test_tags_of_another_account_or_region_are_out_of_reach(account, clary_server):
    arn = make_model(account, "m", tag("team"))
    other = clary_server.account().client("sagemaker")
    far = account.client("sagemaker", region="eu-west-1")
    for call, given in ((other.add_tags, {"Tags": [tag("a")]}), (other.list_tags, {})):
        assert error_of(call, ResourceArn=arn, **given)["Code"] == "AccessDeniedException"
    assert error_of(far.delete_tags, ResourceArn=arn, TagKeys=["team"])["Code"] == "ValidationException"
    assert account.client("sagemaker").list_tags(ResourceArn=arn)["Tags"] == [tag("team")]
