"""SigV2, S3's old signature: in the query string, as boto3 presigns URLs, or in the Authorization header.

Source: Amazon S3 Developer Guide (2006-03-01), REST authentication.
"""

from base64 import b64encode
from collections.abc import Mapping
from hmac import digest
from urllib.parse import unquote

SUB_RESOURCES = frozenset(
    {
        "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory",
        "lifecycle", "location", "logging", "metrics", "notification", "object-lock", "partNumber",
        "policy", "replication", "requestPayment", "response-cache-control",
        "response-content-disposition", "response-content-encoding", "response-content-language",
        "response-content-type", "response-expires", "restore", "select", "select-type", "storageClass",
        "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
    }
)  # fmt: skip
"""Parameters that say what is asked for, and so are signed."""


def of_header(authorization: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Return what `AWS <key id>:<signature>` says, under the names that it has in a query string.

    In the place of `Expires` stands the date; `x-amz-date`, signed as a header, empties it.
    """
    key, _, signed = authorization.removeprefix("AWS ").strip().rpartition(":")
    date = "" if "x-amz-date" in headers else headers.get("date", "")
    return {"AWSAccessKeyId": key, "Signature": signed, "Expires": date}


def resources(path: str) -> tuple[str, ...]:
    """Return how clients may have signed `path`: as sent, decoded; botocore ends a bucket with a slash."""
    found = [path, unquote(path)]
    if path.count("/") == 1:
        found.append(f"{path}/")
    return tuple(dict.fromkeys(found))


def signature(
    secret: str, method: str, path: str, query: str, headers: Mapping[str, str], given: Mapping[str, str]
) -> str:
    """Return the signature of a request, in base64.

    Parameters
    ----------
    given : mapping
        The query's parameters, decoded; headers that were signed may be among them instead.
    """
    text = string_to_sign(method, path, query, headers, given)
    return b64encode(digest(secret.encode(), text.encode(), "sha1")).decode()


def string_to_sign(
    method: str, path: str, query: str, headers: Mapping[str, str], given: Mapping[str, str]
) -> str:
    """Return the text that both sides sign."""
    named = {key.lower(): value for key, value in given.items()}
    amz = {key: value for key, value in named.items() if key.startswith("x-amz-")}
    amz.update({key: value for key, value in headers.items() if key.startswith("x-amz-")})
    lines = [
        method,
        headers.get("content-md5", named.get("content-md5", "")).strip(),
        headers.get("content-type", named.get("content-type", "")).strip(),
        given.get("Expires", ""),
        *(f"{key}:{amz[key].strip()}" for key in sorted(amz)),
        path + _sub_resources(query),
    ]
    return "\n".join(lines)


def _sub_resources(query: str) -> str:
    pairs = (part.partition("=") for part in query.split("&") if part)
    named = sorted((key, sign, unquote(value)) for key, sign, value in pairs if key in SUB_RESOURCES)
    return "?" + "&".join(f"{key}{sign}{value}" for key, sign, value in named) if named else ""
