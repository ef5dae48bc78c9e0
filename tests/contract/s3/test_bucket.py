"""Buckets through boto3: whose they are, and what is refused."""

import pytest
from botocore.exceptions import ClientError

from clary.kernel import ids


@pytest.fixture
def name():
    return f"bucket-{ids.short()}"


def code_of(call, **arguments):
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"]


def test_a_bucket_is_listed_by_its_owner_alone(clary_server, name):
    one, other = clary_server.account(), clary_server.account()
    one.client("s3").create_bucket(Bucket=name)
    assert name in {each["Name"] for each in one.client("s3").list_buckets()["Buckets"]}
    assert other.client("s3").list_buckets()["Buckets"] == []
    assert code_of(other.client("s3").head_bucket, Bucket=name) == "403"
    assert code_of(other.client("s3").create_bucket, Bucket=name) == "BucketAlreadyExists"


def test_making_ones_own_bucket_again_keeps_what_is_in_it(clary_server, name):
    s3 = clary_server.account().client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="a", Body=b"1")
    s3.create_bucket(Bucket=name)
    assert s3.get_object(Bucket=name, Key="a")["Body"].read() == b"1"


def test_a_bucket_that_holds_objects_is_not_deleted(clary_server, name):
    s3 = clary_server.account().client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="a", Body=b"1")
    assert code_of(s3.delete_bucket, Bucket=name) == "BucketNotEmpty"
    assert s3.get_object(Bucket=name, Key="a")["Body"].read() == b"1"
    s3.delete_object(Bucket=name, Key="a")
    s3.delete_bucket(Bucket=name)
    assert code_of(s3.head_bucket, Bucket=name) == "404"


def test_another_accounts_bucket_is_not_deleted(clary_server, name):
    clary_server.account().client("s3").create_bucket(Bucket=name)
    assert code_of(clary_server.account().client("s3").delete_bucket, Bucket=name) == "AccessDenied"
    assert code_of(clary_server.account().client("s3").delete_bucket, Bucket=f"{name}-2") == "NoSuchBucket"
