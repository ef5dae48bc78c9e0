"""Who the caller is, through boto3: keys, sessions, roles, and what is refused."""

import boto3
import pytest
from botocore.exceptions import ClientError


def test_the_caller_is_an_assumed_role_that_iam_knows(clary_server):
    account = clary_server.account()
    identity = account.client("sts").get_caller_identity()
    assert identity["Account"] == account.account_id
    assert identity["Arn"].startswith(f"arn:aws:sts::{account.account_id}:assumed-role/")
    role = identity["Arn"].split("/")[1]
    assert account.client("iam").get_role(RoleName=role)["Role"]["Arn"] == account.role_arn


def session(clary_server, credentials, **changes):
    given = {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
        **changes,
    }
    return boto3.client("sts", region_name="us-east-1", endpoint_url=clary_server.url, **given)


def test_an_assumed_role_signs_with_its_session_token(clary_server):
    account = clary_server.account()
    answer = account.client("sts").assume_role(RoleArn=account.role_arn, RoleSessionName="me")
    identity = session(clary_server, answer["Credentials"]).get_caller_identity()
    assert identity["Arn"] == answer["AssumedRoleUser"]["Arn"]
    assert identity["Arn"].endswith("/me")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aws_session_token": "x" * 40}, "InvalidClientTokenId"),
        ({"aws_session_token": None}, "InvalidClientTokenId"),
        ({"aws_secret_access_key": "y" * 40}, "SignatureDoesNotMatch"),
        ({"aws_access_key_id": "ASIA2222222222222222"}, "InvalidClientTokenId"),
    ],
)
def test_wrong_credentials_are_refused_with_awss_own_code(clary_server, changes, code):
    account = clary_server.account()
    answer = account.client("sts").get_session_token()
    with pytest.raises(ClientError) as refused:
        session(clary_server, answer["Credentials"], **changes).get_caller_identity()
    assert refused.value.response["Error"]["Code"] == code


def test_another_accounts_role_is_not_assumed(clary_server):
    one, other = clary_server.account(), clary_server.account()
    with pytest.raises(ClientError) as refused:
        one.client("sts").assume_role(RoleArn=other.role_arn, RoleSessionName="me")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_a_role_that_is_not_there_is_no_such_entity(clary_server):
    with pytest.raises(ClientError) as missing:
        clary_server.account().client("iam").get_role(RoleName="Nobody")
    assert missing.value.response["Error"]["Code"] == "NoSuchEntity"


def test_roles_are_created_attached_and_deleted(clary_server):
    iam = clary_server.account().client("iam")
    policy = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    made = iam.create_role(
        RoleName="Mine", AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}'
    )
    iam.attach_role_policy(RoleName="Mine", PolicyArn=policy)
    attached = iam.list_attached_role_policies(RoleName="Mine")["AttachedPolicies"]
    assert attached == [{"PolicyName": "AmazonSageMakerFullAccess", "PolicyArn": policy}]
    with pytest.raises(ClientError) as refused:
        iam.delete_role(RoleName="Mine")
    assert refused.value.response["Error"]["Code"] == "DeleteConflict"
    iam.detach_role_policy(RoleName="Mine", PolicyArn=policy)
    iam.delete_role(RoleName="Mine")
    assert made["Role"]["RoleName"] not in {role["RoleName"] for role in iam.list_roles()["Roles"]}


def test_simulation_allows_the_accounts_own_and_nothing_elses(clary_server):
    account, other = clary_server.account(), clary_server.account()
    answer = account.client("iam").simulate_principal_policy(
        PolicySourceArn=account.role_arn,
        ActionNames=["s3:PutObject", "iam:PassRole"],
        ResourceArns=["arn:aws:s3:::any/*", other.role_arn],
    )
    decisions = {
        (each["EvalActionName"], each["EvalResourceName"]): each["EvalDecision"]
        for each in answer["EvaluationResults"]
    }
    assert decisions[("s3:PutObject", "arn:aws:s3:::any/*")] == "allowed"
    assert decisions[("iam:PassRole", other.role_arn)] == "implicitDeny"
