"""Model data that a model names must be there when it is made."""

from collections.abc import Iterator, Mapping
from typing import Any

from clary.kernel.errors import CustomerError, ValidationException
from clary.resource.call import Call
from clary.services.s3.bucket import owner_of
from clary.toolkit.object_faults import MissingError, ObjectsUnavailableError
from clary.toolkit.objects import Objects, split_uri

PATIENCE_S = 5.0
"""How long a call waits for an object store that is away."""


def check(call: Call, container: Mapping[str, Any]) -> None:
    """Refuse a container whose model data is not there.

    What is in another account's bucket is not looked at, nor a prefix of many models, which may be empty.

    Raises
    ------
    ValidationException
        In the service's own words.
    """
    objects: Objects | None = call.world.extras.get("objects")
    if objects is None or container.get("Mode", "SingleModel") != "SingleModel":
        return
    for uri, is_prefix in _named(container):
        bucket = split_uri(uri)[0]
        owner = call.read(owner_of, bucket)
        if owner is None or (owner.account == call.account and not _is_there(objects, uri, is_prefix)):
            raise ValidationException(f"Could not find model data at {uri}.")


def _named(container: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield the URIs of S3 that a container names, and whether each is a prefix."""
    url = container.get("ModelDataUrl", "")
    if url.startswith("s3://"):
        yield url, False
    source = container.get("ModelDataSource", {}).get("S3DataSource", {})
    if source.get("S3Uri", "").startswith("s3://"):
        yield source["S3Uri"], source.get("S3DataType") == "S3Prefix"


def _is_there(objects: Objects, uri: str, is_prefix: bool) -> bool:
    mine = objects.sibling()
    mine.patience_s = PATIENCE_S
    try:
        if is_prefix:
            return next(mine.list(uri), None) is not None
        return not uri.endswith("/") and mine.head(uri) is not None  # a store may show folders as objects
    except MissingError:
        return False
    except (CustomerError, ObjectsUnavailableError):
        return True  # it cannot be told now: what is not there is told when it is served
