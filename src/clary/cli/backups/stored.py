"""The objects of a backup: out of the embedded store, several read at once, and back into it.

listing ─▶ small ones are read ahead, by threads ─▶ each added in its turn ─▶ archive
           a large one is read in its turn
"""

import contextlib
import hashlib
import json
import subprocess
import tarfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

from clary.cli.backups import archive
from clary.cli.backups.ahead import MOST_BYTES, Answer, Reader
from clary.cli.backups.archive import HEADERS, KEY, METADATA, TAGGING, VERSIONING, Contents
from clary.gateway import objects
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings
from clary.toolkit.object_faults import MissingError
from clary.toolkit.objects import Objects
from clary.toolkit.s3 import PARALLEL

WAIT_S = 60.0
GRACE_S = 2.0
"""The store takes half a minute to stop by itself; what it has acknowledged outlives a kill."""
N_AHEAD = 2 * PARALLEL
"""Objects that are read ahead at most."""


def add_all(tar: tarfile.TarFile, contents: Contents, stored: Objects, reader: Reader) -> None:
    """Add every bucket and every object, in the order of the store's listing."""
    pool = ThreadPoolExecutor(PARALLEL, "backup")
    waiting: deque[tuple[str, str, Future[Answer] | None]] = deque()

    def add_first() -> None:
        bucket, key, ahead = waiting.popleft()
        tries = [] if ahead is None else [ahead]

        def add() -> None:
            if not key:
                _add_bucket(tar, stored, bucket)
                return
            answer: Answer | None = None
            if tries:
                with contextlib.suppress(OSError):
                    answer = tries.pop().result()
            _add_object(tar, contents, bucket, key, answer or _ask(stored, bucket, key))

        archive.added(tar, f"s3://{bucket}/{key}", add)

    try:
        for bucket, key, n_bytes in _listed(stored):
            is_small = bool(key) and n_bytes <= MOST_BYTES
            ahead = pool.submit(reader.read, bucket, key) if is_small else None
            waiting.append((bucket, key, ahead))
            if len(waiting) == N_AHEAD:
                add_first()
        while waiting:
            add_first()
    except BaseException:
        stored.cancel.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _listed(stored: Objects) -> Iterator[tuple[str, str, int]]:
    """Yield bucket, key and length of all there is; a bucket itself has no key."""
    listed: Any = stored.ask("list", "s3://all", lambda s3: s3.list_buckets())
    for each in listed["Buckets"]:
        if f"/{each['Name']}" == objects.PROBE:
            continue
        yield each["Name"], "", 0
        with contextlib.suppress(MissingError):  # the bucket was deleted meanwhile
            for entry in stored.list(f"s3://{each['Name']}/"):
                yield entry.bucket, entry.key, entry.size or 0


def _ask(stored: Objects, bucket: str, key: str) -> Answer:
    uri, which = f"s3://{bucket}/{key}", {"Bucket": bucket, "Key": key}
    answer: Any = stored.ask("download", uri, lambda s3: s3.get_object(**which))
    headers = {header: answer[name] for name, header in HEADERS.items() if answer.get(name)}
    headers |= {METADATA: json.dumps(answer["Metadata"])} if answer.get("Metadata") else {}
    if answer.get("TagCount"):
        tags: Any = stored.ask("download", uri, lambda s3: s3.get_object_tagging(**which))
        headers[TAGGING] = urlencode([(each["Key"], each["Value"]) for each in tags["TagSet"]])
    return Answer({**headers, KEY: key}, answer["ContentLength"], answer["Body"])


def _add_object(tar: tarfile.TarFile, contents: Contents, bucket: str, key: str, answer: Answer) -> None:
    name = f"objects/{bucket}/{hashlib.sha256(key.encode()).hexdigest()}"
    with answer.body as body:
        archive.add(tar, contents, name, body, headers=answer.headers, n_bytes=answer.n_bytes)
    contents.n_objects += 1


def _add_bucket(tar: tarfile.TarFile, stored: Objects, bucket: str) -> None:
    found: Any = stored.ask("list", f"s3://{bucket}", lambda s3: s3.get_bucket_versioning(Bucket=bucket))
    member = tarfile.TarInfo(f"objects/{bucket}")
    member.type, member.mode = tarfile.DIRTYPE, 0o700
    member.pax_headers = {VERSIONING: found["Status"]} if found.get("Status") else {}
    tar.addfile(member)


def put(tar: tarfile.TarFile, member: tarfile.TarInfo, stored: Objects, contents: Contents) -> None:
    """Put a member back where it was."""
    bucket, kept = member.name.split("/")[1], member.pax_headers
    if member.isdir():
        uri = f"s3://{bucket}"
        stored.ask("create", uri, lambda s3: s3.create_bucket(Bucket=bucket))
        if VERSIONING in kept:
            how = {"Status": kept[VERSIONING]}
            stored.ask(
                "create", uri, lambda s3: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=how)
            )
        return
    key = kept[KEY]
    given: dict[str, Any] = {name: kept[header] for name, header in HEADERS.items() if header in kept}
    given |= {"Tagging": kept[TAGGING]} if TAGGING in kept else {}
    given["Metadata"] = json.loads(kept.get(METADATA, "{}"))
    uri = f"s3://{bucket}/{key}"
    # opened for each try: one that broke off has read some of it
    stored.ask(
        "upload",
        uri,
        lambda s3: s3.upload_fileobj(tar.extractfile(member), bucket, key, ExtraArgs=given),
    )
    contents.n_objects += 1
    contents.n_bytes += member.size


@contextlib.contextmanager
def lent(settings: Settings) -> Iterator[Objects]:
    """Lend the embedded object store, started for this block where Clary does not run."""
    import asyncio  # noqa: PLC0415 - only for the probe

    def is_up() -> bool:
        try:
            return not asyncio.run(objects.trouble(objects.load(settings), writes=True))
        except SetupError:
            return False

    process: subprocess.Popen[bytes] | None = None
    if not is_up():
        objects.set_up(settings)
        start = objects.command(settings)
        with (settings.data_dir / "objects" / "backup.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own object store
                start.argv, env=dict(start.environment), cwd=start.directory, stdout=log, stderr=log
            )
    try:
        until = time.monotonic() + WAIT_S
        while not is_up():
            if time.monotonic() > until or (process is not None and process.poll() is not None):
                raise SetupError("the object store does not start; objects/backup.log says why")
            time.sleep(0.1)
        where = objects.load(settings)
        yield Objects(
            endpoint=where.endpoint,
            access_key=where.access_key,
            secret_key=where.secret_key,
            region=where.region,
        )
    finally:
        if process is not None:
            process.terminate()
            try:
                process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
