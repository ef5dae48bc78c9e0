"""Buckets through boto3: whose they are, and what is refused."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.config import Config
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


@pytest.mark.parametrize(
    "bad",
    [
        "Capital-letters",
        "under_score",
        "ab",
        "a" * 64,
        "-begin",
        "end-",
        "a..b",
        "192.168.1.1",
        "xn--a",
        "a-s3alias",
    ],
)
def test_a_name_that_s3_does_not_allow_is_refused(clary_server, bad):
    s3 = clary_server.account().client("s3")
    assert code_of(s3.create_bucket, Bucket=bad) == "InvalidBucketName"
    assert s3.list_buckets()["Buckets"] == []


def test_a_bucket_lies_in_the_region_that_was_asked_for(clary_server, name):
    account = clary_server.account()
    far = account.client("s3", region="eu-west-1")
    far.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    account.client("s3").create_bucket(Bucket=f"{name}-near")
    assert [each["Name"] for each in far.list_buckets(BucketRegion="eu-west-1")["Buckets"]] == [name]
    wrong = {"LocationConstraint": "us-west-2"}
    code = code_of(far.create_bucket, Bucket=f"{name}-2", CreateBucketConfiguration=wrong)
    assert code == "IllegalLocationConstraintException"
    again = {"LocationConstraint": "eu-west-1"}
    assert (
        code_of(far.create_bucket, Bucket=name, CreateBucketConfiguration=again) == "BucketAlreadyOwnedByYou"
    )
    far.get_bucket_location(Bucket=name)
    assert code_of(far.get_bucket_location, Bucket=f"{name}-none") == "NoSuchBucket"


def test_buckets_come_in_pages_and_by_prefix(clary_server, name):
    s3 = clary_server.account().client("s3")
    names = [f"{name}-{n}" for n in range(3)] + [f"other-{name}"]
    for each in names:
        s3.create_bucket(Bucket=each)
    first = s3.list_buckets(MaxBuckets=3)
    rest = s3.list_buckets(MaxBuckets=3, ContinuationToken=first["ContinuationToken"])
    assert [each["Name"] for page in (first, rest) for each in page["Buckets"]] == names
    assert "ContinuationToken" not in rest
    assert [each["Name"] for each in s3.list_buckets(Prefix="other-")["Buckets"]] == names[3:]


def test_of_two_accounts_that_want_a_name_at_once_one_has_it(clary_server, name):
    clients = [clary_server.account().client("s3") for _ in range(6)]

    def make(s3):
        try:
            s3.create_bucket(Bucket=name)
        except ClientError as refused:
            return refused.response["Error"]["Code"]
        return ""

    with ThreadPoolExecutor(6) as pool:
        ends = list(pool.map(make, clients))
    assert sorted(ends) == ["", *["BucketAlreadyExists"] * 5]
    (owner,) = [s3 for s3, end in zip(clients, ends, strict=True) if not end]
    owner.put_object(Bucket=name, Key="a", Body=b"1")


def test_a_bucket_says_where_it_is(clary_server, name):
    account = clary_server.account()
    for region, where in (("us-east-1", None), ("eu-west-1", "eu-west-1")):
        s3 = account.client("s3", region=region)
        constraint = {"CreateBucketConfiguration": {"LocationConstraint": where}} if where else {}
        s3.create_bucket(Bucket=f"{name}-{region}", **constraint)
        s3.put_object(Bucket=f"{name}-{region}", Key="location", Body=b"an object of that name")
    asking = account.client("s3")
    assert asking.get_bucket_location(Bucket=f"{name}-us-east-1")["LocationConstraint"] is None
    assert asking.get_bucket_location(Bucket=f"{name}-eu-west-1")["LocationConstraint"] == "eu-west-1"
    assert asking.get_object(Bucket=f"{name}-eu-west-1", Key="location")["Body"].read()[:2] == b"an"
    assert code_of(asking.get_bucket_location, Bucket=f"{name}-nowhere") == "NoSuchBucket"
    other = clary_server.account().client("s3")
    assert code_of(other.get_bucket_location, Bucket=f"{name}-eu-west-1") == "AccessDenied"


def test_the_old_signature_in_the_header_does_all_that_the_new_one_does(clary_server, name):
    account = clary_server.account()
    s3 = account.client("s3", config=Config(signature_version="s3"))
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="a b/c+d", Body=b"x" * 5000, Metadata={"k": "v"}, ContentType="text/x")
    answer = s3.get_object(Bucket=name, Key="a b/c+d")
    assert (answer["Body"].read(), answer["Metadata"]) == (b"x" * 5000, {"k": "v"})
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=name, Prefix="a")["Contents"]] == ["a b/c+d"]
    upload = s3.create_multipart_upload(Bucket=name, Key="parts")["UploadId"]
    part = s3.upload_part(Bucket=name, Key="parts", UploadId=upload, PartNumber=1, Body=b"y")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    s3.complete_multipart_upload(Bucket=name, Key="parts", UploadId=upload, MultipartUpload=parts)
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    assert name in {each["Name"] for each in s3.list_buckets()["Buckets"]}
    wrong = account.client("s3", config=Config(signature_version="s3"), aws_secret_access_key="wrong")
    assert code_of(wrong.get_object, Bucket=name, Key="parts") == "SignatureDoesNotMatch"
    s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "parts"}, {"Key": "a b/c+d"}]})
    s3.delete_bucket(Bucket=name)
