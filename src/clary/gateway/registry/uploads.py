"""Uploads of blobs: begun, continued, told, cancelled, finished."""

import re
from collections.abc import Sequence
from typing import Any

from clary.gateway.registry.errors import VERSION, OciError
from clary.gateway.registry.visit import Visit, check_digest
from clary.services.ecr import _blobs, _storage, repository
from clary.services.ecr._blobs import Bytes, Segment, WrongPlaceError
from clary.services.ecr._records import Place
from clary.wire.http import Response

_RANGE = re.compile(r"(?:bytes[ =])?(\d+)-(\d+)(?:/.*)?")


def begin(visit: Visit) -> Response | dict[str, Any]:
    """Answer a POST: a blob mounted from another repository, an upload begun, or where its body goes."""
    _storage.prepare(visit.world)
    ensure(visit)
    query = visit.query
    if "mount" in query:
        digest = check_digest(query["mount"])
        source = query.get("from")
        if _may_mount(visit, digest, source) and visit.write(_blobs.link, digest, visit.now):
            return created(visit, digest)
    elif "digest" in query:
        return _plan(visit, visit.write(_blobs.begin, visit.now), check_digest(query["digest"]))
    return accepted(visit, visit.write(_blobs.begin, visit.now))


def _may_mount(visit: Visit, digest: str, source: str | None) -> bool:
    if source is None:  # from anywhere in the account
        return True
    place = Place(visit.place.account, visit.place.region, source)
    return visit.world.store.read(_blobs.blob_of, place, digest) is not None


def ensure(visit: Visit) -> None:
    """Have the repository, where one is made for whatever is pushed."""
    if visit.world.settings.registry_create == "on-push":
        visit.write(repository.ensure, visit.now)


def continued(visit: Visit, upload: str) -> dict[str, Any]:
    """Answer a PATCH or a PUT: where the body goes, once it is known to continue what is there."""
    known = _blobs.bytes_of(visit.read(_blobs.upload_of, upload))
    asked = visit.request.headers.get("content-range")
    if asked is not None:
        match = _RANGE.fullmatch(asked.strip())
        if match is None or int(match[1]) != known.size:
            raise wrong_place(visit, upload, known.size)
    digest = visit.query.get("digest", "")
    if visit.request.method == "PUT":
        check_digest(digest)
    return _plan(visit, known, digest)


def _plan(visit: Visit, known: Bytes, digest: str) -> dict[str, Any]:
    place = visit.place
    return {
        "account": place.account,
        "region": place.region,
        "name": place.name,
        "upload": known.upload,
        "bucket": visit.world.settings.registry_bucket,
        "prefix": known.prefix,
        "segments": list(known.segments),
        "digest": digest,
    }


def wrong_place(visit: Visit, upload: str, size: int) -> OciError:
    """Return the error of bytes that do not continue an upload."""
    text = f"the upload has {size} bytes; what is sent must begin there"
    return OciError("BLOB_UPLOAD_INVALID", text, 416, _headers(visit, upload, size))


def _headers(visit: Visit, upload: str, size: int) -> dict[str, str]:
    return {
        **VERSION,
        "location": visit.path("blobs", "uploads", upload),
        "range": f"0-{max(size - 1, 0)}",
        "docker-upload-uuid": upload,
    }


def accepted(visit: Visit, known: Bytes, status: int = 202) -> Response:
    """Return the answer to an upload that goes on."""
    return Response(status, _headers(visit, known.upload, known.size))


def created(visit: Visit, digest: str) -> Response:
    """Return the answer to a blob that is there now."""
    headers = {"location": visit.path("blobs", digest), "docker-content-digest": digest}
    return Response(201, {**VERSION, **headers})


def state(visit: Visit, upload: str) -> Response:
    """Say how far an upload has come."""
    return accepted(visit, _blobs.bytes_of(visit.read(_blobs.upload_of, upload)), 204)


def cancel(visit: Visit, upload: str) -> Response:
    """Drop an upload."""
    visit.write(_blobs.end, upload, visit.now)
    return Response(204, dict(VERSION))


def stored(visit: Visit, upload: str, at: int, segments: Sequence[Segment]) -> Response:
    """Take that segments are in the object store."""
    try:
        size = visit.write(_blobs.append, upload, at, [(name, size) for name, size in segments], visit.now)
    except WrongPlaceError as error:
        raise wrong_place(visit, upload, error.size) from None
    return Response(202, _headers(visit, upload, size))


def finish(visit: Visit, upload: str, size: int, digest: str, computed: str) -> Response:
    """Make an upload the blob that it was said to be, if it is.

    Raises
    ------
    OciError
        It is another; the upload is over.
    """
    if visit.read(_blobs.is_finished, upload, digest):
        return created(visit, digest)  # the answer was lost, and it is told again
    if digest != computed:
        visit.write(_blobs.end, upload, visit.now)
        raise OciError("DIGEST_INVALID", f"the digest is {computed}, and not {digest}", 400)
    try:
        visit.write(_blobs.finish, upload, size, digest, visit.now)
    except WrongPlaceError as error:
        raise wrong_place(visit, upload, error.size) from None
    return created(visit, digest)
