"""Clears away: images that expired, blobs that no image names, unfinished uploads, and their objects.

    expire  ─▶ images of repositories with a lifecycle policy
    forget  ─▶ links of blobs to repositories where no image names them, after a day; the last one's blob
    abandon ─▶ uploads without a byte for a day
    remove  ─▶ objects of what is over that no blob keeps, then the upload's record

Each step is durable before the next begins, and may run again: a kill between two of them costs a pass.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from clary.engine.world import World
from clary.kernel.errors import AwsError
from clary.services.ecr import _blobs, _images, _lifecycle, _storage
from clary.services.ecr._blobs import OPEN, OVER
from clary.services.ecr._records import BLOB, EVERYWHERE, POLICY, UPLOAD, Place, query_of
from clary.store import identities, listing, records
from clary.store.base import Stale
from clary.store.listing import Condition
from clary.store.records import Record
from clary.toolkit.object_faults import CancelledError
from clary.toolkit.objects import Objects

PAUSE_S = 600.0
SETTLED = timedelta(minutes=15)
"""After the end of an upload, before its objects go: a writer that does not know yet may still put one."""
SHORTEST = timedelta(seconds=2 * _images.RENEW_S)
"""That anything is kept: a link younger than half of it is not renewed by the image that needs it."""
log = logging.getLogger(__name__)


class Sweeper:
    """A thread that sweeps now and then."""

    def __init__(self, world: World) -> None:
        self._world = world
        objects: Objects = world.extras["objects"]
        self._objects = objects.sibling()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="registry-sweep", daemon=True)

    def start(self) -> "Sweeper":
        """Begin; the first sweep is after the first pause."""
        bucket = self._world.settings.registry_bucket
        self._world.store.write(_storage.reserve, bucket, self._world.clock())
        self._thread.start()
        return self

    def close(self) -> None:
        """End."""
        self._closing.set()
        self._objects.cancel.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(PAUSE_S):
            try:
                sweep(self._world, self._objects)
            except CancelledError:
                return
            except Exception:
                log.exception("the registry is swept again later")


def sweep(world: World, objects: Objects) -> None:
    """Clear away what is due now."""
    now = world.clock()
    kept_since = now - max(timedelta(hours=world.settings.registry_keep_hours), SHORTEST)
    for policy in _all(world, _lifecycle.OWNER, POLICY):
        expire(world, policy, now)
    for account in world.store.read(identities.accounts):
        forget(world, account.account_id, kept_since, now)
        abandon(world, account.account_id, kept_since, now)
        remove(world, objects, account.account_id, now - SETTLED)


def expire(world: World, policy: Record, now: datetime) -> None:
    """Delete the images of a repository that its lifecycle policy expires."""
    place = Place(*(policy.document[member] for member in ("account", "region", "name")))
    images = list(_all(world, place.account, place.images, region=place.region))
    found = _lifecycle.expired(_lifecycle.parse(policy.document["text"]), images, now)
    by_digest = {each.key: each for each in images}
    for digest in sorted(found, key=lambda each: not by_digest[each].document["children"]):  # indexes first
        with contextlib.suppress(AwsError):  # what an index lists stays as long as that
            if _blobs.write(world.store, _images.delete, place, digest) is not None:
                log.info("image %s of %s expired by rule %d", digest, place.name, found[digest])
    judged = replace(policy, document={**policy.document, "evaluated": now})
    with contextlib.suppress(Stale):  # there is another policy now
        world.store.write(records.update, judged, policy.version)


def forget(world: World, account: str, since: datetime, now: datetime) -> None:
    """Take blobs from repositories whose images do not name them, and that did not get them `since`."""
    named: dict[str, set[str]] = {}
    for blob in _all(world, account, BLOB):
        gone = []
        for link, renewed in blob.document["repositories"].items():
            if renewed < since.timestamp():
                region, _, name = link.partition("/")
                if link not in named:
                    named[link] = world.store.read(_images.blobs_of, Place(account, region, name))
                gone += [link] * (blob.key not in named[link])
        if gone:
            with contextlib.suppress(Stale):  # it is being pushed again
                world.store.write(_blobs.unlink, blob, gone, now)


def abandon(world: World, account: str, since: datetime, now: datetime) -> None:
    """End the uploads that got no byte `since`."""
    for upload in _all(world, account, UPLOAD, Condition("status", "eq", OPEN)):
        if upload.modified < since:
            region, _, name = upload.document["repository"].partition("/")
            with contextlib.suppress(AwsError, Stale):  # it ended, or goes on
                world.store.write(_blobs.end, Place(account, region, name), upload.key, now)


def remove(world: World, objects: Objects, account: str, before: datetime) -> None:
    """Remove what no blob keeps of the uploads that ended `before`, then their records."""
    bucket = world.settings.registry_bucket
    for upload in _all(world, account, UPLOAD, Condition("status", "eq", OVER)):
        if upload.modified >= before:
            continue
        prefix = f"{account}/{upload.key}/"
        digest = upload.document.get("blob", "")
        blob = world.store.read(records.find, account, EVERYWHERE, BLOB, digest) if digest else None
        kept: set[str] = set()
        if blob is not None and blob.document["upload"] == upload.key:
            kept = {prefix + name for name, _ in blob.private["segments"]}
        objects.delete(each.uri for each in objects.list(f"s3://{bucket}/{prefix}") if each.key not in kept)
        world.store.write(records.delete, account, EVERYWHERE, UPLOAD, upload.key)


def _all(
    world: World, account: str, noun: str, *where: Condition, region: str = EVERYWHERE
) -> Iterator[Record]:
    """Yield the records of a noun, a page at a time."""
    query = query_of(Place(account, region, ""), noun, where=where)
    while True:
        page = world.store.read(listing.page, query)
        yield from page.records
        if page.next is None:
            return
        query = replace(query, after=page.next)
