"""Users and their keys: what a key signs while it is active, and that it signs nothing afterwards."""

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from clary.testing.server import Account, ClaryServer


@pytest.fixture
def account(clary_server: ClaryServer) -> Account:
    return clary_server.account()


def asks(account, key):
    """Return who a key speaks for, or the code of the refusal."""
    client = boto3.client(
        "sts",
        endpoint_url=account.url,
        region_name=account.region,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        config=Config(proxies={}, retries={"total_max_attempts": 1}),
    )
    try:
        return client.get_caller_identity()["Arn"]
    except ClientError as error:
        return error.response["Error"]["Code"]


def test_a_users_key_signs_until_it_is_inactive_or_deleted(account):
    iam = account.client("iam")
    arn = iam.create_user(UserName="ada")["User"]["Arn"]
    assert arn == f"arn:aws:iam::{account.account_id}:user/ada"
    assert [each["UserName"] for each in iam.list_users()["Users"]] == ["ada"]
    assert iam.get_user(UserName="ada")["User"]["Arn"] == arn
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    assert asks(account, key) == arn
    iam.update_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert asks(account, key) == "InvalidClientTokenId"
    listed = iam.list_access_keys(UserName="ada")["AccessKeyMetadata"]
    assert [(each["AccessKeyId"], each["Status"]) for each in listed] == [(key["AccessKeyId"], "Inactive")]
    iam.update_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"], Status="Active")
    assert asks(account, key) == arn
    with pytest.raises(ClientError, match="must delete access keys first"):
        iam.delete_user(UserName="ada")
    iam.delete_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"])
    assert asks(account, key) == "InvalidClientTokenId"
    iam.delete_user(UserName="ada")
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_user(UserName="ada")


def test_a_user_has_two_keys_and_other_accounts_none_of_them(clary_server, account):
    iam, other = account.client("iam"), clary_server.account().client("iam")
    iam.create_user(UserName="bob")
    keys = [iam.create_access_key(UserName="bob")["AccessKey"] for _ in range(2)]
    with pytest.raises(iam.exceptions.LimitExceededException):
        iam.create_access_key(UserName="bob")
    with pytest.raises(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName="bob")
    with pytest.raises(other.exceptions.NoSuchEntityException):
        other.update_access_key(AccessKeyId=keys[0]["AccessKeyId"], Status="Inactive")
    assert asks(account, keys[0]).endswith(":user/bob")


def test_quotas_say_what_the_settings_allow(account):
    client = account.client("service-quotas")
    quotas = client.list_service_quotas(ServiceCode="sagemaker")["Quotas"]
    assert {each["Value"] for each in quotas} == {3.0}
    code = quotas[0]["QuotaCode"]
    one = client.get_service_quota(ServiceCode="sagemaker", QuotaCode=code)["Quota"]
    assert one["QuotaName"] == "Total number of notebook instances"
    with pytest.raises(client.exceptions.NoSuchResourceException, match="must be 'sagemaker'"):
        client.list_service_quotas(ServiceCode="ec2")
