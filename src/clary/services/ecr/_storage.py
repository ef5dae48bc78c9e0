"""The bucket that the images' bytes are in: made once, and no account's."""

from datetime import datetime

from sqlalchemy import Connection

from clary.engine.world import World
from clary.kernel.errors import AwsError
from clary.services.s3.bucket import NOUN, OWNERS, REGION, owner_of
from clary.store import records
from clary.store.records import Record
from clary.toolkit import buckets

_MADE = "registry bucket"


def reserve(conn: Connection, name: str, now: datetime) -> bool:
    """Take the bucket's name, so that no account can have it; False where one has it."""
    owner = owner_of(conn, name)
    if owner is None:
        document = {"Name": name, "Account": OWNERS, "Region": REGION}
        records.insert(
            conn, Record(OWNERS, REGION, NOUN, name, f"arn:aws:s3:::{name}", "", now, now, document)
        )
        return True
    return owner.account == OWNERS


def prepare(world: World) -> None:
    """Have the bucket.

    Raises
    ------
    AwsError
        An account has a bucket of that name.
    """
    name = world.settings.registry_bucket
    if world.extras.get(_MADE) == name:
        return
    if not world.store.write(reserve, name, world.clock()):
        text = f"the bucket '{name}' is an account's: name another in CLARY_REGISTRY_BUCKET"
        raise AwsError(text, code="ServerException", status=500)
    buckets.make(world.extras["objects"], name)
    world.extras[_MADE] = name
