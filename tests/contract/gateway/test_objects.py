"""S3 through the edge, by boto3 and by URL, with a real object store behind it."""

import base64
import hashlib
import hmac
import io
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from .conftest import BUCKET, OTHER_BUCKET, Site, Weed
from .neighbours import ACCOUNT, KEY, OTHER_ACCOUNT, OTHER_KEY, SECRET, Neighbours


@pytest.fixture
def s3(stored: Site) -> Any:
    return stored.client("s3")


@pytest.fixture
def other(stored: Site) -> Any:
    return stored.client("s3", key=OTHER_KEY)


def code(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_an_object_comes_back_with_its_metadata(s3: Any) -> None:
    key = "a b/ü+&=%41.txt"
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"hello", ContentType="text/x", Metadata={"k": "v"})
    answer = s3.get_object(Bucket=BUCKET, Key=key)
    assert (answer["Body"].read(), answer["ContentType"], answer["Metadata"]) == (
        b"hello",
        "text/x",
        {"k": "v"},
    )
    assert s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == 5
    assert key in [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET, Prefix="a b/")["Contents"]]
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key}]})
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=BUCKET, Key=key)
    assert code(caught) == ("NoSuchKey", 404)


def test_a_range_is_honoured(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="range", Body=bytes(range(100)))
    answer = s3.get_object(Bucket=BUCKET, Key="range", Range="bytes=10-19")
    assert answer["Body"].read() == bytes(range(10, 20))
    assert answer["ContentRange"] == "bytes 10-19/100"


def test_twenty_megabytes_go_up_and_down_in_parts(s3: Any) -> None:
    body = os.urandom(20 * 1024 * 1024)
    config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    s3.upload_fileobj(io.BytesIO(body), BUCKET, "large", Config=config)
    received = io.BytesIO()
    s3.download_fileobj(BUCKET, "large", received, Config=config)
    assert hashlib.sha256(received.getvalue()).digest() == hashlib.sha256(body).digest()
    assert s3.get_object(Bucket=BUCKET, Key="large")["Body"].read() == body


def test_a_file_goes_up_with_expect_continue_without_delay(s3: Any) -> None:
    started = time.monotonic()
    for n in range(5):
        s3.put_object(Bucket=BUCKET, Key=f"expect-{n}", Body=io.BytesIO(b"x" * 1000))
    assert time.monotonic() - started < 4  # a missing 100 costs a second each


def test_head_errors_are_what_botocore_wants(s3: Any, other: Any) -> None:
    for client, bucket, wanted in ((s3, "nowhere", ("404", 404)), (other, BUCKET, ("403", 403))):
        with pytest.raises(ClientError) as caught:
            client.head_bucket(Bucket=bucket)
        assert code(caught) == wanted
    with pytest.raises(ClientError) as caught:
        s3.head_object(Bucket=BUCKET, Key="nothing")
    assert code(caught) == ("404", 404)


def test_the_account_is_the_wall_between_buckets(s3: Any, other: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="secret", Body=b"x")
    calls: tuple[Callable[[], Any], ...] = (
        lambda: other.get_object(Bucket=BUCKET, Key="secret"),
        lambda: other.put_object(Bucket=BUCKET, Key="secret", Body=b"y"),
        lambda: other.list_objects_v2(Bucket=BUCKET),
        lambda: other.delete_object(Bucket=BUCKET, Key="secret"),
        lambda: other.copy_object(
            Bucket=OTHER_BUCKET, Key="stolen", CopySource={"Bucket": BUCKET, "Key": "secret"}
        ),
    )
    for call in calls:
        with pytest.raises(ClientError) as caught:
            call()
        assert code(caught) == ("AccessDenied", 403)
    assert s3.get_object(Bucket=BUCKET, Key="secret")["Body"].read() == b"x"
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "secret"})
    assert s3.get_object(Bucket=BUCKET, Key="copy")["Body"].read() == b"x"


def test_no_key_or_prefix_climbs_out_of_its_bucket(s3: Any, other: Any, weed: Weed) -> None:
    s3.put_object(Bucket=BUCKET, Key="secret", Body=b"x")
    up = f"../{BUCKET}/secret"
    calls: tuple[Callable[[], Any], ...] = (
        lambda: other.get_object(Bucket=OTHER_BUCKET, Key=up),
        lambda: other.put_object(Bucket=OTHER_BUCKET, Key=f"a/../../{BUCKET}/planted", Body=b""),
        lambda: other.list_objects_v2(Bucket=OTHER_BUCKET, Prefix=f"../{BUCKET}/"),
        lambda: other.list_objects(Bucket=OTHER_BUCKET, Prefix=f"../{BUCKET}/s"),
        lambda: other.copy_object(
            Bucket=OTHER_BUCKET, Key="c", CopySource={"Bucket": OTHER_BUCKET, "Key": up}
        ),
        lambda: other.create_multipart_upload(Bucket=OTHER_BUCKET, Key=up),
    )
    for call in calls:
        with pytest.raises(ClientError) as caught:
            call()
        assert code(caught) == ("InvalidArgument", 400)
    other.delete_objects(
        Bucket=OTHER_BUCKET, Delete={"Objects": [{"Key": up}, {"Key": f"/../{BUCKET}/secret"}]}
    )
    assert weed.client().get_object(Bucket=BUCKET, Key="secret")["Body"].read() == b"x"


def test_a_bucket_that_nobody_owns_does_not_exist(s3: Any, weed: Weed) -> None:
    weed.client().create_bucket(Bucket="ownerless")
    with pytest.raises(ClientError) as caught:
        s3.list_objects_v2(Bucket="ownerless")
    assert code(caught) == ("NoSuchBucket", 404)


def test_the_expected_owner_must_be_the_owner(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="o", Body=b"", ExpectedBucketOwner=ACCOUNT)
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=BUCKET, Key="o", Body=b"", ExpectedBucketOwner=OTHER_ACCOUNT)
    assert code(caught) == ("AccessDenied", 403)


def test_buckets_are_made_and_listed_by_the_control_plane(stored: Site, s3: Any) -> None:
    n_before = len(stored.control.requests)
    s3.create_bucket(Bucket="new-bucket")
    s3.delete_bucket(Bucket="new-bucket")
    stored.exchange(
        b"GET / HTTP/1.1\r\nHost: x\r\n"
        b"Authorization: AWS4-HMAC-SHA256 Credential=A/20260101/r/s3/aws4_request, "
        b"SignedHeaders=h, Signature=0\r\nConnection: close\r\n\r\n"
    )
    seen = [(each["method"], each["path"]) for each in stored.control.requests[n_before:]]
    assert seen == [("PUT", "/new-bucket"), ("DELETE", "/new-bucket"), ("GET", "/")]


def test_bad_signatures_get_s3s_own_codes(stored: Site, neighbours: Neighbours) -> None:
    live = {"secret": "s", "account": ACCOUNT, "session_token": "t"}
    neighbours.credentials["ASIAS3LIVELIVELIVELI"] = live
    neighbours.credentials["ASIAS3EXPIREDEXPIRED"] = {**live, "expires_ms": 1}

    def fault(**given: Any) -> tuple[str, int]:
        with pytest.raises(ClientError) as caught:
            stored.client("s3", **given).list_objects_v2(Bucket=BUCKET)
        return code(caught)

    assert fault(secret="wrong") == ("SignatureDoesNotMatch", 403)
    assert fault(key="AKIANOBODYNOBODYNOBO") == ("InvalidAccessKeyId", 403)
    assert fault(key="ASIAS3EXPIREDEXPIRED", secret="s", aws_session_token="t") == ("ExpiredToken", 400)
    assert fault(key="ASIAS3LIVELIVELIVELI", secret="s", aws_session_token="u") == ("InvalidToken", 400)
    stored.client("s3", key="ASIAS3LIVELIVELIVELI", secret="s", aws_session_token="t").list_objects_v2(
        Bucket=BUCKET
    )


def test_what_is_not_signed_is_denied(stored: Site) -> None:
    for method in ("GET", "PUT", "DELETE"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(
                urllib.request.Request(f"{stored.url}/{BUCKET}/x", method=method, data=b"")
            )
        assert caught.value.code == 403
        assert b"<Code>AccessDenied</Code>" in caught.value.read()


def test_a_post_that_is_no_form_says_so(stored: Site) -> None:
    request = urllib.request.Request(
        f"{stored.url}/{BUCKET}", data=b"--b--", headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 400
    assert b"exactly one file upload" in caught.value.read()


def test_a_bucket_part_that_the_store_would_mistake_for_the_bucket_is_not_implemented(s3: Any) -> None:
    website = {"IndexDocument": {"Suffix": "i"}}
    calls: tuple[Callable[[], Any], ...] = (
        lambda: s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={}),
        lambda: s3.put_bucket_website(Bucket=BUCKET, WebsiteConfiguration=website),
        lambda: s3.delete_bucket_website(Bucket=BUCKET),
        lambda: s3.delete_bucket_replication(Bucket=BUCKET),
        lambda: s3.delete_bucket_metrics_configuration(Bucket=BUCKET, Id="1"),
    )
    for call in calls:
        with pytest.raises(ClientError) as caught:
            call()
        assert code(caught) == ("NotImplemented", 501)
    s3.head_bucket(Bucket=BUCKET)


def test_the_parts_of_a_bucket_that_the_store_has_work(s3: Any) -> None:
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"] == [{"Key": "a", "Value": "b"}]
    s3.delete_bucket_tagging(Bucket=BUCKET)
    s3.delete_bucket_lifecycle(Bucket=BUCKET)
    s3.delete_bucket_cors(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    s3.head_bucket(Bucket=BUCKET)


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls_work_without_an_sdk(stored: Site, version: str) -> None:
    s3 = stored.client("s3", config={"signature_version": version})
    params = {"Bucket": BUCKET, "Key": f"pre signed/{version}"}
    put = s3.generate_presigned_url(
        "put_object", Params={**params, "ContentType": "text/x", "Metadata": {"k": "v"}}
    )
    headers = {"Content-Type": "text/x", "x-amz-meta-k": "v"}
    urllib.request.urlopen(urllib.request.Request(put, data=b"body", method="PUT", headers=headers)).close()
    get = s3.generate_presigned_url("get_object", Params={**params, "ResponseContentType": "text/y"})
    with urllib.request.urlopen(get) as answer:
        assert answer.read() == b"body"
        assert answer.headers["content-type"] == "text/y"
    stat = stored.client("s3").head_object(**params)
    assert (stat["ContentType"], stat["Metadata"]) == ("text/x", {"k": "v"})
    for url in (get.replace(f"/{BUCKET}/", f"/{OTHER_BUCKET}/"), get.replace("Expires=", "Expires=1")):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url)
        assert caught.value.code == 403


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_presigned_url_ends(stored: Site, version: str) -> None:
    s3 = stored.client("s3", config={"signature_version": version})
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "warm"}, ExpiresIn=-1)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url)
    assert caught.value.code in {400, 403}
    assert b"<Code>A" in caught.value.read()


def test_a_presigned_url_of_temporary_keys_carries_its_token(stored: Site, neighbours: Neighbours) -> None:
    neighbours.credentials["ASIAPRESIGNEDPRESIGN"] = {
        "secret": "s",
        "account": ACCOUNT,
        "session_token": "t/+=",
    }
    for version in ("s3", "s3v4"):
        client = stored.client(
            "s3",
            key="ASIAPRESIGNEDPRESIGN",
            secret="s",
            aws_session_token="t/+=",
            config={"signature_version": version},
        )
        url = client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "warm"})
        with urllib.request.urlopen(url) as answer:
            assert answer.status == 200


def test_a_body_that_is_not_what_was_signed_is_refused(stored: Site) -> None:
    client = stored.client("s3")
    client.meta.events.register("before-send", lambda request, **_: setattr(request, "body", b"other"))
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket=BUCKET, Key="tampered", Body=b"hello", ChecksumAlgorithm="SHA256")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


class Chunks:
    """Uploads signed chunk by chunk, as the Java SDK sends them over plain HTTP."""

    def __init__(self, site: Site, key: str, *, trailer: bool, tamper: bool = False) -> None:
        self.pieces = [os.urandom(70_000), os.urandom(70_000), os.urandom(5)]
        self.body = b"".join(self.pieces)
        word = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if trailer else "")
        headers = {
            "x-amz-content-sha256": word,
            "x-amz-decoded-content-length": str(len(self.body)),
            "content-encoding": "aws-chunked,identity",
        }
        if trailer:
            headers["x-amz-trailer"] = "x-amz-checksum-sha256"
        request = AWSRequest("PUT", f"{site.url}/{BUCKET}/{key}", headers=headers)
        auth = SigV4Auth(Credentials(KEY, SECRET), "s3", "us-east-1")
        vars(auth)["payload"] = lambda _request: word
        auth.add_auth(request)
        self.headers = dict(request.headers)
        self.url = f"{site.url}/{BUCKET}/{key}"
        self._previous = self.headers["Authorization"].rpartition("=")[2]
        self._timestamp = self.headers["X-Amz-Date"]
        self._scope = f"{self._timestamp[:8]}/us-east-1/s3/aws4_request"
        framed = b"".join(self._frame(piece) for piece in (*self.pieces, b""))
        if tamper:
            framed = framed.replace(self.pieces[1][100:120], bytes(20))
        self.framed = framed[:-2] + (self._trailers() if trailer else b"\r\n")

    def _sign(self, kind: str, *lines: str) -> str:
        key = f"AWS4{SECRET}".encode()
        for part in self._scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        text = "\n".join((f"AWS4-HMAC-SHA256-{kind}", self._timestamp, self._scope, self._previous, *lines))
        self._previous = hmac.digest(key, text.encode(), "sha256").hex()
        return self._previous

    def _frame(self, piece: bytes) -> bytes:
        signature = self._sign("PAYLOAD", hashlib.sha256(b"").hexdigest(), hashlib.sha256(piece).hexdigest())
        return f"{len(piece):x};chunk-signature={signature}\r\n".encode() + piece + b"\r\n"

    def _trailers(self) -> bytes:
        checksum = base64.b64encode(hashlib.sha256(self.body).digest()).decode()
        line = f"x-amz-checksum-sha256:{checksum}"
        signature = self._sign("TRAILER", hashlib.sha256(f"{line}\n".encode()).hexdigest())
        return f"{line}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode()

    def send(self) -> int:
        request = urllib.request.Request(self.url, data=self.framed, method="PUT", headers=self.headers)
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)


@pytest.mark.parametrize("trailer", [False, True])
def test_chunks_signed_one_by_one_are_checked_and_stored(stored: Site, s3: Any, trailer: bool) -> None:
    chunks = Chunks(stored, f"chunks-{trailer}", trailer=trailer)
    assert chunks.send() == 200
    answer = s3.get_object(Bucket=BUCKET, Key=f"chunks-{trailer}", ChecksumMode="ENABLED")
    assert answer["Body"].read() == chunks.body
    assert "aws-chunked" not in answer.get("ContentEncoding", "")
    if trailer:
        assert answer["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(chunks.body).digest()).decode()


@pytest.mark.parametrize("trailer", [False, True])
def test_a_chunk_that_was_changed_is_refused_and_nothing_stored(stored: Site, s3: Any, trailer: bool) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        Chunks(stored, f"bad-{trailer}", trailer=trailer, tamper=True).send()
    assert refused.value.code == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in refused.value.read()
    with pytest.raises(ClientError) as caught:
        s3.head_object(Bucket=BUCKET, Key=f"bad-{trailer}")
    assert code(caught) == ("404", 404)


def test_an_upload_refused_early_still_gets_its_answer(other: Any) -> None:
    with pytest.raises(ClientError) as caught:
        other.put_object(Bucket=BUCKET, Key="k", Body=bytes(30 << 20))
    assert code(caught) == ("AccessDenied", 403)


def test_keys_keep_their_slashes_and_dots(s3: Any) -> None:
    for key in ("x/.hidden", "x/a..b", "x/...", "x/d/"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")
    listed = [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET, Prefix="x/.")["Contents"]]
    assert listed == ["x/...", "x/.hidden"]
