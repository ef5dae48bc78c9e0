"""Signatures: is a request signed by the key that it names? SigV4 and SigV2, in header or query.

A pure function of the request, the key and the time; standard library only.
Source: AWS General Reference, Signing AWS API requests; Amazon S3 API reference, Authenticating requests.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest, digest
from typing import Generic, NamedTuple, TypeVar

from clary.kernel.errors import FaultKind, SignatureFault
from clary.wire import canonical, sigv2
from clary.wire.credential import Key
from clary.wire.skew import SKEW_S, check_skew

K = TypeVar("K", bound=Key)

MAX_EXPIRES_S = 604_800
"""Longest life of a presigned URL: seven days."""
ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = sha256(b"").hexdigest()
S3_SCOPES = frozenset({"s3", "s3express"})

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=([^/,\s]+)/(\d{8})/([^/,\s]*)/([^/,\s]+)/aws4_request, *"
    r"SignedHeaders=([^,\s]+), *Signature=([0-9a-f]{64})"
)
_CREDENTIAL = re.compile(r"([^/,\s]+)/(\d{8})/([^/,\s]*)/([^/,\s]+)/aws4_request")
_HEX = re.compile(r"[0-9a-f]{64}")

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)
INVALID_TOKEN = "The security token included in the request is invalid."  # noqa: S105 - a text
EXPIRED_TOKEN = "The security token included in the request is expired"  # noqa: S105 - a text


class Verified(NamedTuple, Generic[K]):
    """A request whose signature holds."""

    credential: K
    region: str
    """Of the scope; empty with SigV2, which has none."""
    service: str
    access_key_id: str
    payload_hash: str
    """What was signed for the body: a digest, or one of S3's words for bodies that carry their own proof."""
    signature: str
    """Seed of the chunk signatures of a body in signed chunks."""
    amz_date: str


class _Claim(NamedTuple):
    """What a request says of its signature."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: str
    signature: str
    amz_date: str
    token: str | None
    expires_s: int | None
    """Life of a presigned URL; None for a signature in the header."""
    payload: str | None = None
    """Digest of the body that a presigned URL asks for."""


def verify(
    *,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body_sha256: str | None,
    lookup: Callable[[str], K | None],
    now: datetime,
    service: str | None = None,
    bucket: str = "",
) -> Verified[K]:
    """Check the signature of a request.

    Parameters
    ----------
    path, query : str
        Raw, as on the wire.
    headers : mapping
        Names in lower case; repeated ones joined with commas.
    body_sha256 : str or None
        Hexadecimal digest of the body. None when the body is not at hand (S3): `x-amz-content-sha256` is then
        taken at its word, and who stores the body must hold it to `Verified.payload_hash`.
    lookup : callable
        Returns the key of an access key id, or None.
    now : datetime
        The present, aware.
    service : str or None
        Signing name of the service that will answer; a signature for another one is refused. None takes any.
    bucket : str
        That the host names instead of the path; SigV2 signs it before the path.

    Raises
    ------
    SignatureFault
        `kind` says why.
    """
    authorization = headers.get("authorization")
    if authorization is not None and authorization.startswith("AWS "):
        _check_service("s3", service)
        given = sigv2.of_header(authorization, headers)
        return _verify_v2(given, method, path, query, headers, lookup, now, bucket)
    if authorization is not None:
        claim = _claim_of_header(authorization, headers)
    elif "X-Amz-Signature=" in query or "X-Amz-Algorithm=" in query:
        claim = _claim_of_query(canonical.parameters(query))
    elif "Signature=" in query and "AWSAccessKeyId=" in query:
        _check_service("s3", service)
        return _verify_v2(canonical.parameters(query), method, path, query, headers, lookup, now, bucket)
    else:
        raise SignatureFault(FaultKind.MISSING, "Missing Authentication Token")
    key = lookup(claim.access_key_id)
    if key is None:
        raise SignatureFault(FaultKind.UNKNOWN_KEY, INVALID_TOKEN)
    _check_service(claim.service, service)
    _check_token(key, claim.token, now)
    _check_time(claim, now)
    is_s3 = claim.service in S3_SCOPES
    payload = _payload_hash(claim, headers, body_sha256, is_s3=is_s3)
    fields = _signed(claim, headers)
    secret_key = signing_key(key.secret, claim.date, claim.region, claim.service)
    scope = f"{claim.date}/{claim.region}/{claim.service}/aws4_request"
    for text in canonical.requests(method, path, query, fields, claim.signed_headers, payload, is_s3=is_s3):
        wanted = sign_text(secret_key, claim.amz_date, scope, text)
        if compare_digest(wanted, claim.signature):
            return Verified(
                key,
                claim.region,
                claim.service,
                claim.access_key_id,
                payload,
                claim.signature,
                claim.amz_date,
            )
    raise SignatureFault(FaultKind.MISMATCH, MISMATCH)


def sign_text(key: bytes, amz_date: str, scope: str, canonical_request: str) -> str:
    """Return the signature of a canonical request, in hexadecimal."""
    hashed = sha256(canonical_request.encode()).hexdigest()
    return digest(key, f"{ALGORITHM}\n{amz_date}\n{scope}\n{hashed}".encode(), "sha256").hex()


_KEYS: dict[tuple[bytes, str, str, str], bytes] = {}
_MAX_KEYS = 4096


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """Return the signing key of a secret and a scope; keys are remembered by the secret's digest."""
    mark = (sha256(secret.encode()).digest(), date, region, service)
    key = _KEYS.get(mark)
    if key is None:
        key = f"AWS4{secret}".encode()
        for part in (date, region, service, "aws4_request"):
            key = digest(key, part.encode(), "sha256")
        if len(_KEYS) >= _MAX_KEYS:
            _KEYS.clear()
        _KEYS[mark] = key
    return key


def chunk_signature(key: bytes, amz_date: str, scope: str, previous: str, chunk: bytes) -> str:
    """Return the signature of one chunk of a signed body; the first `previous` is the request's own."""
    text = (
        f"{ALGORITHM}-PAYLOAD\n{amz_date}\n{scope}\n{previous}\n{EMPTY_SHA256}\n{sha256(chunk).hexdigest()}"
    )
    return digest(key, text.encode(), "sha256").hex()


def _claim_of_header(authorization: str, headers: Mapping[str, str]) -> _Claim:
    amz_date = headers.get("x-amz-date", "")
    found = _AUTHORIZATION.fullmatch(authorization)
    if found is None:
        found = _AUTHORIZATION.fullmatch(_reordered(authorization))
    if found is None:
        raise SignatureFault(FaultKind.MALFORMED, _incomplete(authorization))
    if not amz_date:
        amz_date = canonical.amz_date_of(headers.get("date", ""))
    access_key_id, date, region, service, names, signature = found.groups()
    token = headers.get("x-amz-security-token")
    return _Claim(access_key_id, date, region, service, names, signature, amz_date, token, None)


def _reordered(authorization: str) -> str:
    """Return the header with its parts in the usual order; some clients have another, or no spaces."""
    algorithm, _, rest = authorization.partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    names = ("Credential", "SignedHeaders", "Signature")
    return f"{algorithm} " + ", ".join(f"{name}={parts.get(name, '')}" for name in names)


def _incomplete(authorization: str) -> str:
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        return f"Unsupported authorization algorithm {algorithm[:40]!r}; please use {ALGORITHM}."
    needed = [name for name in ("Credential", "Signature", "SignedHeaders") if f"{name}=" not in rest]
    missing = "".join(f"Authorization header requires '{name}' parameter. " for name in needed)
    if needed:
        return f"{missing}Authorization={authorization[:200]}"
    return (
        "Credential must be '<access key id>/<date>/<region>/<service>/aws4_request' and Signature 64 "
        f"hexadecimal digits. Authorization={authorization[:200]}"
    )


def _claim_of_query(given: Mapping[str, str]) -> _Claim:
    names = ("X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date")
    missing = [name for name in names if not given.get(name)]
    if missing:
        raise SignatureFault(FaultKind.MALFORMED, f"Query string requires: {', '.join(missing)}.")
    if given.get("X-Amz-Algorithm") != ALGORITHM:
        raise SignatureFault(FaultKind.MALFORMED, f"X-Amz-Algorithm only supports {ALGORITHM!r}.")
    found = _CREDENTIAL.fullmatch(given["X-Amz-Credential"])
    if found is None or not _HEX.fullmatch(given["X-Amz-Signature"]):
        raise SignatureFault(
            FaultKind.MALFORMED,
            "X-Amz-Credential must be '<access key id>/<date>/<region>/<service>/aws4_request' and "
            "X-Amz-Signature 64 hexadecimal digits.",
        )
    expires = given.get("X-Amz-Expires", str(SKEW_S))
    if not (expires.isascii() and expires.isdigit() and len(expires) < 10 and int(expires) <= MAX_EXPIRES_S):
        raise SignatureFault(
            FaultKind.MALFORMED, f"X-Amz-Expires must be a number of seconds from 0 to {MAX_EXPIRES_S}."
        )
    access_key_id, date, region, service = found.groups()
    return _Claim(
        access_key_id,
        date,
        region,
        service,
        given["X-Amz-SignedHeaders"],
        given["X-Amz-Signature"],
        given["X-Amz-Date"],
        given.get("X-Amz-Security-Token"),
        int(expires),
        given.get("X-Amz-Content-Sha256"),
    )


def _check_service(signed: str, wanted: str | None) -> None:
    if wanted is not None and signed != wanted and not (signed in S3_SCOPES and wanted in S3_SCOPES):
        raise SignatureFault(
            FaultKind.MISMATCH,
            f"Credential should be scoped to correct service: '{wanted}'; it is '{signed[:40]}'.",
        )


def _check_token(key: Key, token: str | None, now: datetime) -> None:
    if (key.session_token or "") != (token or "") and not (
        key.session_token and token and compare_digest(key.session_token.encode(), token.encode())
    ):
        raise SignatureFault(FaultKind.INVALID_TOKEN, INVALID_TOKEN)
    if key.expires is not None and key.expires <= now:
        raise SignatureFault(FaultKind.EXPIRED_TOKEN, EXPIRED_TOKEN)


def _check_time(claim: _Claim, now: datetime) -> None:
    if claim.amz_date[:8] != claim.date:
        raise SignatureFault(
            FaultKind.MISMATCH,
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{claim.date}' != '{claim.amz_date[:8]}', from '{claim.amz_date[:40]}'.",
        )
    check_skew(claim.amz_date, now, expires_s=claim.expires_s)


def _payload_hash(claim: _Claim, headers: Mapping[str, str], body_sha256: str | None, *, is_s3: bool) -> str:
    declared = claim.payload or headers.get("x-amz-content-sha256")
    if not is_s3:
        payload = body_sha256 or declared or ""
        if not _HEX.fullmatch(payload):
            raise SignatureFault(FaultKind.MALFORMED, "The request's body has no digest to check.")
        return payload
    if declared is None and claim.expires_s is not None:
        return UNSIGNED
    if declared is None:
        raise SignatureFault(
            FaultKind.MALFORMED, "Missing required header for this request: x-amz-content-sha256"
        )
    if body_sha256 is not None and _HEX.fullmatch(declared) and declared != body_sha256:
        raise SignatureFault(
            FaultKind.MISMATCH, "The provided 'x-amz-content-sha256' header does not match what was computed."
        )
    return declared


def _signed(claim: _Claim, headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the headers that are signed; whatever decides over a request must be among them."""
    names = claim.signed_headers.split(";")
    if "host" not in names:
        raise SignatureFault(FaultKind.MALFORMED, "'Host' must be a 'SignedHeader' in the AWS Authorization.")
    for name in headers:
        if name.startswith("x-amz-") and name not in names and name != "x-amz-content-sha256":
            raise SignatureFault(
                FaultKind.MALFORMED,
                f"There were headers present in the request which were not signed: {name}",
            )
    fields = []
    for name in names:
        value = headers.get(name)
        if value is None:
            raise SignatureFault(FaultKind.MISMATCH, MISMATCH)
        fields.append((name, value))
    return fields


def _verify_v2(
    given: Mapping[str, str],
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    lookup: Callable[[str], K | None],
    now: datetime,
    bucket: str,
) -> Verified[K]:
    access_key_id, expires = given.get("AWSAccessKeyId", ""), given.get("Expires", "")
    is_header = "authorization" in headers
    if not (access_key_id and (is_header or (expires.isascii() and expires.isdigit() and len(expires) < 12))):
        raise SignatureFault(
            FaultKind.MALFORMED, "Query-string authentication requires AWSAccessKeyId, Signature and Expires."
        )
    key = lookup(access_key_id)
    if key is None:
        raise SignatureFault(FaultKind.UNKNOWN_KEY, INVALID_TOKEN)
    token = given.get("x-amz-security-token") or headers.get("x-amz-security-token")
    _check_token(key, token, now)
    if is_header:
        check_skew(canonical.amz_date_of(headers.get("x-amz-date") or headers.get("date", "")), now)
    elif now.timestamp() > int(expires):
        raise SignatureFault(FaultKind.EXPIRED_URL, "Request has expired")
    signature = given["Signature"]
    for resource in sigv2.resources(f"/{bucket}{path}" if bucket else path):
        wanted = sigv2.signature(key.secret, method, resource, query, headers, given)
        if compare_digest(wanted.encode(), signature.encode()):
            payload = headers.get("x-amz-content-sha256", UNSIGNED)
            return Verified(key, "", "s3", access_key_id, payload, signature, "")
    raise SignatureFault(FaultKind.MISMATCH, MISMATCH)
