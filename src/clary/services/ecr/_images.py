"""Images and tags: put, moved, deleted, each in one unit of the store."""

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from clary.kernel.errors import AwsError
from clary.services.ecr import _blobs
from clary.services.ecr._manifests import INDEXES, Manifest
from clary.services.ecr._records import Place, every, query_of, repository_of
from clary.store import records
from clary.store.listing import Condition
from clary.store.records import Record

RENEW_S = 3600.0
"""A blob's link to a repository is renewed by an image that names it, where it is older."""
_IMMUTABLE = {"IMMUTABLE": True, "IMMUTABLE_WITH_EXCLUSION": True}


def find(conn: Connection, place: Place, digest: str) -> Record | None:
    """Return an image by its digest."""
    return records.find(conn, place.account, place.region, place.images, digest)


def tagged(conn: Connection, place: Place, tag: str) -> Record | None:
    """Return what a tag stands for, as a record with a `digest`."""
    return records.find(conn, place.account, place.region, place.tags, tag)


def resolve(conn: Connection, place: Place, reference: str) -> Record | None:
    """Return the image of a tag or a digest."""
    if ":" in reference:
        return find(conn, place, reference)
    tag = tagged(conn, place, reference)
    return find(conn, place, tag.document["digest"]) if tag is not None else None


def is_immutable(repository: Record, tag: str) -> bool:
    """Tell whether a tag of a repository stays where it is."""
    rule = repository.document["imageTagMutability"]
    filters = repository.document.get("imageTagMutabilityExclusionFilters") or ()
    is_excluded = any(fnmatch.fnmatchcase(tag, each["filter"]) for each in filters)
    return (rule in _IMMUTABLE) != (is_excluded and rule.endswith("_WITH_EXCLUSION"))


def put(conn: Connection, place: Place, manifest: Manifest, tag: str, now: datetime) -> tuple[Record, bool]:
    """Store a manifest, and move a tag to it; return its record, and whether anything is new.

    Raises
    ------
    AwsError
        `RepositoryNotFoundException`, `LayersNotFoundException`, `ReferencedImagesNotFoundException`,
        `ImageTagAlreadyExistsException`.
    """
    repository = repository_of(conn, place)
    _check_parts(conn, place, manifest, now)
    image, is_new = find(conn, place, manifest.digest), False
    if image is None:
        image, is_new = records.insert(conn, _image(place, manifest, now)), True
    if not tag or tag in image.document["imageTags"]:
        return image, is_new
    known = tagged(conn, place, tag)
    if known is not None:
        if is_immutable(repository, tag):
            raise AwsError(
                f"The image tag '{tag}' already exists in the '{place.name}' repository and cannot be "
                "overwritten because the tag is immutable.",
                code="ImageTagAlreadyExistsException",
            )
        _untag(conn, place, known, now)
    document = {"digest": manifest.digest}
    records.insert(conn, Record(place.account, place.region, place.tags, tag, "", "", now, now, document))
    tags = sorted([*image.document["imageTags"], tag])
    changed = replace(image, document={**image.document, "imageTags": tags}, modified=now)
    return records.update(conn, changed, expected_version=image.version), True


def _image(place: Place, manifest: Manifest, now: datetime) -> Record:
    document = {
        "imageDigest": manifest.digest,
        "imageTags": [],
        "imageManifestMediaType": manifest.media_type,
        "artifactMediaType": manifest.artifact_type,
        "imageSizeInBytes": manifest.size,
        "subject": manifest.subject,
        "annotations": dict(manifest.annotations),
        "size": len(manifest.text.encode()),
        "children": list(manifest.children),
    }
    private = {"manifest": manifest.text, "blobs": list(manifest.blobs)}
    return Record(
        place.account, place.region, place.images, manifest.digest, "", "", now, now, document, private
    )


def _check_parts(conn: Connection, place: Place, manifest: Manifest, now: datetime) -> None:
    """Make sure that what a manifest names is there, and stays."""
    absent = [
        each
        for each in manifest.blobs
        if _blobs.blob_of(conn, place, each) is None
        or not _blobs.link(conn, place, each, now, older_s=RENEW_S)
    ]
    if absent:
        text = f"Layers with digests '{', '.join(absent)}' required for pushing image into "
        text += f"{place.words} do not exist"
        raise AwsError(text, code="LayersNotFoundException", members={"digests": absent})
    absent = [each for each in manifest.children if find(conn, place, each) is None]
    if absent:
        text = f"The images with digests '{', '.join(absent)}' that the index lists are not in '{place.name}'"
        raise AwsError(text, code="ReferencedImagesNotFoundException", members={"digests": absent})


def _untag(conn: Connection, place: Place, tag: Record, now: datetime) -> None:
    records.delete(conn, place.account, place.region, place.tags, tag.key)
    image = find(conn, place, tag.document["digest"])
    if image is not None:
        left = [each for each in image.document["imageTags"] if each != tag.key]
        changed = replace(image, document={**image.document, "imageTags": left}, modified=now)
        records.update(conn, changed, expected_version=image.version)


def untag(conn: Connection, place: Place, tag: str, now: datetime) -> str:
    """Take a tag away; return the digest that it stood for, empty where there was none."""
    known = tagged(conn, place, tag)
    if known is None:
        return ""
    _untag(conn, place, known, now)
    return str(known.document["digest"])


def listed_by(conn: Connection, place: Place, digest: str) -> list[str]:
    """Return the digests of the indexes that list an image."""
    where = (Condition("imageManifestMediaType", "in", tuple(sorted(INDEXES))),)
    found = every(conn, query_of(place, place.images, where=where))
    return [each.key for each in found if digest in each.document["children"]]


def delete(conn: Connection, place: Place, digest: str) -> list[str] | None:
    """Delete an image with its tags; return those, or None where there was no such image.

    Raises
    ------
    AwsError
        `ImageReferencedByManifestList`: an index lists it.
    """
    image = find(conn, place, digest)
    if image is None:
        return None
    indexes = listed_by(conn, place, digest)
    if indexes:
        text = f"Requested image referenced by manifest list: [{', '.join(indexes)}]"
        raise AwsError(text, code="ImageReferencedByManifestList")
    for tag in image.document["imageTags"]:
        records.delete(conn, place.account, place.region, place.tags, tag)
    records.delete(conn, place.account, place.region, place.images, digest)
    return list(image.document["imageTags"])


def referrers(conn: Connection, place: Place, digest: str) -> Iterator[Mapping[str, Any]]:
    """Yield a descriptor of each manifest whose subject is `digest`."""
    where = (Condition("subject", "eq", digest),)
    for each in every(conn, query_of(place, place.images, where=where)):
        document = each.document
        shown = {
            "mediaType": document["imageManifestMediaType"],
            "digest": each.key,
            "size": document["size"],
            "artifactType": document["artifactMediaType"],
            "annotations": document["annotations"],
        }
        yield {name: value for name, value in shown.items() if value}


def blobs_of(conn: Connection, place: Place) -> set[str]:
    """Return every blob that an image of a repository names."""
    return {blob for each in every(conn, query_of(place, place.images)) for blob in each.private["blobs"]}


def details(place: Place, images: Sequence[Record]) -> list[dict[str, Any]]:
    """Return images as DescribeImages shows them."""
    shown = []
    for each in images:
        document = {name: each.document[name] for name in _SHOWN if each.document[name]}
        own = {"registryId": place.account, "repositoryName": place.name, "imagePushedAt": each.created}
        shown.append(document | own)
    return shown


_SHOWN = ("imageDigest", "imageTags", "imageManifestMediaType", "artifactMediaType", "imageSizeInBytes")
