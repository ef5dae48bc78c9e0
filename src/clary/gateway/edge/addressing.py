"""Which bucket and key an S3 request names: path style, virtual-host style, copy sources."""

import re
from typing import NamedTuple
from urllib.parse import quote, unquote, unquote_plus, unquote_to_bytes

from clary.gateway.edge.head import Head

_VIRTUAL_HOST = re.compile(
    r"^(?P<bucket>[a-z0-9][a-z0-9.-]*)\.s3(?:-accelerate)?"
    r"(?:[.-](?:dualstack\.)?[a-z]{2}(?:-[a-z]+)+-\d|\.dualstack)?\.amazonaws\.com(?:\.cn)?(?::\d+)?$"
)
_BUCKET = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9._-]{2,254}$")
_AUTH_PARAMETERS = frozenset(
    {
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-signedheaders",
        "x-amz-signature",
        "x-amz-security-token",
        "awsaccesskeyid",
        "signature",
        "expires",
    }
)
_HOISTED = ("x-amz-", "content-type", "content-md5")
"""Headers that presigned URLs carry in their query."""
_NO_SUBRESOURCE = frozenset({"x-id"})
"""Parameters that name the operation for the log only."""

Pairs = list[tuple[str, str]]


def _quote(text: str, safe: str = "-_.~") -> str:
    return quote(text, safe=safe)


class Place(NamedTuple):
    """What a request names, decoded."""

    bucket: str
    key: str
    is_virtual: bool

    @property
    def path(self) -> str:
        """Path style, in S3's own encoding."""
        return _quote(f"/{self.bucket}/{self.key}" if self.key else f"/{self.bucket}", safe="/-_.~")

    @property
    def is_legal(self) -> bool:
        """The name of the bucket can be one."""
        return _BUCKET.match(self.bucket) is not None and ".." not in self.bucket


class Query(NamedTuple):
    """A query's parameters, decoded, the signature's own left out."""

    kept: Pairs
    hoisted: dict[str, str]
    """Headers that came as parameters, by lower-case name."""

    @property
    def has_subresource(self) -> bool:
        """It names a part of the bucket or of the object, and not the whole."""
        return any(name not in _NO_SUBRESOURCE for name, _ in self.kept)

    @property
    def text(self) -> str:
        """In S3's own encoding and order; the same text is signed and sent."""
        encoded = [(_quote(name), _quote(value)) for name, value in self.kept]
        return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def place_of(head: Head) -> Place:
    """Return what `head` names; an empty bucket stands for the service itself.

    Raises
    ------
    UnicodeDecodeError
        The path is not UTF-8, as every key must be.
    """
    path = unquote_to_bytes(head.path).decode()
    match = _VIRTUAL_HOST.match(head.fields.get("host", "").lower())
    if match:
        return Place(match["bucket"], path[1:], is_virtual=True)
    bucket, _, key = path[1:].partition("/")
    return Place(bucket, key, is_virtual=False)


def query_of(head: Head, *, is_presigned: bool) -> Query:
    """Return the parameters of `head`."""
    kept: Pairs = []
    hoisted: dict[str, str] = {}
    for pair in head.query.split("&") if head.query else ():
        raw_name, _, raw_value = pair.partition("=")
        name, value = (unquote_plus(raw) for raw in (raw_name, raw_value))
        lower = name.lower()
        if is_presigned and lower in _AUTH_PARAMETERS:
            continue
        if is_presigned and lower.startswith(_HOISTED):
            hoisted[lower] = value
        elif name:
            kept.append((name, value))
    return Query(kept, hoisted)


def copy_source(value: str) -> Place:
    """Return what `x-amz-copy-source` names."""
    bucket, _, key = unquote(value).lstrip("/").partition("/")
    return Place(bucket, key.partition("?versionId=")[0], is_virtual=False)


def climbs(text: str) -> bool:
    """Tell whether a key or prefix, read as a path, leaves its bucket or hides a segment.

    The store keeps keys as paths, where S3 has names: such a key would mean something else there.
    """
    return any(part in {".", ".."} for part in re.split(r"[/\\]", text)) if "." in text else False
