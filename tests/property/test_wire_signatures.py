"""What botocore's signers sign, we verify; whatever is changed after that, we refuse."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import (
    HmacV1Auth,
    HmacV1QueryAuth,
    S3SigV4Auth,
    S3SigV4QueryAuth,
    SigV4Auth,
    SigV4QueryAuth,
)
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.kernel.errors import FaultKind, SignatureFault
from clary.testing.inprocess import as_request
from clary.wire.credential import Credential
from clary.wire.http import Request
from clary.wire.signature import Verified, verify
from clary.wire.signing import sign

KEY = Credential(
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "111122223333",
    "arn:aws:iam::1:user/a",
)
TEMPORARY = Credential(
    "ASIAIOSFODNN7EXAMPLE", "anothersecret", "111122223333", "arn:aws:iam::1:user/b", "a/token+of=="
)
KEYS = {key.access_key_id: key for key in (KEY, TEMPORARY)}
SIGNERS = {
    "header": (SigV4Auth, "sagemaker"),
    "presigned": (SigV4QueryAuth, "sagemaker"),
    "s3": (S3SigV4Auth, "s3"),
    "s3 presigned": (S3SigV4QueryAuth, "s3"),
    "sigv2": (HmacV1QueryAuth, "s3"),
    "sigv2 header": (HmacV1Auth, "s3"),
}
SEGMENTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00/"), min_size=1, max_size=8).filter(
    lambda text: text not in (".", "..")
)
PATHS = st.lists(SEGMENTS, max_size=4).map(
    lambda parts: "/" + "/".join(quote(part, safe="-_.~") for part in parts)
)
PARAMETERS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=6),
    st.text(st.characters(codec="utf-8"), max_size=6),
    max_size=3,
).map(lambda pairs: "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in pairs.items()))
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12).map(str.strip)


def signed(kind: str, key: Credential = KEY, **given: Any) -> Request:
    """Return a request as botocore's signer leaves it."""
    signer, service = SIGNERS[kind]
    credentials = Credentials(key.access_key_id, key.secret, key.session_token)
    made: Any = signer(credentials) if kind.startswith("sigv2") else signer(credentials, service, "eu-west-1")
    path, query = given.get("path", "/"), given.get("query", "")
    request = AWSRequest(
        given.get("method", "GET"),
        f"http://127.0.0.1:4747{path}{'?' if query else ''}{query}",
        given.get("headers", {}),
        given.get("body", b""),
    )
    made.add_auth(request)
    return as_request(request.prepare())


def check(
    request: Request, now: datetime | None = None, *, body: bytes | None = None, **asked: Any
) -> Verified[Credential]:
    return verify(
        method=request.method,
        path=request.path,
        query=request.query,
        headers=request.headers,
        body_sha256=sha256(request.body if body is None else body).hexdigest(),
        lookup=KEYS.get,
        now=now or datetime.now(UTC),
        **asked,
    )


def refusal(request: Request, now: datetime | None = None, **asked: Any) -> FaultKind:
    with pytest.raises(SignatureFault) as caught:
        check(request, now, **asked)
    return caught.value.kind


def changed(request: Request, **new: Any) -> Request:
    values = {name: getattr(request, name) for name in ("method", "path", "query", "headers", "body")}
    return Request(**{**values, **new})


@pytest.mark.parametrize("key", [KEY, TEMPORARY])
@pytest.mark.parametrize("kind", SIGNERS)
def test_a_signed_request_is_its_signers(kind, key):
    verified = check(signed(kind, key, path="/bucket/key", query="list-type=2&prefix=a%2Fb"))
    assert verified.credential is key
    assert verified.service == SIGNERS[kind][1]
    assert verified.region == ("" if kind.startswith("sigv2") else "eu-west-1")


@settings(deadline=None, max_examples=200)
@given(
    kind=st.sampled_from(sorted(SIGNERS)),
    path=PATHS,
    query=PARAMETERS,
    header=VALUES,
    body=st.binary(max_size=20),
)
def test_any_request_that_botocore_signs_is_verified(kind, path, query, header, body):
    presigned = "presigned" in kind or kind == "sigv2"
    headers = {} if presigned else {"X-Amz-Meta-A": header, "Content-Type": "text/csv"}
    given_body = b"" if presigned else body
    assert (
        check(signed(kind, path=path, query=query, headers=headers, body=given_body, method="PUT")).credential
        is KEY
    )


@settings(deadline=None, max_examples=100)
@given(path=PATHS, query=PARAMETERS, value=VALUES, token=st.sampled_from([KEY, TEMPORARY]))
def test_what_we_sign_we_verify(path, query, value, token):
    headers = {"x-amz-meta-a": value, "content-type": "text/csv"}
    own = sign(
        method="PUT",
        host="127.0.0.1:8333",
        path=path,
        query=query,
        headers=headers,
        payload_hash="UNSIGNED-PAYLOAD",
        access_key_id=token.access_key_id,
        secret=token.secret,
        session_token=token.session_token,
        region="us-east-1",
        now=datetime.now(UTC),
    )
    assert (
        check(Request("PUT", path, query, {**headers, **own}, b"anything")).payload_hash == "UNSIGNED-PAYLOAD"
    )


@settings(deadline=None, max_examples=100)
@given(path=PATHS, query=PARAMETERS)
def test_what_we_sign_is_what_botocore_would(path, query):
    theirs = signed("s3", path=path, query=query)
    moment = datetime.strptime(theirs.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    ours = sign(
        method="GET",
        host="127.0.0.1:4747",
        path=path,
        query=query,
        headers={},
        region="eu-west-1",
        now=moment,
        payload_hash=sha256(b"").hexdigest(),
        access_key_id=KEY.access_key_id,
        secret=KEY.secret,
    )
    assert ours["authorization"] == theirs.headers["authorization"]


@pytest.mark.parametrize("kind", SIGNERS)
def test_a_changed_request_is_refused(kind):
    presigned = "presigned" in kind or kind == "sigv2"
    headers = {"Content-Type": "text/csv"} if kind != "s3 presigned" else {}
    good = signed(kind, method="PUT", path="/bucket/key", query="uploadId=1", headers=headers)
    check(good)
    assert refusal(changed(good, method="POST")) is FaultKind.MISMATCH
    assert refusal(changed(good, path="/bucket/other")) is FaultKind.MISMATCH
    assert refusal(changed(good, query=good.query.replace("uploadId=1", "uploadId=2"))) is FaultKind.MISMATCH
    if not kind.startswith("sigv2"):
        assert refusal(changed(good, headers={**good.headers, "host": "elsewhere"})) is FaultKind.MISMATCH
        assert refusal(changed(good, query=f"{good.query}&more=1")) is FaultKind.MISMATCH
    if not presigned:
        assert (
            refusal(changed(good, headers={**good.headers, "content-type": "text/html"}))
            is FaultKind.MISMATCH
        )
        is_body_signed = kind != "sigv2 header"
        assert not is_body_signed or refusal(good, body=b"another body") is FaultKind.MISMATCH


@pytest.mark.parametrize("kind", SIGNERS)
def test_a_wrong_secret_an_unknown_key_and_no_signature_are_told_apart(kind):
    wrong = Credential(KEY.access_key_id, "wrong", "1", "a")
    unknown = Credential("AKIANOBODY", "wrong", "1", "a")
    assert refusal(signed(kind, wrong)) is FaultKind.MISMATCH
    assert refusal(signed(kind, unknown)) is FaultKind.UNKNOWN_KEY
    assert refusal(Request("GET", "/", "", {"host": "a"})) is FaultKind.MISSING


@pytest.mark.parametrize("kind", SIGNERS)
def test_session_tokens_must_be_the_keys_own(kind):
    other = Credential(TEMPORARY.access_key_id, TEMPORARY.secret, "1", "a", "another token")
    bare = Credential(TEMPORARY.access_key_id, TEMPORARY.secret, "1", "a")
    spare = Credential(KEY.access_key_id, KEY.secret, "1", "a", "a token too many")
    for key in (other, bare, spare):
        assert refusal(signed(kind, key)) is FaultKind.INVALID_TOKEN


@pytest.mark.parametrize("kind", SIGNERS)
def test_an_expired_key_is_refused(kind, monkeypatch):
    ended = Credential("ASIAENDED", "secret", "1", "a", "token", datetime.now(UTC) - timedelta(seconds=1))
    monkeypatch.setitem(KEYS, ended.access_key_id, ended)
    assert refusal(signed(kind, ended)) is FaultKind.EXPIRED_TOKEN


@pytest.mark.parametrize(
    ("kind", "later_s", "fault"),
    [
        ("header", 890, None),
        ("header", 910, FaultKind.SKEWED),
        ("header", -890, None),
        ("header", -910, FaultKind.SKEWED),
        ("s3", 910, FaultKind.SKEWED),
        ("presigned", 3500, None),
        ("presigned", 3700, FaultKind.EXPIRED_URL),
        ("s3 presigned", 3700, FaultKind.EXPIRED_URL),
        ("s3 presigned", -910, FaultKind.SKEWED),
        ("sigv2", 3500, None),
        ("sigv2", 3700, FaultKind.EXPIRED_URL),
        ("sigv2 header", 890, None),
        ("sigv2 header", 910, FaultKind.SKEWED),
        ("sigv2 header", -910, FaultKind.SKEWED),
    ],
)
def test_time_runs_out(kind, later_s, fault):
    request = signed(kind)
    now = datetime.now(UTC) + timedelta(seconds=later_s)
    if fault is None:
        assert check(request, now)
    else:
        assert refusal(request, now) is fault


@pytest.mark.parametrize("kind", SIGNERS)
def test_a_signature_is_for_one_service(kind):
    own = SIGNERS[kind][1]
    assert check(signed(kind), service=own)
    assert refusal(signed(kind), service="sts") is FaultKind.MISMATCH


@pytest.mark.parametrize("kind", ["header", "s3", "s3 presigned"])
def test_headers_of_amazon_must_all_be_signed(kind):
    good = signed(kind)
    assert refusal(changed(good, headers={**good.headers, "x-amz-acl": "public-read"})) is FaultKind.MALFORMED


@pytest.mark.parametrize("kind", ["sigv2", "sigv2 header"])
def test_a_header_signed_by_sigv2_cannot_be_added(kind):
    good = signed(kind)
    assert refusal(changed(good, headers={**good.headers, "x-amz-acl": "public-read"})) is FaultKind.MISMATCH


def test_a_presigned_url_may_ask_for_one_body(monkeypatch):
    digest = sha256(b"this one").hexdigest()
    monkeypatch.setattr(S3SigV4QueryAuth, "payload", lambda _signer, _request: digest)
    request = signed("s3 presigned", method="PUT", query=f"X-Amz-Content-Sha256={digest}")
    assert check(request, body=b"this one").payload_hash == digest
    assert refusal(request, body=b"another") is FaultKind.MISMATCH


def test_a_body_that_says_it_is_unsigned_is_so_only_in_s3():
    good = signed("header", body=b"paid", method="POST", headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    assert refusal(good) is FaultKind.MISMATCH


def test_a_plain_path_signed_encoded_and_the_other_way_round_both_hold():
    request = signed("s3", path="/bucket/a%20b%28c%29")
    assert check(changed(request, path="/bucket/a%20b(c)"))


def test_an_encoded_slash_is_not_a_slash():
    request = signed("header", path="/endpoints/a/invocations")
    assert refusal(changed(request, path="/endpoints%2Fa/invocations")) is FaultKind.MISMATCH


def test_sigv2_signs_the_bucket_that_the_host_names():
    request = signed("sigv2 header", path="/bucket/a%20key")
    within = changed(request, path="/a%20key")
    assert check(within, bucket="bucket").credential is KEY
    assert refusal(within) is FaultKind.MISMATCH
    assert refusal(within, bucket="other") is FaultKind.MISMATCH


def test_a_date_header_does_for_an_amazon_date():
    request = signed("header", headers={"Date": "now"})
    assert "x-amz-date" not in request.headers
    assert check(request)


def test_the_url_is_the_whole_request():
    request = signed("s3 presigned", path="/bucket/key")
    assert urlsplit(f"http://host{request.path}?{request.query}").path == "/bucket/key"
    assert "authorization" not in request.headers
