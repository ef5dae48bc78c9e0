"""Secrets Manager through boto3."""

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def secrets(clary_server):
    return clary_server.account().client("secretsmanager")


def test_a_secret_is_kept_and_its_former_version_too(secrets):
    made = secrets.create_secret(
        Name="git/main", SecretString="one", Description="d", Tags=[{"Key": "a", "Value": "b"}]
    )
    put = secrets.put_secret_value(SecretId="git/main", SecretString="two")
    now = secrets.get_secret_value(SecretId=made["ARN"])
    before = secrets.get_secret_value(SecretId="git/main", VersionStage="AWSPREVIOUS")
    assert (now["SecretString"], before["SecretString"]) == ("two", "one")
    assert now["VersionId"] == put["VersionId"] != made["VersionId"]
    described = secrets.describe_secret(SecretId="git/main")
    assert described["Tags"] == [{"Key": "a", "Value": "b"}]
    assert described["VersionIdsToStages"] == {
        put["VersionId"]: ["AWSCURRENT"],
        made["VersionId"]: ["AWSPREVIOUS"],
    }


def test_bytes_come_back_as_they_were(secrets):
    secrets.create_secret(Name="raw", SecretBinary=bytes(range(256)))
    assert secrets.get_secret_value(SecretId="raw")["SecretBinary"] == bytes(range(256))


def test_a_partial_arn_finds_a_secret(secrets):
    arn = secrets.create_secret(Name="part", SecretString="x")["ARN"]
    assert secrets.get_secret_value(SecretId=arn[:-7])["Name"] == "part"


def test_a_secret_is_updated_deleted_and_restored(secrets):
    secrets.create_secret(Name="s", SecretString="x")
    secrets.update_secret(SecretId="s", Description="what it is for")
    assert secrets.get_secret_value(SecretId="s")["SecretString"] == "x"
    secrets.delete_secret(SecretId="s")
    with pytest.raises(ClientError, match="marked for deletion"):
        secrets.get_secret_value(SecretId="s")
    secrets.restore_secret(SecretId="s")
    assert secrets.describe_secret(SecretId="s")["Description"] == "what it is for"
    secrets.delete_secret(SecretId="s", ForceDeleteWithoutRecovery=True)
    with pytest.raises(secrets.exceptions.ResourceNotFoundException):
        secrets.describe_secret(SecretId="s")


def test_secrets_are_listed_by_page(secrets):
    for name in "cab":
        secrets.create_secret(Name=name, SecretString=name)
    pages = secrets.get_paginator("list_secrets").paginate(PaginationConfig={"PageSize": 2})
    assert [each["Name"] for page in pages for each in page["SecretList"]] == ["a", "b", "c"]


def test_a_secret_is_of_its_account_alone(clary_server, secrets):
    arn = secrets.create_secret(Name="mine", SecretString="x")["ARN"]
    other = clary_server.account().client("secretsmanager")
    with pytest.raises(ClientError, match="not authorized"):
        other.get_secret_value(SecretId=arn)
    with pytest.raises(other.exceptions.ResourceNotFoundException):
        other.get_secret_value(SecretId="mine")


def test_what_cannot_be_is_refused(secrets):
    secrets.create_secret(Name="taken", SecretString="x")
    with pytest.raises(secrets.exceptions.ResourceExistsException):
        secrets.create_secret(Name="taken", SecretString="y")
    with pytest.raises(secrets.exceptions.InvalidParameterException, match="only one of them"):
        secrets.create_secret(Name="both", SecretString="x", SecretBinary=b"y")
    with pytest.raises(secrets.exceptions.InvalidParameterException, match="between 7 and 30"):
        secrets.delete_secret(SecretId="taken", RecoveryWindowInDays=3)


def test_values_are_encrypted_at_rest(clary_server, secrets):
    secrets.create_secret(Name="hidden", SecretString="needle-in-the-store")
    secrets.describe_secret(SecretId="hidden")
    for path in clary_server.data_dir.glob("clary.db*"):
        assert b"needle-in-the-store" not in path.read_bytes()
