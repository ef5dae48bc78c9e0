"""Model data of packages: the ETag that an object has when it is registered."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.errors import CustomerError
from clary.resource.call import Call
from clary.services.s3.bucket import owner_of
from clary.toolkit.object_faults import ObjectsUnavailableError
from clary.toolkit.objects import Objects, split_uri

PATIENCE_S = 5.0
"""How long a registration waits for an object store that is away."""


def stamped(call: Call, container: Mapping[str, Any]) -> dict[str, Any]:
    """Return a container with the ETags of its model data, where they are the caller's objects."""
    found = dict(container)
    if "ModelDataUrl" in found:
        etag = _etag(call, found["ModelDataUrl"])
        found |= {"ModelDataETag": etag} if etag else {}
    source = found.get("ModelDataSource", {}).get("S3DataSource", {})
    if source.get("S3DataType") == "S3Object":
        etag = _etag(call, source["S3Uri"])
        found["ModelDataSource"] = {"S3DataSource": source | ({"ETag": etag} if etag else {})}
    return found


def _etag(call: Call, uri: str) -> str:
    objects: Objects | None = call.world.extras.get("objects")
    if objects is None or not uri.startswith("s3://"):
        return ""
    bucket, key = split_uri(uri)
    owner = call.read(owner_of, bucket)
    if owner is None or owner.account != call.account or not key:
        return ""
    mine = objects.sibling()
    mine.patience_s = PATIENCE_S
    try:
        found = mine.head(uri)
    except (CustomerError, ObjectsUnavailableError):
        return ""  # as CreateModel: what is not there is told when it is served
    return found.etag.strip('"') if found else ""
