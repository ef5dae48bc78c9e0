"""Objects uploaded in parts: what was said of the object stays, whatever its parts are called."""

import io

import pytest
from boto3.s3.transfer import TransferConfig

from clary.testing.jobs import new_bucket

PART = 5 << 20
TEXT = b"".join(b"%d,%d\n" % (n, n * n) for n in range(900_000))


@pytest.mark.parametrize("content_type", ["text/csv", None])
def test_an_object_in_parts_keeps_its_bytes_and_its_content_type(clary_server, content_type):
    account = clary_server.account()
    s3, bucket = account.client("s3"), new_bucket(account)
    given = {"ContentType": content_type} if content_type else {}
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
    s3.upload_fileobj(io.BytesIO(TEXT), bucket, "rows.csv", ExtraArgs=given, Config=config)
    found = s3.get_object(Bucket=bucket, Key="rows.csv")
    assert found["Body"].read() == TEXT
    assert found["ContentType"].startswith("text/csv")  # given, or what the store makes of the key
    assert found["ETag"].endswith(f'-{-(-len(TEXT) // PART)}"')
    middle = s3.get_object(Bucket=bucket, Key="rows.csv", Range=f"bytes={PART - 9}-{PART + 8}")
    assert middle["Body"].read() == TEXT[PART - 9 : PART + 9]


def test_a_part_may_be_a_copy(clary_server):
    account = clary_server.account()
    s3, bucket = account.client("s3"), new_bucket(account)
    s3.put_object(Bucket=bucket, Key="source", Body=TEXT[:PART])
    where = {"Bucket": bucket, "Key": "copy"}
    upload = s3.create_multipart_upload(**where, ContentType="text/csv")["UploadId"]
    copied = s3.upload_part_copy(
        **where, UploadId=upload, PartNumber=1, CopySource={"Bucket": bucket, "Key": "source"}
    )["CopyPartResult"]["ETag"]
    put = s3.upload_part(**where, UploadId=upload, PartNumber=2, Body=b"the end")["ETag"]
    parts = [{"PartNumber": 1, "ETag": copied}, {"PartNumber": 2, "ETag": put}]
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    found = s3.get_object(**where)
    assert found["Body"].read() == TEXT[:PART] + b"the end"
    assert found["ContentType"] == "text/csv"
