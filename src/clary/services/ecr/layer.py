"""Layers through the API: uploaded in parts, looked for, handed out by URL."""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from clary.kernel import ids
from clary.kernel.errors import AwsError
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.services.ecr import _blobs, _images, _storage, _tokens
from clary.services.ecr._blobs import WrongPlaceError
from clary.services.ecr._records import DIGEST, Place, invalid, place_of, repository_of
from clary.services.ecr._tokens import Grant
from clary.services.ecr.authorization_token import address
from clary.toolkit.objects import Objects

PART_BYTES = 20 * 1024 * 1024
"""Source: API reference, InitiateLayerUpload, `partSize`."""
URL_LIFETIME = timedelta(hours=1)


def _objects(call: Call) -> Objects:
    objects: Objects = call.world.extras["objects"]
    return objects


@operation("InitiateLayerUpload")
def initiate_layer_upload(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Begin an upload."""
    _storage.prepare(call.world)
    begun = _blobs.write(call.world.store, _blobs.begin, place_of(call, request), call.now)
    return {"uploadId": begun.upload, "partSize": PART_BYTES}


@operation("UploadLayerPart")
def upload_layer_part(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take the next bytes of an upload."""
    place, upload = place_of(call, request), request["uploadId"]
    first, last, body = request["partFirstByte"], request["partLastByte"], bytes(request["layerPartBlob"])
    record = call.read(_blobs.upload_of, place, upload)
    known = _blobs.bytes_of(record)
    if last - first + 1 != len(body):
        raise _wrong_part(place, upload, known.size, f"{len(body)} bytes came for {first} to {last}")
    if first != known.size:
        raise _wrong_part(place, upload, known.size, f"the part begins at {first}, and not at {known.size}")
    name = f"{first:012d}-{ids.short()}"
    bucket = call.world.settings.registry_bucket
    _objects(call).put(f"s3://{bucket}/{known.prefix}{name}", body)
    try:
        size = _blobs.write(
            call.world.store, _blobs.append, place, upload, first, [(name, len(body))], call.now
        )
    except WrongPlaceError as error:
        raise _wrong_part(place, upload, error.size, "another part came meanwhile") from None
    return {
        "registryId": place.account,
        "repositoryName": place.name,
        "uploadId": upload,
        "lastByteReceived": size - 1,
    }


def _wrong_part(place: Place, upload: str, size: int, reason: str) -> AwsError:
    told = {
        "registryId": place.account,
        "repositoryName": place.name,
        "uploadId": upload,
        "lastValidByteReceived": size - 1,
    }
    text = f"The layer part does not continue upload '{upload}': {reason}"
    return AwsError(text, code="InvalidLayerPartException", members=told)


@operation("CompleteLayerUpload")
def complete_layer_upload(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make an upload a layer, once its digest is proven."""
    place, upload, digests = place_of(call, request), request["uploadId"], request["layerDigests"]
    if len(digests) != 1 or not DIGEST.fullmatch(digests[0]):
        raise invalid("layerDigests", "give one digest: sha256 or sha512, a colon, and hexadecimal digits")
    known = _blobs.bytes_of(call.read(_blobs.upload_of, place, upload))
    if not known.segments:
        raise AwsError(f"Upload '{upload}' has no parts", code="EmptyUploadException")
    algorithm = digests[0].partition(":")[0]
    hashed = hashlib.new(algorithm)
    for name, _ in known.segments:
        for piece in _objects(call).stream(
            f"s3://{call.world.settings.registry_bucket}/{known.prefix}{name}"
        ):
            hashed.update(piece)
    if digests[0] != f"{algorithm}:{hashed.hexdigest()}":
        text = f"The layer's digest is '{algorithm}:{hashed.hexdigest()}', and not '{digests[0]}'"
        raise AwsError(text, code="InvalidLayerException")
    is_new = _blobs.write(call.world.store, _blobs.finish, place, upload, known.size, digests[0], call.now)
    if not is_new:
        text = f"Layer with digest '{digests[0]}' already exists in the {place.words}"
        raise AwsError(text, code="LayerAlreadyExistsException")
    return {
        "registryId": place.account,
        "repositoryName": place.name,
        "uploadId": upload,
        "layerDigest": digests[0],
    }


@operation("BatchCheckLayerAvailability")
def batch_check_layer_availability(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Tell which layers a repository has."""
    place = place_of(call, request)
    call.read(repository_of, place)
    layers: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    for digest in request["layerDigests"]:
        blob = call.read(_blobs.blob_of, place, digest) if DIGEST.fullmatch(digest) else None
        if blob is not None:
            _blobs.write(call.world.store, _renew, place, digest, call)
            size = {"layerSize": blob.document["size"]}
            layers.append({"layerDigest": digest, "layerAvailability": "AVAILABLE"} | size)
        elif DIGEST.fullmatch(digest):
            layers.append({"layerDigest": digest, "layerAvailability": "UNAVAILABLE"})
        else:
            text = "Invalid layer digest"
            failures.append(
                {"layerDigest": digest, "failureCode": "InvalidLayerDigest", "failureReason": text}
            )
    return {"layers": layers, "failures": failures}


def _renew(conn: Any, place: Place, digest: str, call: Call) -> bool:
    return _blobs.link(conn, place, digest, call.now, older_s=_images.RENEW_S)


@operation("GetDownloadUrlForLayer")
def get_download_url_for_layer(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a URL under which a layer can be read for an hour, without further proof."""
    place, digest = place_of(call, request), request["layerDigest"]
    call.read(repository_of, place)
    if call.read(_blobs.blob_of, place, digest) is None:
        text = f"The layer with digest '{digest}' is not in the {place.words}"
        raise AwsError(text, code="LayerInaccessibleException")
    path = f"/v2/{place.name}/blobs/{digest}"
    expires = (call.now + URL_LIFETIME).timestamp()
    token = _tokens.mint(call.world.secret, Grant(place.account, place.region, expires, path))
    return {"downloadUrl": f"http://{address(call.world)}{path}?token={token}", "layerDigest": digest}
