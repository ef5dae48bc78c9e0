"""Blobs: whether they are there, where their bytes are, and gone."""

import re
from typing import Any

from clary.gateway.registry.errors import VERSION, OciError
from clary.gateway.registry.visit import Visit, check_digest
from clary.services.ecr import _blobs, _images
from clary.store.records import Record
from clary.wire.http import Response

WALLS = {"x-content-type-options": "nosniff", "content-security-policy": "sandbox"}
"""With what a client has pushed: a page that lies in a layer shares the console's address."""
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def _blob(visit: Visit, digest: str) -> Record:
    check_digest(digest)
    record = visit.read(_blobs.blob_of, digest)
    if record is None:
        raise OciError("BLOB_UNKNOWN", f"{digest} is not in the {visit.place.words}", 404)
    return record


def _headers(record: Record) -> dict[str, str]:
    return {
        **VERSION,
        **WALLS,
        "content-type": "application/octet-stream",
        "docker-content-digest": record.key,
        "etag": f'"{record.key}"',
        "accept-ranges": "bytes",
    }


def head(visit: Visit, digest: str) -> Response:
    """Say that a blob is there; whoever asks may be about to push an image of it, so it is kept for that."""
    record = _blob(visit, digest)
    if not visit.write(_renewed, digest, visit):
        return _gone(visit, digest)
    return Response(200, _headers(record) | {"content-length": str(record.document["size"])})


def _gone(visit: Visit, digest: str) -> Response:
    return OciError("BLOB_UNKNOWN", f"{digest} is not in the {visit.place.words}", 404).response


def _renewed(conn: Any, place: Any, digest: str, visit: Visit) -> bool:
    return _blobs.link(conn, place, digest, visit.now, older_s=_images.RENEW_S)


def delete(visit: Visit, digest: str) -> Response:
    """Take a blob from a repository that no image of it needs."""
    record = _blob(visit, digest)
    if digest in visit.read(_images.blobs_of):
        raise OciError("DENIED", f"{digest} is part of an image: delete that first", 405)
    visit.world.store.write(_blobs.unlink, record, [visit.place.link], visit.now)
    return Response(202, dict(VERSION))


def read(visit: Visit, digest: str) -> dict[str, Any]:
    """Return where a blob's bytes are, those that the client wants: an answer but for its body.

    Returns
    -------
    dict
        `status`, `headers`, `length`, and `pieces`: key, first byte and last byte of each object.
    """
    record = _blob(visit, digest)
    known = _blobs.bytes_of(record)
    headers, status = _headers(record), 200
    first, last = 0, known.size - 1
    asked = _RANGE.fullmatch(visit.request.headers.get("range", "").strip())
    if asked is not None and asked.group() != "bytes=-":
        first, last = _bounds(asked, known.size)
        status, headers["content-range"] = 206, f"bytes {first}-{last}/{known.size}"
    pieces, at = [], 0
    for name, size in known.segments:
        begin, end = max(first - at, 0), min(last - at, size - 1)
        if begin <= end:
            pieces.append([known.prefix + name, begin, end])
        at += size
    bucket = visit.world.settings.registry_bucket
    return {
        "status": status,
        "headers": headers,
        "length": last - first + 1,
        "bucket": bucket,
        "pieces": pieces,
    }


def _bounds(asked: re.Match[str], size: int) -> tuple[int, int]:
    if asked[1]:
        first, last = int(asked[1]), min(int(asked[2]) if asked[2] else size - 1, size - 1)
    else:
        first, last = max(size - int(asked[2]), 0), size - 1
    if first > last:
        text = f"the blob has {size} bytes, and none at {asked.group()}"
        raise OciError("UNSUPPORTED", text, 416, {"content-range": f"bytes */{size}"})
    return first, last
