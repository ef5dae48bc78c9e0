"""Manifests by tag and digest, the tags of a repository, and what refers to a manifest."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from clary.gateway.registry import uploads
from clary.gateway.registry.blobs import WALLS
from clary.gateway.registry.errors import VERSION, OciError
from clary.gateway.registry.visit import Visit, check_digest
from clary.services.ecr import _images
from clary.services.ecr._manifests import LIMIT_BYTES, OCI_INDEX, parse
from clary.services.ecr._records import TAG, query_of, repository_of
from clary.store import listing
from clary.store.listing import Position
from clary.store.records import Record
from clary.wire.http import Response

MOST_TAGS = 1000
"""Tags of one page, where the client wants all."""


def _check_reference(reference: str) -> str:
    if ":" in reference:
        return check_digest(reference)
    if not TAG.fullmatch(reference):
        raise OciError(
            "TAG_INVALID", f"'{reference}' must be 1 to 128 letters, digits, '.', '_' and '-'", 400
        )
    return reference


def _unknown(visit: Visit, reference: str) -> OciError:
    visit.read(repository_of)  # a repository that is not there is told first
    return OciError("MANIFEST_UNKNOWN", f"{reference} is not in the {visit.place.words}", 404)


def get(visit: Visit, reference: str) -> Response:
    """Return a manifest."""
    image = visit.read(_images.resolve, _check_reference(reference))
    if image is None:
        raise _unknown(visit, reference)
    body = image.private["manifest"].encode()
    headers = {
        **VERSION,
        **WALLS,
        "content-type": image.document["imageManifestMediaType"],
        "content-length": str(len(body)),
        "docker-content-digest": image.key,
        "etag": f'"{image.key}"',
    }
    return Response(200, headers, b"" if visit.request.method == "HEAD" else body)


def put(visit: Visit, reference: str) -> Response:
    """Store a manifest under its digest, and a tag."""
    body, wanted = visit.request.body, _check_reference(reference)
    if len(body) > LIMIT_BYTES:
        raise OciError("SIZE_INVALID", f"a manifest has at most {LIMIT_BYTES} bytes", 413)
    uploads.ensure(visit)
    algorithm, _, rest = wanted.rpartition(":")
    manifest = parse(body, _media_type(visit), algorithm or "sha256")
    if algorithm and wanted != manifest.digest:
        raise OciError("DIGEST_INVALID", f"the manifest's digest is {manifest.digest}, and not {wanted}", 400)
    visit.write(_images.put, manifest, "" if algorithm else rest, visit.now)
    headers = {
        **VERSION,
        "location": visit.path("manifests", manifest.digest),
        "docker-content-digest": manifest.digest,
    }
    return Response(201, headers | ({"oci-subject": manifest.subject} if manifest.subject else {}))


def _media_type(visit: Visit) -> str:
    return visit.request.headers.get("content-type", "").partition(";")[0].strip()


def delete(visit: Visit, reference: str) -> Response:
    """Delete a manifest by its digest; a tag alone by its name."""
    if ":" in _check_reference(reference):
        is_gone = visit.write(_images.delete, reference) is not None
    else:
        is_gone = bool(visit.write(_images.untag, reference, visit.now))
    if not is_gone:
        raise _unknown(visit, reference)
    return Response(202, dict(VERSION))


def tags(visit: Visit) -> Response:
    """Return tags in their order, as many as are wanted."""
    visit.read(repository_of)
    query = visit.query
    try:
        wanted = int(query.get("n", MOST_TAGS))
    except ValueError:
        wanted = -1
    if wanted < 0:
        raise OciError("PAGINATION_NUMBER_INVALID", f"n is '{query['n']}', and no number of tags", 400)
    limit = min(wanted, MOST_TAGS)
    after = Position((), query["last"]) if query.get("last") else None
    found: tuple[Record, ...] = ()
    more = None
    if limit:
        page = visit.world.store.read(
            listing.page, query_of(visit.place, visit.place.tags, limit=limit, after=after)
        )
        found, more = page.records, page.next
    headers = {**VERSION, "content-type": "application/json"}
    if more is not None:
        headers["link"] = (
            f'<{visit.path("tags", "list")}?{urlencode({"n": limit, "last": more.key})}>; rel="next"'
        )
    body = {"name": visit.place.name, "tags": [each.key for each in found]}
    return Response(200, headers, json.dumps(body).encode())


def referrers(visit: Visit, digest: str) -> Response:
    """Return an index of the manifests whose subject is `digest`, which need not be there itself."""
    check_digest(digest)
    visit.read(repository_of)
    found: Iterable[Any] = visit.read(lambda conn, place: list(_images.referrers(conn, place, digest)))
    headers = {**VERSION, "content-type": OCI_INDEX}
    wanted = visit.query.get("artifactType")
    if wanted:
        found = [each for each in found if each.get("artifactType") == wanted]
        headers["oci-filters-applied"] = "artifactType"
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(found)}).encode()
    headers["etag"] = f'"{hashlib.sha256(body).hexdigest()}"'
    return Response(200, headers, body)
