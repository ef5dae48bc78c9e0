"""Objects of S3 kept on the host: trials of one tuning job read a channel once.

    LIST says bucket, key, size, ETag ──digest──▶ <cache>/<account>/<digest>   (a file, no link into a job)

A hit is a reflink where the file system has them, else a copy inside the kernel: a job owns its files and may
write to them, so it never gets a name of the cache's own. Each use is preceded by the job's own LIST, with
the job's own credentials: an object that has changed has another ETag, one that is gone or denied is not
listed.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from clary.toolkit.objects import Entry, Objects

LIMIT_BYTES = 8 << 30
"""What the objects of one account may take."""
FREE_SHARE = 0.1
"""The disk keeps so much free: beyond that nothing is kept."""
FICLONE = 0x40049409
"""Source: linux/fs.h."""


class ObjectCache:
    """Downloads through a folder of the host.

    Parameters
    ----------
    folder : Path
        Of one account, closed to jobs.
    limit_bytes : int
        The least recently used objects give way beyond it; one of more than a quarter is not kept.

    Promises
    --------
    - `fetch` leaves the same files as `Objects.fetch`, each of its own, whatever the cache holds.
    - A cache that cannot be read or written slows a job down and does nothing else.
    - Any number of processes may share the folder.
    """

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes

    def fetch(self, objects: Objects, wanted: Iterable[tuple[Entry, Path]]) -> int:
        """Bring objects to their places, from the cache where they are known; return the bytes written."""
        missing: list[tuple[Entry, Path]] = []
        n_bytes = 0
        for entry, path in wanted:
            found = self._take(entry, path)
            if found is None:
                missing.append((entry, path))
            else:
                n_bytes += found
        if missing:
            n_bytes += objects.fetch(missing)
            self._keep(missing)
        return n_bytes

    def _take(self, entry: Entry, path: Path) -> int | None:
        """Copy an object from the cache to a new file; None where it is not there."""
        kept = self._place(entry)
        if kept is None or path.exists():
            return None  # a clash of names is told by the download
        try:
            with kept.open("rb") as source:
                if os.fstat(source.fileno()).st_size != entry.size:
                    return None
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as target:
                    copy(source.fileno(), target.fileno(), entry.size or 0)
            os.utime(kept)
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        return entry.size

    def _keep(self, fetched: Sequence[tuple[Entry, Path]]) -> None:
        """Copy what was downloaded into the cache; the oldest gives way."""
        chosen = [(kept, path) for entry, path in fetched if (kept := self._place(entry)) is not None]
        if not chosen:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for kept, path in chosen:
                size = path.stat().st_size
                if size > self._limit_bytes // 4 or self._is_disk_full(size):
                    continue
                self._add(kept, path, size)
            self._trim()

    def _add(self, kept: Path, path: Path, size: int) -> None:
        number, beside = tempfile.mkstemp(dir=self._folder, prefix=".new-")
        try:
            with os.fdopen(number, "wb") as target, path.open("rb") as source:
                copy(source.fileno(), target.fileno(), size)
            os.replace(beside, kept)
        except OSError:
            os.unlink(beside)
            raise

    def _trim(self) -> None:
        files = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # another process was quicker
                    known = entry.stat()
                    files.append((known.st_mtime_ns, known.st_size, entry.path))
        total = sum(size for _at, size, _path in files)
        for _at, size, path in sorted(files):
            if total <= self._limit_bytes:
                return
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            total -= size

    def _is_disk_full(self, size: int) -> bool:
        disk = shutil.disk_usage(self._folder)
        return disk.free - size < FREE_SHARE * disk.total

    def _place(self, entry: Entry) -> Path | None:
        """Return the object's file; None for one whose content nothing tells apart."""
        if not entry.etag or entry.size is None:
            return None
        mark = "\0".join((entry.bucket, entry.key, str(entry.size), entry.etag))
        return self._folder / hashlib.sha256(mark.encode()).hexdigest()


def copy(source: int, target: int, size: int) -> None:
    """Copy a file to an empty one: shared blocks where the file system has them, else within the kernel."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError:
        at = 0
        while at < size:
            n = _copy_range(source, target, size - at)
            if not n:
                raise OSError("the file is shorter than it was") from None
            at += n


def _copy_range(source: int, target: int, n: int) -> int:
    try:
        return os.copy_file_range(source, target, n)
    except (OSError, AttributeError):  # another file system, or another system
        return os.write(target, os.read(source, min(n, 1 << 20)))
