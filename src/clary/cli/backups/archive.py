"""The file that a backup is: members of a tar, and the sum of each."""

import contextlib
import hashlib
import os
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from clary.kernel.errors import SetupError
from clary.toolkit.object_faults import MissingError
from clary.toolkit.objects import AWAY

KEYS = ("secret.key", "credentials.json", "certificates/ca.pem", "certificates/ca.key")
PREFIX = "CLARY."
HEADERS = {
    "ContentType": "CLARY.content-type",
    "ContentEncoding": "CLARY.content-encoding",
    "ContentLanguage": "CLARY.content-language",
    "ContentDisposition": "CLARY.content-disposition",
    "CacheControl": "CLARY.cache-control",
}
"""Members of an object's answer, and the header of the tar's member that keeps each."""
# the key whole in a header of its own: a key that ends in a slash, or has `..`, is no name of a file
KEY, METADATA, TAGGING, VERSIONING = "CLARY.key", "CLARY.metadata", "CLARY.tagging", "CLARY.versioning"
N_TRIES = 3


@dataclass
class Contents:
    """What a backup holds."""

    n_rows: int = 0
    n_objects: int = 0
    n_bytes: int = 0
    sums: dict[str, str] = field(default_factory=dict)


class Summed:
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


def added(tar: tarfile.TarFile, what: str, add: Callable[[], None]) -> None:
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


def add(
    tar: tarfile.TarFile,
    contents: Contents,
    name: str,
    file: IO[bytes],
    *,
    headers: Mapping[str, str] | None = None,
    n_bytes: int | None = None,
) -> None:
    """Add a file as a member; `n_bytes` of it where it does not know its length."""
    member = tarfile.TarInfo(name)
    member.mode, member.mtime = 0o600, int(time.time())
    member.size = file.seek(0, os.SEEK_END) if n_bytes is None else n_bytes
    member.pax_headers = dict(headers or {})
    if n_bytes is None:
        file.seek(0)
    summed: Any = Summed(file)
    tar.addfile(member, summed)
    _forget(tar)
    contents.sums[name] = summed.digest.hexdigest()
    contents.n_bytes += member.size


def add_file(tar: tarfile.TarFile, contents: Contents, path: Path, name: str) -> None:
    """Add a file, folder or link of a volume, with its owner and mode."""
    member = tar.gettarinfo(path, name)
    if member.isreg():
        with path.open("rb") as file:
            summed: Any = Summed(file)
            tar.addfile(member, summed)
            contents.sums[name] = summed.digest.hexdigest()
            contents.n_bytes += member.size
    elif member.isdir() or member.issym() or member.islnk():
        tar.addfile(member)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tarfile.TarFile]:
    """Lend a backup to read.

    Raises
    ------
    SetupError
        It is none, it was cut off, or it cannot be read.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            yield tar
    except (tarfile.TarError, EOFError) as error:
        raise SetupError(f"{path} is no backup of Clary, or it was cut off: {error}") from None
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror or error}") from None


def members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield what a backup holds, one by one."""
    for member in tar:
        yield member
        _forget(tar)


def _forget(tar: Any) -> None:
    """Drop the members so far: nobody asks for them again, and there may be millions."""
    tar.members.clear()
