"""IAM roles and what STS makes of them, through boto3."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
MANAGED = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"


@pytest.fixture
def account(clary_server):
    return clary_server.account()


@pytest.fixture
def client(account):
    return account.client("iam")


def make_role(client, name="r", **more):
    return client.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST, **more)["Role"]


def error_of(call, **request):
    with pytest.raises(ClientError) as refused:
        call(**request)
    response = refused.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_what_is_not_there_is_no_such_entity(client):
    make_role(client)
    there, none = {"RoleName": "r"}, {"RoleName": "none"}
    for call, request in (
        (client.get_role, none),
        (client.delete_role, none),
        (client.attach_role_policy, {**none, "PolicyArn": MANAGED}),
        (client.detach_role_policy, {**there, "PolicyArn": MANAGED}),
        (client.put_role_policy, {**none, "PolicyName": "p", "PolicyDocument": "{}"}),
        (client.get_role_policy, {**there, "PolicyName": "p"}),
        (client.delete_role_policy, {**there, "PolicyName": "p"}),
        (client.list_attached_role_policies, none),
        (client.list_role_policies, none),
        (client.get_user, {"UserName": "none"}),
    ):
        assert error_of(call, **request) == ("NoSuchEntity", 404), (call, request)


def test_a_role_is_made_once_and_from_a_policy(client):
    make_role(client)
    with pytest.raises(client.exceptions.EntityAlreadyExistsException):
        make_role(client)
    for document in ("{", "[]"):
        request = {"RoleName": "new", "AssumeRolePolicyDocument": document}
        assert error_of(client.create_role, **request) == ("MalformedPolicyDocument", 400)
        request = {"RoleName": "r", "PolicyName": "p", "PolicyDocument": document}
        assert error_of(client.put_role_policy, **request) == ("MalformedPolicyDocument", 400)


def test_a_role_with_policies_is_not_deleted(client):
    make_role(client)
    client.attach_role_policy(RoleName="r", PolicyArn=MANAGED)
    client.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument='{"a": 1}')
    assert error_of(client.delete_role, RoleName="r") == ("DeleteConflict", 409)
    client.detach_role_policy(RoleName="r", PolicyArn=MANAGED)
    assert error_of(client.delete_role, RoleName="r") == ("DeleteConflict", 409)
    assert client.get_role_policy(RoleName="r", PolicyName="p")["PolicyDocument"] == {"a": 1}
    client.delete_role_policy(RoleName="r", PolicyName="p")
    client.delete_role(RoleName="r")
    assert error_of(client.get_role, RoleName="r") == ("NoSuchEntity", 404)


def test_tags_go_with_their_role(client):
    make_role(client, Tags=[{"Key": "team", "Value": "a"}])
    client.delete_role(RoleName="r")
    assert make_role(client).get("Tags", []) == []


def test_policies_attached_at_once_are_all_attached(client):
    make_role(client)
    arns = sorted(f"arn:aws:iam::aws:policy/P{n}" for n in range(8))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda arn: client.attach_role_policy(RoleName="r", PolicyArn=arn), arns))
    found = client.list_attached_role_policies(RoleName="r")["AttachedPolicies"]
    assert [each["PolicyArn"] for each in found] == arns


def test_roles_come_in_pages_and_by_path(client, clary_server):
    for n in range(4):
        make_role(client, f"x-{n}", Path="/team/" if n % 2 else "/")
    paged = client.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 2})
    pages = [[each["RoleName"] for each in page["Roles"]] for page in paged]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [name for page in pages for name in page] == ["SageMakerRole", "x-0", "x-1", "x-2", "x-3"]
    found = client.list_roles(PathPrefix="/team/")["Roles"]
    assert [each["RoleName"] for each in found] == ["x-1", "x-3"]
    other = clary_server.account().client("iam")
    assert [each["RoleName"] for each in other.list_roles()["Roles"]] == ["SageMakerRole"]


def test_a_session_lasts_no_longer_than_its_role_allows(account, client):
    arn = make_role(client, MaxSessionDuration=7200)["Arn"]
    sts = account.client("sts")
    asked = {"RoleArn": arn, "RoleSessionName": "session"}
    assert sts.assume_role(**asked, DurationSeconds=7200)["AssumedRoleUser"]["Arn"].endswith("/r/session")
    assert error_of(sts.assume_role, **asked, DurationSeconds=7201) == ("ValidationError", 400)
    wrong = arn.replace("role/r", "role/path/r")
    assert error_of(sts.assume_role, RoleArn=wrong, RoleSessionName="session") == ("AccessDenied", 403)
