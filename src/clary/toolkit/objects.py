"""Objects in S3: listed, read, fetched and uploaded.

    Objects ──list read stream fetch put upload──▶ any S3 (the edge, SeaweedFS, AWS)

Everything retries while the store is away: a restart of it costs a job some seconds and nothing else.
"""

import copy
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import random
from typing import IO, Any, BinaryIO, TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ParamValidationError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from clary.kernel.errors import CustomerError
from clary.toolkit import s3
from clary.toolkit.object_faults import CancelledError, MissingError, ObjectsUnavailableError, fault
from clary.toolkit.s3 import PARALLEL

CHUNK_BYTES = 1 << 20
"""Read and write this much at a time."""
PART_BYTES = 16 << 20
"""Length of one part of a large object; S3 wants at least 5 MiB."""
LARGE_BYTES = 2 * PART_BYTES
"""From here on an object travels in parts, several at once."""
MAX_PARTS = 10_000
"""Source: S3 user guide, "Multipart upload limits"."""

AWAY = (HTTPClientError, BotoConnectionError, IncompleteReadError, OSError)
"""The store does not answer, or breaks off: worth another try."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One object as a listing shows it."""

    bucket: str
    key: str
    size: int | None = None
    """None where it was not listed."""
    etag: str = ""

    @property
    def uri(self) -> str:
        """`s3://bucket/key`."""
        return f"s3://{self.bucket}/{self.key}"


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of `s3://bucket/key`; the key may be empty.

    Raises
    ------
    CustomerError
        Not an S3 URI.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise CustomerError(f'"{uri}" is not an S3 URI; it must look like "s3://bucket/prefix".')
    return bucket, key


class Objects:
    """S3, as jobs need it.

    Promises
    --------
    - A refused connection, a broken one, a 5xx or a 429 is tried again with growing pauses until `patience_s`
      has passed; then `ObjectsUnavailableError`.
    - A missing key or bucket, and a denied one, is a `CustomerError` that names the URI as the service does.
    - `cancel` set from another thread ends every call with `CancelledError`, pauses included.
    - Methods may be called from any thread.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        access_key: str,
        secret_key: str,
        session_token: str = "",
        region: str = "us-east-1",
        patience_s: float = 90.0,
    ) -> None:
        self.region = region
        self.patience_s = patience_s
        self.cancel = threading.Event()
        """Set it to call everything off."""
        self._client = s3.client()
        self._s3 = self._client.point(endpoint, region, access_key, secret_key, session_token)

    def sibling(self) -> "Objects":
        """Return the same store over the same connections, with a `cancel` of its own."""
        twin = copy.copy(self)
        twin.cancel = threading.Event()
        return twin

    def list(self, uri: str) -> Iterator[Entry]:
        """Yield the objects whose key starts with that of `uri`, in key order."""
        bucket, prefix = split_uri(uri)
        token: dict[str, str] = {}

        def ask() -> Any:
            return self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix, **token)

        while True:
            page = self._try("list", uri, ask)
            for each in page.get("Contents", ()):
                yield Entry(bucket, each["Key"], each["Size"], each.get("ETag", ""))
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def head(self, uri: str) -> Entry | None:
        """Return the object at exactly `uri`, or None."""
        bucket, key = split_uri(uri)
        try:
            found = self._try("download", uri, lambda: self._s3.head_object(Bucket=bucket, Key=key))
        except MissingError:
            return None
        return Entry(bucket, key, found["ContentLength"], found.get("ETag", ""))

    def read(self, uri: str, *, limit_bytes: int = 64 << 20) -> bytes:
        """Return one whole object.

        Raises
        ------
        CustomerError
            It is longer than `limit_bytes`, or not there.
        """
        pieces, length = [], 0
        for piece in self.stream(uri):
            pieces.append(piece)
            length += len(piece)
            if length > limit_bytes:
                raise CustomerError(f"{uri} is longer than the {limit_bytes} bytes that are allowed here.")
        return b"".join(pieces)

    def stream(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield an object piece by piece; a broken connection is taken up where it broke."""
        bucket, key = split_uri(uri)
        at, etag = offset, ""
        stalls_at = time.monotonic() + self.patience_s
        end = None if length is None else offset + length
        while end is None or at < end:
            extra: dict[str, str] = {"IfMatch": etag} if etag else {}
            if at or end is not None:
                extra["Range"] = f"bytes={at}-" + ("" if end is None else str(end - 1))
            answer = self._try("download", uri, partial(self._s3.get_object, Bucket=bucket, Key=key, **extra))
            etag = answer.get("ETag", "")
            whole_end = at + answer["ContentLength"]
            with answer["Body"] as body:
                try:
                    while piece := body.read(CHUNK_BYTES):
                        self._check()
                        at += len(piece)
                        yield piece
                        stalls_at = time.monotonic() + self.patience_s
                except AWAY as error:
                    if at < whole_end and time.monotonic() > stalls_at:
                        raise ObjectsUnavailableError(f"{uri} breaks off at byte {at}: {error}") from error
                    if at < whole_end:
                        self.pause(0.1)
                        continue
            if at >= whole_end:
                return

    def fetch(self, wanted: Iterable[tuple[Entry, Path]]) -> int:
        """Download many objects at once, a large one in parts; return the bytes written.

        Raises
        ------
        CustomerError
            One is missing or denied, or two want to be file and folder of the same name.
        """
        wanted = list(wanted)
        if len(wanted) == 1 and (wanted[0][0].size or 0) < LARGE_BYTES:
            return self._fetch_whole(*wanted[0])
        with ThreadPoolExecutor(PARALLEL, "fetch") as pool:
            tasks: list[Future[int]] = []
            for entry, path in wanted:
                if entry.size is not None and entry.size >= LARGE_BYTES:
                    _create(path, entry).close()
                    os.truncate(path, entry.size)
                    tasks += [
                        pool.submit(self._fetch_part, entry, path, at)
                        for at in range(0, entry.size, PART_BYTES)
                    ]
                else:
                    tasks.append(pool.submit(self._fetch_whole, entry, path))
            return sum(_gather(tasks))

    def _fetch_whole(self, entry: Entry, path: Path) -> int:
        with _create(path, entry) as file:
            for piece in self.stream(entry.uri):
                file.write(piece)
            return file.tell()

    def _fetch_part(self, entry: Entry, path: Path, at: int) -> int:
        length = min(PART_BYTES, (entry.size or 0) - at)
        with path.open("r+b", buffering=0) as file:
            file.seek(at)
            for piece in self.stream(entry.uri, offset=at, length=length):
                file.write(piece)
        return length

    def put(self, uri: str, body: bytes, *, content_type: str = "binary/octet-stream") -> None:
        """Write one small object."""
        bucket, key = split_uri(uri)
        self._try(
            "upload",
            uri,
            lambda: self._s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type),
        )

    def upload(self, uri: str, file: IO[bytes] | Path) -> int:
        """Write a file, a large one in parts; return its length."""
        if isinstance(file, Path):
            with file.open("rb") as opened:
                return self.upload(uri, opened)
        size = os.fstat(file.fileno()).st_size
        if size < LARGE_BYTES:
            self.put(uri, os.pread(file.fileno(), size, 0))
        else:
            self._upload_parts(uri, file.fileno(), size)
        return size

    def upload_many(self, wanted: Iterable[tuple[str, Callable[[], IO[bytes]]]]) -> int:
        """Write many files at once, each opened only when its turn comes; return the bytes sent."""

        def one(uri: str, opened: Callable[[], IO[bytes]]) -> int:
            with opened() as file:
                return self.upload(uri, file)

        with ThreadPoolExecutor(PARALLEL, "upload") as pool:
            return sum(_gather([pool.submit(one, uri, opened) for uri, opened in wanted]))

    def _upload_parts(self, uri: str, descriptor: int, size: int) -> None:
        bucket, key = split_uri(uri)
        length = max(PART_BYTES, -(-size // MAX_PARTS))
        begun = self._try("upload", uri, lambda: self._s3.create_multipart_upload(Bucket=bucket, Key=key))
        upload = {"Bucket": bucket, "Key": key, "UploadId": begun["UploadId"]}

        def part(number: int) -> dict[str, Any]:
            body = os.pread(descriptor, length, (number - 1) * length)
            answer = self._try(
                "upload", uri, lambda: self._s3.upload_part(Body=body, PartNumber=number, **upload)
            )
            return {"PartNumber": number, "ETag": answer["ETag"]}

        try:
            with ThreadPoolExecutor(PARALLEL // 2, "upload") as pool:
                parts = _gather([pool.submit(part, n) for n in range(1, -(-size // length) + 1)])
            self._try(
                "upload",
                uri,
                lambda: self._s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload),
            )
        except BaseException:
            self._abort(upload)
            raise

    def _abort(self, upload: Mapping[str, str]) -> None:
        # the store drops unfinished uploads by its own lifecycle
        self.ask_once(lambda s3: s3.abort_multipart_upload(**upload))

    def delete(self, uris: Iterable[str]) -> None:
        """Delete objects; those that are gone do not matter."""
        for uri in uris:
            bucket, key = split_uri(uri)
            self._try("delete", uri, partial(self._s3.delete_object, Bucket=bucket, Key=key))

    def ask(self, verb: str, uri: str, call: Callable[[Any], _T]) -> _T:
        """Make a request that has a file of its own: `call` gets the client; retried as all others are.

        Parameters
        ----------
        verb : str
            `download`, `upload`, `list` …, as errors name it.
        """
        return self._try(verb, uri, lambda: call(self._s3))

    def ask_once(self, call: Callable[[Any], object]) -> None:
        """Make a request whose failure does not matter, such as clearing away."""
        try:
            call(self._s3)
        except (BotoCoreError, ClientError, OSError):
            return

    def close(self) -> None:
        """Drop the connections."""
        self._s3.close()

    def hand_back(self) -> None:
        """Leave the client, without a connection, to the next store; this one is of no use then."""
        self.close()
        s3.hand_back(self._client)

    def _check(self) -> None:
        if self.cancel.is_set():
            raise CancelledError

    def pause(self, seconds: float) -> None:
        """Sleep, unless everything is called off.

        Raises
        ------
        CancelledError
            It is.
        """
        if self.cancel.wait(seconds):
            raise CancelledError

    def _try(self, verb: str, uri: str, call: Callable[[], _T]) -> _T:
        """Call until it answers, or patience ends."""
        patience_ends = time.monotonic() + self.patience_s
        pause_s = 0.05
        while True:
            self._check()
            try:
                return call()
            except ParamValidationError as error:
                raise CustomerError(f"Data {verb} failed for {uri}: {error}") from error
            except ClientError as error:
                refusal = fault(verb, uri, error, self.region)
                if refusal is not None:
                    raise refusal from error
                last: Exception = error
            except AWAY as error:
                last = error
            if time.monotonic() > patience_ends:
                raise ObjectsUnavailableError(
                    f"the object store could not {verb} {uri} for {self.patience_s:.0f} s: {last}"
                ) from last
            self.pause(pause_s * (0.5 + random()))  # noqa: S311 - jitter, not a secret
            pause_s = min(pause_s * 2, 3.0)


def _create(path: Path, entry: Entry) -> BinaryIO:
    """Open a new file for `entry`.

    Raises
    ------
    CustomerError
        The name is taken. Source: the service's own FailureReason.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise CustomerError(
            f"Data download failed:Failed to download data. Cannot download {entry.uri}, a previously "
            "downloaded file/folder clashes with it. Please check your s3 objects and ensure that there is "
            "no object that is both a folder as well as a file."
        ) from None


def _gather(tasks: list[Future[_T]]) -> list[_T]:
    """Return the results; the first failure calls off what has not begun."""
    _, rest = wait(tasks, return_when=FIRST_EXCEPTION)
    for task in rest:
        task.cancel()
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            raise error
    return [task.result() for task in tasks]
