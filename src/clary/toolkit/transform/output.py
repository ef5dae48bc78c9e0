"""An output object, written while it is made: parts go up as they fill, and it appears whole or not."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clary.toolkit.object_faults import MissingError
from clary.toolkit.objects import MAX_PARTS, Objects, split_uri

if TYPE_CHECKING:
    from collections.abc import Mapping

PART_BYTES = 8 << 20
"""S3 wants at least 5 MiB."""
GROWS_EVERY = MAX_PARTS // 5
"""Parts after which their length doubles, so that no output has too many: 5 x 2,000 parts hold 496 GB."""
IN_FLIGHT = 2
"""Parts on their way at once, of one object."""


class Output:
    """One object in the making.

    Parameters
    ----------
    metadata : mapping of str to str
        Kept with the object: by it a later attempt knows that it need not be made again.
    """

    def __init__(
        self, objects: Objects, uri: str, pool: ThreadPoolExecutor, metadata: Mapping[str, str]
    ) -> None:
        self._objects = objects
        self._uri = uri
        self._bucket, self._key = split_uri(uri)
        self._pool = pool
        self._metadata = dict(metadata)
        self._held: list[bytes] = []
        self._n_held = 0
        self._upload_id = ""
        self._n_parts = 0
        self._flying: deque[Future[dict[str, Any]]] = deque()
        self._parts: list[dict[str, Any]] = []

    def write(self, content: bytes) -> None:
        """Append; may wait for earlier parts to arrive."""
        self._held.append(content)
        self._n_held += len(content)
        while self._n_held >= self._part_bytes:
            whole = b"".join(self._held)
            cut = self._part_bytes
            self._held, self._n_held = [whole[cut:]], len(whole) - cut
            self._send(whole[:cut])

    def publish(self) -> None:
        """Make the object appear."""
        body = b"".join(self._held)
        self._held, self._n_held = [], 0
        if not self._upload_id:
            self._ask(lambda s3: s3.put_object(Body=body, Metadata=self._metadata, **self._where))
            return
        if body:
            self._send(body)
        while self._flying:
            self._parts.append(self._flying.popleft().result())
        upload = {"UploadId": self._upload_id, "MultipartUpload": {"Parts": self._parts}}
        self._ask(lambda s3: s3.complete_multipart_upload(**self._where, **upload))
        self._upload_id = ""

    def abort(self) -> None:
        """Leave nothing behind; what arrived of it is dropped."""
        for part in self._flying:
            part.cancel()
        for part in self._flying:
            if not part.cancelled():
                part.exception()
        self._flying.clear()
        if self._upload_id:
            upload_id, self._upload_id = self._upload_id, ""
            drop_upload(self._objects, self._uri, upload_id)

    @property
    def _where(self) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._key}

    @property
    def _part_bytes(self) -> int:
        return PART_BYTES << (self._n_parts // GROWS_EVERY)

    def _send(self, body: bytes) -> None:
        if not self._upload_id:
            begun = self._ask(lambda s3: s3.create_multipart_upload(Metadata=self._metadata, **self._where))
            self._upload_id = begun["UploadId"]
        self._n_parts += 1
        self._flying.append(self._pool.submit(self._part, self._n_parts, body))
        while len(self._flying) > IN_FLIGHT:
            self._parts.append(self._flying.popleft().result())

    def _part(self, number: int, body: bytes) -> dict[str, Any]:
        upload = {"UploadId": self._upload_id, "PartNumber": number}
        answer = self._ask(lambda s3: s3.upload_part(Body=body, **self._where, **upload))
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def _ask(self, call: Any) -> Any:
        return self._objects.ask("upload", self._uri, call)


def drop_upload(objects: Objects, uri: str, upload_id: str) -> None:
    """Forget an upload that will not be completed; whether the store hears of it does not matter."""
    bucket, key = split_uri(uri)
    objects.ask_once(lambda s3: s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id))


def drop_stale_uploads(objects: Objects, uri: str, since: datetime) -> int:
    """Forget what an attempt before this one left unfinished at `uri`; return how many uploads that were."""
    bucket, key = split_uri(uri)
    found = objects.ask("list", uri, lambda s3: s3.list_multipart_uploads(Bucket=bucket, Prefix=key))
    stale = [
        each["UploadId"]
        for each in found.get("Uploads", ())
        if each["Key"] == key and each["Initiated"] >= since
    ]
    for upload_id in stale:
        drop_upload(objects, uri, upload_id)
    return len(stale)


def metadata_of(objects: Objects, uri: str) -> Mapping[str, str] | None:
    """Return what is kept with the object at `uri`; None where there is none."""
    bucket, key = split_uri(uri)
    try:
        found = objects.ask("download", uri, lambda s3: s3.head_object(Bucket=bucket, Key=key))
    except MissingError:
        return None
    metadata: Mapping[str, str] = found.get("Metadata", {})
    return metadata
