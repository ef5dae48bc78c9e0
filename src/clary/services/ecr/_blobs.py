"""Blobs and uploads: bytes in segments of the object store, and what is known of them.

    begin ─▶ append … append ─▶ finish ─▶ blob <digest> of the account ─▶ linked to repositories
                  └─▶ (nobody comes back) ──▶ over ─▶ swept: its objects, then itself

A segment is an object under a name of its own, written once. Which of them make up the upload is one record,
changed by guarded writes: two writers of one upload, or a killed one, leave objects that no record names, but
never bytes of one in the other's blob. What is under an upload's prefix and named by no blob is swept later.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection

from clary.kernel import ids
from clary.kernel.errors import AwsError
from clary.resource.call import AMEND_TRIES
from clary.services.ecr._records import BLOB, EVERYWHERE, UPLOAD, Place, repository_of
from clary.store import records
from clary.store.base import Duplicate, Stale
from clary.store.database import Store
from clary.store.records import Record

T = TypeVar("T")
OPEN, OVER = "Open", "Over"
Segment = tuple[str, int]
"""Name below the upload's prefix, and bytes."""


@dataclass(frozen=True)
class Bytes:
    """Where bytes are."""

    account: str
    upload: str
    segments: tuple[Segment, ...]

    @property
    def size(self) -> int:
        """How many there are."""
        return sum(size for _, size in self.segments)

    @property
    def prefix(self) -> str:
        """What the keys of the objects begin with."""
        return f"{self.account}/{self.upload}/"


class WrongPlaceError(Exception):
    """Bytes came that do not continue the upload; carries how many it has."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def write(store: Store, function: Callable[..., T], *args: Any) -> T:
    """Run a unit of the store; anew where another control plane wrote in between."""
    for _ in range(AMEND_TRIES - 1):
        with contextlib.suppress(Stale):
            return store.write(function, *args)
    return store.write(function, *args)


def unknown_upload(upload: str, place: Place) -> AwsError:
    """Return the error of an upload that does not exist, or is over."""
    return AwsError(
        f"Upload '{upload}' not found in repository '{place.name}' in registry '{place.account}'",
        code="UploadNotFoundException",
    )


def begin(conn: Connection, place: Place, now: datetime) -> Bytes:
    """Begin an upload to a repository."""
    repository_of(conn, place)
    upload = ids.request_id()
    document = {"repository": place.link}
    private: dict[str, Any] = {"segments": []}
    records.insert(
        conn, Record(place.account, EVERYWHERE, UPLOAD, upload, "", OPEN, now, now, document, private)
    )
    return Bytes(place.account, upload, ())


def bytes_of(record: Record) -> Bytes:
    """Return where the bytes of an upload or a blob are."""
    upload = record.key if record.noun == UPLOAD else record.document["upload"]
    return Bytes(record.account, upload, tuple((name, size) for name, size in record.private["segments"]))


def upload_of(conn: Connection, place: Place, upload: str) -> Record:
    """Return an upload that is open.

    Raises
    ------
    AwsError
        `UploadNotFoundException`.
    """
    record = records.find(conn, place.account, EVERYWHERE, UPLOAD, upload)
    if record is None or record.status != OPEN or record.document["repository"] != place.link:
        raise unknown_upload(upload, place)
    return record


def append(
    conn: Connection, place: Place, upload: str, at: int, segments: Sequence[Segment], now: datetime
) -> int:
    """Add segments that are in the object store already; return how many bytes the upload has now.

    Raises
    ------
    AwsError
        `UploadNotFoundException`.
    WrongPlaceError
        Another writer was here: they do not begin where it ends.
    """
    record = upload_of(conn, place, upload)
    known = bytes_of(record)
    if segments and segments[-1] in known.segments:
        return known.size  # the answer was lost, and they are told again
    if known.size != at:
        raise WrongPlaceError(known.size)
    private = {**record.private, "segments": [*known.segments, *segments]}
    try:
        changed = replace(record, private=private, modified=now)
        return bytes_of(records.update(conn, changed, expected_version=record.version)).size
    except Stale:  # on PostgreSQL, another control plane
        raise WrongPlaceError(at) from None


def end(conn: Connection, place: Place, upload: str, now: datetime, *, blob: str = "") -> None:
    """End an upload: what `blob` does not keep of it will be swept."""
    record = upload_of(conn, place, upload)
    document = {**record.document, "blob": blob}
    ended = replace(record, status=OVER, document=document, private={"segments": []}, modified=now)
    records.update(conn, ended, expected_version=record.version)


def finish(conn: Connection, place: Place, upload: str, size: int, digest: str, now: datetime) -> bool:
    """Make an upload of `size` bytes the blob of `digest`, which was computed of them.

    Returns
    -------
    bool
        False where the repository had it already.

    Raises
    ------
    AwsError
        `UploadNotFoundException`.
    WrongPlaceError
        It has other bytes than were computed of.
    """
    known = bytes_of(upload_of(conn, place, upload))
    if known.size != size:
        raise WrongPlaceError(known.size)
    repository_of(conn, place)
    end(conn, place, upload, now, blob=digest)
    is_new = blob_of(conn, place, digest) is None
    if link(conn, place, digest, now):
        return is_new
    document = {"upload": upload, "size": size, "repositories": {place.link: now.timestamp()}}
    private = {"segments": list(known.segments)}
    blob = Record(place.account, EVERYWHERE, BLOB, digest, "", "", now, now, document, private)
    try:
        records.insert(conn, blob)
    except Duplicate:  # on PostgreSQL, another control plane was as fast
        link(conn, place, digest, now)
    return is_new


def is_finished(conn: Connection, place: Place, upload: str, digest: str) -> bool:
    """Tell whether an upload became the blob of `digest` already."""
    record = records.find(conn, place.account, EVERYWHERE, UPLOAD, upload)
    return record is not None and record.document.get("blob") == digest


def blob_of(conn: Connection, place: Place, digest: str) -> Record | None:
    """Return a blob that a repository has."""
    record = records.find(conn, place.account, EVERYWHERE, BLOB, digest)
    return record if record is not None and place.link in record.document["repositories"] else None


def link(conn: Connection, place: Place, digest: str, now: datetime, *, older_s: float = 0.0) -> bool:
    """Give a repository a blob that the account has, or renew that; False where the account has none.

    Parameters
    ----------
    older_s : float
        A link that was made or renewed less long ago stays as it is.
    """
    record = records.find(conn, place.account, EVERYWHERE, BLOB, digest)
    if record is None:
        return False
    links = record.document["repositories"]
    if now.timestamp() - links.get(place.link, 0.0) >= older_s:
        _relink(conn, record, {**links, place.link: now.timestamp()}, now)
    return True


def unlink(conn: Connection, record: Record, gone: Sequence[str], now: datetime) -> None:
    """Take a blob from repositories; from the last of them, the blob goes.

    Raises
    ------
    Stale
        It was linked or renewed meanwhile.
    """
    left = {name: at for name, at in record.document["repositories"].items() if name not in gone}
    _relink(conn, record, left, now)
    if left:
        return
    records.delete(conn, record.account, EVERYWHERE, BLOB, record.key)
    upload = record.document["upload"]
    found = records.find(conn, record.account, EVERYWHERE, UPLOAD, upload)
    private: dict[str, Any] = {"segments": []}
    over = Record(record.account, EVERYWHERE, UPLOAD, upload, "", OVER, now, now, {"repository": ""}, private)
    if found is None:
        records.insert(conn, over)
    else:
        records.update(conn, replace(over, version=found.version))


def _relink(conn: Connection, record: Record, links: Mapping[str, float], now: datetime) -> None:
    changed = replace(record, document={**record.document, "repositories": links}, modified=now)
    records.update(conn, changed, expected_version=record.version)
