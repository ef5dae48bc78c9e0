"""POST forms of S3: the signed policy that a browser sends along, and what it lets through.

Source: Amazon S3 API reference, "Browser-Based Uploads Using POST".
"""

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest, digest
from typing import Any, TypeVar

from clary.kernel.errors import AwsError, FaultKind, SignatureFault
from clary.wire.credential import Key
from clary.wire.signature import (
    ALGORITHM,
    EXPIRED_TOKEN,
    INVALID_TOKEN,
    MISMATCH,
    signing_key,
)

K = TypeVar("K", bound=Key)

_FREE = frozenset({"policy", "x-amz-signature", "signature", "awsaccesskeyid", "file"})
"""Fields that need no condition; beside those whose name begins with `x-ignore-`."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a policy leaves open."""

    least_bytes: int = 0
    most_bytes: int | None = None


def access_key_id(fields: Mapping[str, str]) -> str:
    """Return the key that signed a form, unchecked; field names are in lower case.

    Raises
    ------
    AwsError
        `AccessDenied`: nobody signed it.
    """
    key = fields.get("x-amz-credential", "").partition("/")[0] or fields.get("awsaccesskeyid", "")
    if not key or "policy" not in fields:
        raise AwsError("Access Denied", code="AccessDenied", status=403)
    return key


def verify(
    fields: Mapping[str, str], bucket: str, *, lookup: Callable[[str], K | None], now: datetime
) -> tuple[K, Allowed]:
    """Check the signature of a form's policy, and every field against the policy.

    Parameters
    ----------
    fields : mapping
        Names in lower case; `${filename}` is filled in already.

    Raises
    ------
    SignatureFault
        The signature does not hold.
    AwsError
        `AccessDenied`, `MalformedPOSTRequest`: the policy forbids the form, or is none.
    """
    key = lookup(access_key_id(fields))
    if key is None:
        raise SignatureFault(FaultKind.UNKNOWN_KEY, INVALID_TOKEN)
    token = fields.get("x-amz-security-token", "")
    if not compare_digest((key.session_token or "").encode(), token.encode()):
        raise SignatureFault(FaultKind.INVALID_TOKEN, INVALID_TOKEN)
    if key.expires is not None and key.expires <= now:
        raise SignatureFault(FaultKind.EXPIRED_TOKEN, EXPIRED_TOKEN)
    wanted, given = _signatures(fields, key.secret)
    if not compare_digest(wanted.encode(), given.encode()):
        raise SignatureFault(FaultKind.MISMATCH, MISMATCH)
    policy = _read(fields["policy"])
    if _expiration(policy) <= now:
        raise _forbidden("Policy expired.")
    return key, _check(policy, {**fields, "bucket": bucket})


def _signatures(fields: Mapping[str, str], secret: str) -> tuple[str, str]:
    """Return the signature that the policy must have, and the one that it has."""
    policy = fields["policy"].encode()
    if "x-amz-credential" not in fields:
        return b64encode(digest(secret.encode(), policy, "sha1")).decode(), fields.get("signature", "")
    parts = fields["x-amz-credential"].split("/")
    if len(parts) != 5 or parts[3:] != ["s3", "aws4_request"]:
        raise _malformed("x-amz-credential must be '<access key id>/<date>/<region>/s3/aws4_request'.")
    if fields.get("x-amz-algorithm") != ALGORITHM:
        raise _malformed(f"x-amz-algorithm must be {ALGORITHM}.")
    _, date, region, service, _ = parts
    own = digest(signing_key(secret, date, region, service), policy, "sha256").hex()
    return own, fields.get("x-amz-signature", "")


def _read(text: str) -> Mapping[str, Any]:
    try:
        policy = json.loads(b64decode(text))
    except (ValueError, binascii.Error):
        policy = None
    if not isinstance(policy, dict) or not isinstance(policy.get("conditions"), list):
        raise _malformed("The policy must be a JSON object with expiration and conditions, in base64.")
    return policy


def _expiration(policy: Mapping[str, Any]) -> datetime:
    try:
        moment = datetime.fromisoformat(str(policy.get("expiration", "")))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _malformed("The policy's expiration must be an ISO 8601 time in UTC.")
    return moment


def _check(policy: Mapping[str, Any], fields: Mapping[str, str]) -> Allowed:
    """Hold every field to the conditions, and every condition to the fields."""
    allowed = Allowed()
    named = {"bucket"}
    for condition in policy["conditions"]:
        match condition:
            case [str(kind), int(least), int(most)] if kind.lower() == "content-length-range":
                allowed = Allowed(max(least, allowed.least_bytes), most)
            case [str(kind), str(name), str(value)] if kind.lower() in {"eq", "starts-with"}:
                name = name.removeprefix("$").lower()
                named.add(name)
                _hold(condition, fields.get(name, ""), value, is_prefix=kind.lower() != "eq")
            case dict() if len(condition) == 1:
                ((name, value),) = condition.items()
                named.add(str(name).lower())
                _hold(["eq", f"${name}", value], fields.get(str(name).lower(), ""), str(value))
            case _:
                raise _malformed(f"The policy has a condition of unknown form: {json.dumps(condition)[:200]}")
    extra = sorted(name for name in fields if name not in named | _FREE and not name.startswith("x-ignore-"))
    if extra:
        raise _forbidden(f"Extra input fields: {', '.join(extra)}")
    return allowed


def _hold(condition: Any, given: str, value: str, *, is_prefix: bool = False) -> None:
    if not (given.startswith(value) if is_prefix else given == value):
        raise _forbidden(f"Policy Condition failed: {json.dumps(condition)}")


def _forbidden(text: str) -> AwsError:
    return AwsError(f"Invalid according to Policy: {text}", code="AccessDenied", status=403)


def _malformed(text: str) -> AwsError:
    return AwsError(text, code="MalformedPOSTRequest", status=400)
