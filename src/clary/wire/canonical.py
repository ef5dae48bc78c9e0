"""Canonical requests of SigV4: the text that both sides sign.

method, path, query, headers, names of the headers, digest of the body; a line each
"""

import re
import time
from calendar import timegm
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from posixpath import normpath
from urllib.parse import quote, unquote, unquote_to_bytes

_UNRESERVED = "-_.~"
_PLAIN = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?")
"""Paths that read the same however often they are normalised and encoded."""


def requests(
    method: str,
    path: str,
    query: str,
    fields: Sequence[tuple[str, str]],
    signed_headers: str,
    payload: str,
    *,
    is_s3: bool,
) -> Iterator[str]:
    """Yield the canonical requests that clients write for one request: as it was sent, then by the book.

    Clients differ over characters that a path or query may hold both plain and percent-encoded. Both readings
    mean the same resource, so either signature proves the same thing. An encoded slash stays encoded.
    """
    tail = f"{headers(fields)}\n{signed_headers}\n{payload}"
    paths = [path_of(path, is_s3=is_s3)]
    queries = [query_as_sent(query) if query else ""]
    yield f"{method}\n{paths[0]}\n{queries[0]}\n{tail}"  # enough for nearly all
    encoded = "/".join([quote(unquote_to_bytes(part), safe=_UNRESERVED) for part in path.split("/")])
    if encoded != path:
        paths.append(path_of(encoded, is_s3=is_s3))
    if query:
        by_the_book = query_encoded(query)
        if by_the_book != queries[0]:
            queries.append(by_the_book)
    for one in paths:
        for other in queries:
            if one != paths[0] or other != queries[0]:
                yield f"{method}\n{one}\n{other}\n{tail}"


def headers(fields: Sequence[tuple[str, str]]) -> str:
    """Return headers by the line; runs of spaces count as one."""
    return "".join([f"{name}:{' '.join(value.split())}\n" for name, value in fields])


def path_of(path: str, *, is_s3: bool) -> str:
    """Return a raw path as it is signed: for S3 as it is, else without dots and encoded once more."""
    if is_s3 or _PLAIN.fullmatch(path):
        return path
    if "//" in path or "/." in path:
        is_folder = path.endswith("/")
        path = normpath(path.replace("//", "/"))
        path = f"/{path.lstrip('/')}"
        if is_folder and path != "/":
            path += "/"
    return quote(path, safe="/~")


def query_as_sent(query: str) -> str:
    """Return the parameters sorted, as they were sent; a signature among them is left out."""
    pairs = [part.partition("=") for part in query.split("&") if part]
    return "&".join(sorted(f"{key}={value}" for key, _, value in pairs if key != "X-Amz-Signature"))


def query_encoded(query: str) -> str:
    """Return the parameters sorted, every one encoded by the book."""
    pairs = [part.partition("=") for part in query.split("&") if part]
    encoded = sorted((_encoded(key), _encoded(value)) for key, _, value in pairs if key != "X-Amz-Signature")
    return "&".join(f"{key}={value}" for key, value in encoded)


def _encoded(part: str) -> str:
    return quote(unquote_to_bytes(part.replace("+", " ")), safe=_UNRESERVED)


def parameters(query: str) -> dict[str, str]:
    """Return the parameters of a query string, decoded; a plus stays one, as base64 has them."""
    pairs = (part.partition("=") for part in query.split("&") if part)
    return {unquote(key): unquote(value) for key, _, value in pairs}


def to_seconds(parts: Sequence[str]) -> float:
    """Return seconds since 1970 of year, month, day, hour, minute and second.

    Raises
    ------
    ValueError
        There is no such moment.
    """
    text = "".join(parts)
    return float(timegm(time.strptime(text, "%Y%m%d%H%M%S")))


def to_amz_date(seconds: float) -> str:
    """Return `20240131T102030Z`."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def amz_date_of(date: str) -> str:
    """Return a `Date` header as `x-amz-date` spells it; empty when it is no date."""
    try:
        return parsedate_to_datetime(date).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    except (ValueError, TypeError, IndexError, OverflowError):
        return date


def signed_fields(given: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return headers sorted, names in lower case."""
    return sorted((name.lower(), value) for name, value in given.items())
