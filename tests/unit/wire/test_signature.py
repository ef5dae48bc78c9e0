from datetime import UTC, datetime, timedelta

import pytest

from clary.kernel.errors import SignatureFault
from clary.wire import signature
from clary.wire.credential import Credential
from clary.wire.signature import EMPTY_SHA256, chunk_signature, signing_key, verify
from clary.wire.signing import sign

SIGNED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY = Credential("AKIA", "secret", "111122223333", "arn:aws:iam::111122223333:user/a")


def headers(**changes: str) -> dict[str, str]:
    """Return signed headers of an empty request for STS."""
    own = sign(
        method="POST",
        host="localhost",
        path="/",
        query="",
        headers={},
        payload_hash=EMPTY_SHA256,
        access_key_id="AKIA",
        secret="secret",
        region="us-east-1",
        now=SIGNED,
        service="sts",
    )
    return {**own, **changes}


def refusal(given: dict[str, str], *, now: datetime = SIGNED, query: str = "") -> str:
    with pytest.raises(SignatureFault) as caught:
        verify(
            method="POST",
            path="/",
            query=query,
            headers=given,
            body_sha256=EMPTY_SHA256,
            lookup={"AKIA": KEY}.get,
            now=now,
        )
    return f"{caught.value.kind.value}: {caught.value.message}"


def test_no_signature():
    assert refusal({"host": "a"}) == "missing: Missing Authentication Token"


def test_an_unknown_key():
    given = headers()
    given["authorization"] = given["authorization"].replace("AKIA", "AKIB")
    assert refusal(given) == "unknown_key: The security token included in the request is invalid."


def test_a_wrong_signature():
    assert refusal(headers(host="elsewhere")) == (
        "mismatch: The request signature we calculated does not match the signature you provided. Check your "
        "AWS Secret Access Key and signing method. Consult the service documentation for details."
    )


def test_a_late_request():
    assert refusal(headers(), now=SIGNED + timedelta(minutes=18)) == (
        "skewed: Signature expired: 20260102T030405Z is now earlier than 20260102T030705Z "
        "(20260102T032205Z - 15 min.)"
    )


def test_an_early_request():
    assert refusal(headers(), now=SIGNED - timedelta(minutes=18)) == (
        "skewed: Signature not yet current: 20260102T030405Z is still later than 20260102T030105Z "
        "(20260102T024605Z + 15 min.)"
    )


@pytest.mark.parametrize(
    ("authorization", "text"),
    [
        ("Basic abc", "Unsupported authorization algorithm 'Basic'"),
        ("HMAC AKIA:abc=", "Unsupported authorization algorithm 'HMAC'"),
        ("", "Unsupported authorization algorithm ''"),
        (
            "AWS4-HMAC-SHA256 Credential=a",
            "requires 'Signature' parameter. Authorization header requires 'SignedHeaders'",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=b",
            "Credential must be '<access key id>",
        ),
    ],
)
def test_a_malformed_header_is_told_what_it_lacks(authorization, text):
    found = refusal(headers(authorization=authorization))
    assert found.startswith("malformed: ")
    assert text in found


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=a",
            "requires: X-Amz-Credential, X-Amz-SignedHeaders, X-Amz-Signature",
        ),
        (
            "X-Amz-Signature=a&X-Amz-Credential=a&X-Amz-SignedHeaders=a&X-Amz-Date=a",
            "X-Amz-Algorithm only supports",
        ),
        ("AWSAccessKeyId=&Signature=a&Expires=1", "requires AWSAccessKeyId, Signature and Expires"),
        ("AWSAccessKeyId=a&Signature=a&Expires=soon", "requires AWSAccessKeyId, Signature and Expires"),
    ],
)
def test_a_malformed_url_is_told_what_it_lacks(query, text):
    assert text in refusal({"host": "a"}, query=query)


@pytest.mark.parametrize("expires", ["-1", "604801", "soon", "9" * 20])
def test_a_url_lives_seven_days_at_most(expires):
    query = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260102%2Fr%2Fsts%2Faws4_request&X-Amz-Date="
        f"20260102T030405Z&X-Amz-SignedHeaders=host&X-Amz-Signature={'0' * 64}&X-Amz-Expires={expires}"
    )
    assert "X-Amz-Expires must be" in refusal({"host": "a"}, query=query)


@pytest.mark.parametrize("date", ["soon", "20261399T999999Z", "", "20260102T030405"])
def test_a_date_must_be_one(date):
    found = refusal(headers(**{"x-amz-date": date}))
    assert found.startswith(("malformed: Date must be in ISO-8601", "mismatch: Date in Credential scope"))


def test_host_must_be_signed():
    given = headers()
    given["authorization"] = given["authorization"].replace("SignedHeaders=host;", "SignedHeaders=")
    assert "'Host' must be a 'SignedHeader'" in refusal(given)


def test_parts_of_the_header_may_come_in_any_order():
    given = headers()
    algorithm, _, rest = given["authorization"].partition(" ")
    given["authorization"] = f"{algorithm} {','.join(reversed([part.strip() for part in rest.split(',')]))}"
    verify(
        method="POST",
        path="/",
        query="",
        headers=given,
        body_sha256=EMPTY_SHA256,
        lookup={"AKIA": KEY}.get,
        now=SIGNED,
    )


def test_signing_keys_are_remembered_within_bounds(monkeypatch):
    monkeypatch.setattr(signature, "_KEYS", {})
    monkeypatch.setattr(signature, "_MAX_KEYS", 3)
    keys = [signing_key("secret", str(day), "r", "s") for day in range(10)]
    assert len(set(keys)) == 10
    assert len(signature._KEYS) <= 3
    assert not any("secret" in str(part) for mark in signature._KEYS for part in mark)


@pytest.mark.documented
def test_chunks_are_signed_as_documented():
    # Source: Amazon S3 API reference, Signature calculations: transferring a payload in multiple chunks.
    key = signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1", "s3")
    scope = "20130524/us-east-1/s3/aws4_request"
    seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    first = chunk_signature(key, "20130524T000000Z", scope, seed, b"a" * 65536)
    assert first == "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
    second = chunk_signature(key, "20130524T000000Z", scope, first, b"a" * 1024)
    assert second == "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
