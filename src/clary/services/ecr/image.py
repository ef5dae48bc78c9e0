"""Images: put, read, listed, deleted by manifest and tag."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from clary.kernel.errors import AwsError
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.services.ecr import _blobs, _images
from clary.services.ecr._manifests import parse
from clary.services.ecr._records import (
    DIGEST,
    PAGE,
    TAG,
    Place,
    invalid,
    paged,
    place_of,
    query_of,
    repository_of,
)
from clary.store.listing import Condition
from clary.store.records import Record

AT_ONCE = 100
"""Source: API reference, BatchGetImage and BatchDeleteImage: 1 to 100 image ids."""


def check_tag(tag: str) -> None:
    """Refuse what cannot be a tag."""
    if not TAG.fullmatch(tag):
        raise invalid("imageTag", f"'{tag}' must be 1 to 128 letters, digits, '.', '_' and '-'")


@operation("PutImage")
def put_image(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Store a manifest whose layers are here, and tag it."""
    place, tag = place_of(call, request), request.get("imageTag", "")
    if tag:
        check_tag(tag)
    manifest = parse(request["imageManifest"].encode(), request.get("imageManifestMediaType", ""))
    wanted = request.get("imageDigest", manifest.digest)
    if wanted != manifest.digest:
        text = f"The provided image digest '{wanted}' is not the manifest's, which is '{manifest.digest}'"
        raise AwsError(text, code="ImageDigestDoesNotMatchException")
    image, is_new = _blobs.write(call.world.store, _images.put, place, manifest, tag, call.now)
    if not is_new:
        text = f"Image with digest '{image.key}' and tag '{tag}' already exists in the "
        text += place.words
        raise AwsError(text, code="ImageAlreadyExistsException")
    return {
        "image": _with_manifest(place, image, {"imageDigest": image.key} | ({"imageTag": tag} if tag else {}))
    }


def _with_manifest(place: Place, image: Record, named: Mapping[str, str]) -> dict[str, Any]:
    return {
        "registryId": place.account,
        "repositoryName": place.name,
        "imageId": named,
        "imageManifest": image.private["manifest"],
        "imageManifestMediaType": image.document["imageManifestMediaType"],
    }


def _each(
    call: Call, request: Mapping[str, Any], ask: Callable[[Mapping[str, str]], Any]
) -> tuple[list[Any], list[dict[str, Any]]]:
    """Return what `ask` says of each image id of a request, and the failures."""
    if not 1 <= len(request["imageIds"]) <= AT_ONCE:
        raise invalid("imageIds", f"{len(request['imageIds'])} image ids; 1 to {AT_ONCE} are allowed")
    answers, failures = [], []
    for each in request["imageIds"]:
        try:
            answers.append(ask(each))
        except AwsError as error:
            failures.append({"imageId": each, "failureCode": error.wire_code, "failureReason": error.message})
    return answers, failures


def _check_id(named: Mapping[str, str]) -> None:
    digest, tag = named.get("imageDigest"), named.get("imageTag")
    if digest is None and tag is None:
        raise AwsError("Invalid request parameters: no digest, no tag", code="MissingDigestAndTag")
    if digest is not None and not DIGEST.fullmatch(digest):
        raise AwsError("Invalid request parameters: image digest", code="InvalidImageDigest")
    if tag is not None and not TAG.fullmatch(tag):
        raise AwsError("Invalid request parameters: image tag", code="InvalidImageTag")


def _one(call: Call, place: Place, named: Mapping[str, str]) -> Record:
    """Return the image of an image id."""
    _check_id(named)
    digest, tag = named.get("imageDigest"), named.get("imageTag")
    image: Record | None = call.read(_images.resolve, place, digest or tag)
    if image is None:
        raise AwsError("Requested image not found", code="ImageNotFound")
    if digest and tag and tag not in image.document["imageTags"]:
        raise AwsError("The digest and tag provided do not match", code="ImageTagDoesNotMatchDigest")
    return image


@operation("BatchGetImage")
def batch_get_image(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the manifests of images."""
    place, accepted = place_of(call, request), request.get("acceptedMediaTypes")
    call.read(repository_of, place)

    def one(named: Mapping[str, str]) -> dict[str, Any]:
        image = _one(call, place, named)
        if accepted and image.document["imageManifestMediaType"] not in accepted:
            text = f"The image is a {image.document['imageManifestMediaType']}, which was not asked for"
            raise AwsError(text, code="ImageNotFound")
        return _with_manifest(place, image, {**named, "imageDigest": image.key})

    found, failures = _each(call, request, one)
    return {"images": found, "failures": failures}


@operation("BatchDeleteImage")
def batch_delete_image(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Delete images by their digests; by a tag that one alone, and the image with its last."""
    place = place_of(call, request)
    call.read(repository_of, place)

    def unit(conn: Connection, named: Mapping[str, str]) -> list[dict[str, str]]:
        digest, tag = named.get("imageDigest"), named.get("imageTag")
        if digest is None and tag is not None:
            image = _images.resolve(conn, place, tag)
            if image is None:
                return []
            if len(image.document["imageTags"]) > 1:
                return [{"imageDigest": _images.untag(conn, place, tag, call.now), "imageTag": tag}]
            digest = image.key
        tags = _images.delete(conn, place, str(digest))
        return [{"imageDigest": str(digest), "imageTag": each} for each in tags or ()] or [
            {"imageDigest": str(digest)}
        ]

    def one(named: Mapping[str, str]) -> list[dict[str, str]]:
        _one(call, place, named)
        return _blobs.write(call.world.store, unit, named)

    deleted, failures = _each(call, request, one)
    return {"imageIds": [each for some in deleted for each in some], "failures": failures}


@operation("DescribeImages")
def describe_images(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is known of images: those named, or one page of all."""
    place = place_of(call, request)
    call.read(repository_of, place)
    if request.get("imageIds"):
        found = [_described(call, place, each) for each in request["imageIds"]]
        return {"imageDetails": _images.details(place, list({each.key: each for each in found}.values()))}
    images, token = _page(call, place, request)
    return {"imageDetails": _images.details(place, images)} | token


def _described(call: Call, place: Place, named: Mapping[str, str]) -> Record:
    try:
        return _one(call, place, named)
    except AwsError:
        shown = ", ".join(f"{member}:'{named.get(member, 'null')}'" for member in ("imageDigest", "imageTag"))
        text = f"The image with imageId {{{shown}}} does not exist within the "
        text += place.words
        raise AwsError(text, code="ImageNotFoundException") from None


def _page(call: Call, place: Place, request: Mapping[str, Any]) -> tuple[Sequence[Record], dict[str, str]]:
    status = request.get("filter", {}).get("tagStatus", "ANY")
    where = {
        "ANY": (),
        "TAGGED": (Condition("imageTags", "exists"),),
        "UNTAGGED": (Condition("imageTags", "not_exists"),),
    }[status]
    query = query_of(place, place.images, where=where, limit=request.get("maxResults", PAGE))
    return paged(call, query, request.get("nextToken"))


@operation("ListImages")
def list_images(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one page of image ids: one for every tag, and for every image without."""
    place = place_of(call, request)
    call.read(repository_of, place)
    images, token = _page(call, place, request)
    return {"imageIds": [each for image in images for each in _ids(image)]} | token


def _ids(image: Record) -> Iterator[dict[str, str]]:
    for tag in image.document["imageTags"]:
        yield {"imageDigest": image.key, "imageTag": tag}
    if not image.document["imageTags"]:
        yield {"imageDigest": image.key}


@operation("ListImageReferrers")
def list_image_referrers(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is about an image: signatures, bills of materials, whatever names it as its subject."""
    place = place_of(call, request)
    call.read(repository_of, place)
    wanted = request.get("filter", {}).get("artifactTypes")
    subject = request["subjectId"]["imageDigest"]
    found = call.read(lambda conn: list(_images.referrers(conn, place, subject)))
    shown = [each | {"artifactStatus": "ACTIVE"} for each in found]
    return {"referrers": [each for each in shown if not wanted or each.get("artifactType") in wanted]}
