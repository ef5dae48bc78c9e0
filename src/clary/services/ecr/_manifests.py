"""Manifests: what an image, or an index of images, is made of."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clary.services.ecr._records import DIGEST, invalid

OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
MEDIA_TYPES = (OCI_IMAGE, OCI_INDEX, DOCKER_IMAGE, DOCKER_LIST)
LIMIT_BYTES = 4 * 1024 * 1024
"""Source: OCI distribution specification, "Pushing Manifests"."""


@dataclass(frozen=True)
class Manifest:
    """One manifest, read."""

    text: str
    """As it came: its digest is of these very bytes."""
    digest: str
    media_type: str
    artifact_type: str
    blobs: tuple[str, ...] = ()
    """Digests of configuration and layers that the registry must have."""
    children: tuple[str, ...] = ()
    """Digests of the images that an index lists."""
    subject: str = ""
    """Digest of the manifest that this one is about."""
    size: int = 0
    """Bytes of configuration and layers."""
    annotations: Mapping[str, str] = field(default_factory=dict)


def parse(raw: bytes, media_type: str = "", algorithm: str = "sha256") -> Manifest:
    """Read a manifest.

    Parameters
    ----------
    media_type : str
        What the client says it is; empty leaves it to the manifest.

    Raises
    ------
    AwsError
        `InvalidParameterException`: it is none, or of a kind that is not taken.
    """
    try:
        text = raw.decode()
        document = json.loads(text)
        json.dumps(document, ensure_ascii=False).encode()  # no half of a surrogate pair, which no store takes
    except (ValueError, RecursionError):
        raise invalid("imageManifest", "it is not JSON in UTF-8") from None
    if not isinstance(document, dict):
        raise invalid("imageManifest", "it is not a JSON object")
    own = document.get("mediaType", "")
    if media_type and own and own != media_type:
        raise invalid("imageManifest", f"its mediaType is {own!r}, and not {media_type!r} as was said")
    kind = media_type or own or (OCI_INDEX if "manifests" in document else OCI_IMAGE)
    if kind not in MEDIA_TYPES or document.get("schemaVersion") != 2:
        raise invalid(
            "imageManifestMediaType",
            f"{kind!r}: a manifest of schemaVersion 2 is one of {', '.join(MEDIA_TYPES)}",
        )
    return _read(document, text, f"{algorithm}:{hashlib.new(algorithm, raw).hexdigest()}", kind)


def _read(document: Mapping[str, Any], text: str, digest: str, kind: str) -> Manifest:
    subject = _descriptor(document["subject"], "subject") if document.get("subject") else None
    told: dict[str, Any] = {"subject": subject["digest"] if subject else "", "annotations": _texts(document)}
    if kind in INDEXES:
        children = [_descriptor(each, "manifests") for each in _list(document, "manifests")]
        told["children"] = tuple(dict.fromkeys(each["digest"] for each in children))
        return Manifest(text, digest, kind, document.get("artifactType", ""), **told)
    configuration = _descriptor(document.get("config"), "config")
    layers = [_descriptor(each, "layers") for each in _list(document, "layers")]
    own = [configuration, *(each for each in layers if not each.get("urls"))]  # foreign layers are elsewhere
    told["blobs"] = tuple(dict.fromkeys(each["digest"] for each in own))
    told["size"] = sum(each["size"] for each in own)
    artifact = document.get("artifactType") or configuration.get("mediaType", "")
    return Manifest(text, digest, kind, artifact, **told)


def _list(document: Mapping[str, Any], member: str) -> list[Any]:
    found = document.get(member) or []
    if not isinstance(found, list):
        raise invalid("imageManifest", f"{member} is no list")
    return found


def _texts(document: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the annotations; those, and the type of an artifact, are texts."""
    found = document.get("annotations") or {}
    if not isinstance(found, Mapping) or not all(isinstance(each, str) for each in found.values()):
        raise invalid("imageManifest", "annotations are no texts by name")
    if not isinstance(document.get("artifactType", ""), str):
        raise invalid("imageManifest", "artifactType is no text")
    return found


def _descriptor(value: Any, member: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not DIGEST.fullmatch(str(value.get("digest"))):
        raise invalid("imageManifest", f"{member} is no descriptor with a sha256 or sha512 digest")
    if not isinstance(value.get("mediaType", ""), str):
        raise invalid("imageManifest", f"{member}: the mediaType of {value['digest']} is no text")
    size = value.get("size")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise invalid("imageManifest", f"{member}: the size of {value['digest']} is no number of bytes")
    return value
