"""Backups: one tar file with everything a Clary needs to stand up again elsewhere.

clary.json                       version, time, what there is
store.db                         every row, as one SQLite file, whatever the store is
keys/…                           key file, credentials, authority: the backup is as secret as they are
objects/<bucket>/<key>           every object, its content type and metadata beside it in the headers
notebooks/…                      volumes of notebook instances
sums.json                        SHA-256 of every member; last, so a cut file is seen
"""

import contextlib
import hashlib
import io
import json
import os
import sqlite3
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlencode

import clary
from clary.gateway import objects
from clary.kernel.clock import now
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings
from clary.store import copying, nodes
from clary.store.database import Store
from clary.store.times import to_micros
from clary.toolkit.object_faults import MissingError
from clary.toolkit.objects import AWAY, Objects

KEYS = ("secret.key", "credentials.json", "certificates/ca.pem", "certificates/ca.key")
CHUNK_BYTES = 1 << 20
WAIT_S = 60.0
HEADERS = {
    "ContentType": "CLARY.content-type",
    "ContentEncoding": "CLARY.content-encoding",
    "ContentLanguage": "CLARY.content-language",
    "ContentDisposition": "CLARY.content-disposition",
    "CacheControl": "CLARY.cache-control",
}
"""Members of an object's answer, and the header of the tar's member that keeps each."""
KEY, METADATA, TAGGING, VERSIONING = "CLARY.key", "CLARY.metadata", "CLARY.tagging", "CLARY.versioning"
N_TRIES = 3


@dataclass
class Contents:
    """What a backup holds."""

    n_rows: int = 0
    n_objects: int = 0
    n_bytes: int = 0
    sums: dict[str, str] = field(default_factory=dict)


class _Summed:
    """Reads another file, and sums what it read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.n_bytes = 0

    def read(self, n: int = -1) -> bytes:
        """Return the next bytes."""
        piece = self._file.read(n)
        self.digest.update(piece)
        self.n_bytes += len(piece)
        return piece


def write(settings: Settings, path: Path) -> Contents:
    """Write a backup of a Clary, running or not.

    The store is copied as of one moment, then the objects: all that the store names is there, unless it was
    deleted meanwhile.

    Raises
    ------
    SetupError
        There is nothing to back up, or a part cannot be read; no file is left then.
    """
    if not (settings.data_dir / KEYS[0]).exists():
        raise SetupError(f"no Clary has run in {settings.data_dir}: there is nothing to back up")
    partial = path.with_name(f".{path.name}.part")
    contents = Contents()
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                _write_all(settings, tar, contents, path.parent)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise SetupError(f"the backup cannot be written: {error}") from None
    finally:
        partial.unlink(missing_ok=True)
    return contents


def _write_all(settings: Settings, tar: tarfile.TarFile, contents: Contents, room: Path) -> None:
    about = {"clary": clary.__version__, "time": now().isoformat(), "objects": objects.is_embedded(settings)}
    _add(tar, contents, "clary.json", io.BytesIO(json.dumps(about).encode()))
    with tempfile.TemporaryDirectory(prefix=".clary-backup-", dir=room) as folder:  # /tmp may be memory
        copied, whole = Path(folder) / "copied.db", Path(folder) / "store.db"
        secret = settings.data_dir / KEYS[0]
        with (
            Store.open(settings.store_dsn, secret) as source,
            Store.open(f"sqlite:///{copied}", secret) as target,
        ):
            contents.n_rows = sum(copying.copy(source, target).values())
        with contextlib.closing(sqlite3.connect(copied)) as plain:
            plain.execute("VACUUM INTO ?", (str(whole),))  # one file: what is in the log beside it, too
        with whole.open("rb") as file:
            _add(tar, contents, whole.name, file)
    for name in KEYS:
        with contextlib.suppress(FileNotFoundError), (settings.data_dir / name).open("rb") as file:
            _add(tar, contents, f"keys/{name}", file)
    volumes = settings.data_dir / "notebooks"
    for each in sorted(volumes.rglob("*")):  # notebooks that run write them meanwhile
        path = f"notebooks/{each.relative_to(volumes)}"
        _added(tar, path, partial(_add_file, tar, contents, each, path))
    if objects.is_embedded(settings):
        with store_of_objects(settings) as stored:
            for bucket, key in _keys(stored):
                add = partial(_add_object if key else _add_bucket, tar, contents, stored, bucket, key)
                _added(tar, f"s3://{bucket}/{key}", add)
    sums = json.dumps(contents.sums).encode()
    _add(tar, Contents(), "sums.json", io.BytesIO(sums))


def _added(tar: tarfile.TarFile, what: str, add: Callable[[], None]) -> None:
    """Add a member; one that is gone meanwhile is left out, one that breaks off is read again."""
    begin, file = tar.offset, cast("IO[bytes]", tar.fileobj)
    for n_left in reversed(range(N_TRIES)):
        try:
            add()
        except (MissingError, FileNotFoundError):
            return
        except AWAY as error:
            if not n_left:
                raise SetupError(f"{what} cannot be copied: {error}") from None
            file.seek(begin)
            file.truncate()
            tar.offset = begin
        else:
            return


def _add(
    tar: tarfile.TarFile,
    contents: Contents,
    name: str,
    file: IO[bytes],
    *,
    headers: Mapping[str, str] | None = None,
    n_bytes: int | None = None,
) -> None:
    member = tarfile.TarInfo(name)
    member.mode, member.mtime = 0o600, int(time.time())
    member.size = file.seek(0, os.SEEK_END) if n_bytes is None else n_bytes
    member.pax_headers = dict(headers or {})
    if n_bytes is None:
        file.seek(0)
    summed: Any = _Summed(file)
    tar.addfile(member, summed)
    _forget(tar)
    contents.sums[name] = summed.digest.hexdigest()
    contents.n_bytes += member.size


def _add_file(tar: tarfile.TarFile, contents: Contents, path: Path, name: str) -> None:
    """Add a file, folder or link of a volume, with its owner and mode."""
    member = tar.gettarinfo(path, name)
    if member.isreg():
        with path.open("rb") as file:
            summed: Any = _Summed(file)
            tar.addfile(member, summed)
            contents.sums[name] = summed.digest.hexdigest()
            contents.n_bytes += member.size
    elif member.isdir() or member.issym() or member.islnk():
        tar.addfile(member)


def _keys(stored: Objects) -> Iterator[tuple[str, str]]:
    listed: Any = stored.ask("list", "s3://all", lambda s3: s3.list_buckets())
    for each in listed["Buckets"]:
        if f"/{each['Name']}" == objects.PROBE:
            continue
        yield each["Name"], ""
        with contextlib.suppress(MissingError):  # the bucket was deleted meanwhile
            for entry in stored.list(f"s3://{each['Name']}/"):
                yield entry.bucket, entry.key


def _add_bucket(tar: tarfile.TarFile, _contents: Contents, stored: Objects, bucket: str, _key: str) -> None:
    found: Any = stored.ask("list", f"s3://{bucket}", lambda s3: s3.get_bucket_versioning(Bucket=bucket))
    member = tarfile.TarInfo(f"objects/{bucket}")
    member.type, member.mode = tarfile.DIRTYPE, 0o700
    member.pax_headers = {VERSIONING: found["Status"]} if found.get("Status") else {}
    tar.addfile(member)


def _add_object(tar: tarfile.TarFile, contents: Contents, stored: Objects, bucket: str, key: str) -> None:
    uri, which = f"s3://{bucket}/{key}", {"Bucket": bucket, "Key": key}
    answer: Any = stored.ask("download", uri, lambda s3: s3.get_object(**which))
    headers = {header: answer[name] for name, header in HEADERS.items() if answer.get(name)}
    headers |= {METADATA: json.dumps(answer["Metadata"])} if answer.get("Metadata") else {}
    if answer.get("TagCount"):
        tags: Any = stored.ask("download", uri, lambda s3: s3.get_object_tagging(**which))
        headers[TAGGING] = urlencode([(each["Key"], each["Value"]) for each in tags["TagSet"]])
    with answer["Body"] as body:
        # the key whole in a header of its own: a key that ends in a slash, or has `..`, is no name of a file
        headers[KEY] = key
        name = f"objects/{bucket}/{hashlib.sha256(key.encode()).hexdigest()}"
        _add(tar, contents, name, body, headers=headers, n_bytes=answer["ContentLength"])
    contents.n_objects += 1


@contextlib.contextmanager
def store_of_objects(settings: Settings) -> Iterator[Objects]:
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
            process.wait()


def read(path: Path, settings: Settings) -> Contents:
    """Put a backup into an empty data folder, every byte checked against its sum.

    Raises
    ------
    SetupError
        The folder holds a Clary already, the file is no backup, or it is damaged.
    """
    folder = settings.data_dir
    if any((folder / name).exists() for name in (*KEYS, "clary.db", "objects")):
        raise SetupError(f"{folder} holds a Clary already; name an empty folder with --data-dir")
    verify(path)
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    contents = Contents()
    with _opened(path) as tar:
        few = [each for each in _members(tar) if not each.name.startswith("objects/")]
        for member in few:
            if (name := member.name.removeprefix("keys/")) in KEYS:
                _place(tar, member, folder / name)
        for member in few:
            if member.name == "store.db":
                _fill_store(tar, member, settings, contents)
            elif member.name.startswith("notebooks/"):
                tar.extract(member, folder, numeric_owner=True, filter="tar")
    with _opened(path) as tar, contextlib.ExitStack() as stack:
        stored: Objects | None = None
        for member in _members(tar):
            if member.name.startswith("objects/"):
                stored = stored or stack.enter_context(store_of_objects(settings))
                _put_object(tar, member, stored, contents)
    return contents


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield what a backup holds, one by one."""
    for member in tar:
        yield member
        _forget(tar)


def _forget(tar: Any) -> None:
    """Drop the members so far: nobody asks for them again, and there may be millions."""
    tar.members.clear()


def verify(path: Path) -> Contents:
    """Read a backup to its end and check every sum.

    Raises
    ------
    SetupError
        It is none, or it is damaged; the text names the member.
    """
    contents = Contents()
    sums: dict[str, str] = {}
    with _opened(path) as tar:
        for member in _members(tar):
            file = tar.extractfile(member) if member.isreg() else None
            if file is None:
                continue
            if member.name == "sums.json":
                sums = json.loads(file.read())
                continue
            summed = _Summed(file)
            while summed.read(CHUNK_BYTES):
                pass
            contents.sums[member.name] = summed.digest.hexdigest()
            contents.n_bytes += summed.n_bytes
            contents.n_objects += member.name.startswith("objects/")
    if "store.db" not in sums:
        raise SetupError(f"{path} is no backup of Clary, or it was cut off")
    wrong = [name for name, told in sums.items() if contents.sums.get(name) != told]
    if wrong:
        raise SetupError(f"{path} is damaged: {len(wrong)} members differ, the first is {wrong[0]}")
    return contents


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:") as tar:
            yield tar
    except (tarfile.TarError, EOFError) as error:
        raise SetupError(f"{path} is no backup of Clary, or it was cut off: {error}") from None
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror or error}") from None


def _place(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    source = tar.extractfile(member)
    assert source is not None
    path.parent.mkdir(mode=0o755, exist_ok=True)
    mode = 0o644 if path.suffix == ".pem" else 0o600  # a certificate is for everybody
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        while piece := source.read(CHUNK_BYTES):
            file.write(piece)


def _fill_store(
    tar: tarfile.TarFile, member: tarfile.TarInfo, settings: Settings, contents: Contents
) -> None:
    key = settings.data_dir / KEYS[0]
    with tempfile.TemporaryDirectory(prefix=".clary-restore-", dir=settings.data_dir) as scratch:
        copied = Path(scratch) / "store.db"
        _place(tar, member, copied)
        with Store.open(f"sqlite:///{copied}", key) as source, Store.open(settings.store_dsn, key) as target:
            contents.n_rows = sum(copying.copy(source, target).values())
            target.write(nodes.give_up_all, to_micros(now()))


def _put_object(tar: tarfile.TarFile, member: tarfile.TarInfo, stored: Objects, contents: Contents) -> None:
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
