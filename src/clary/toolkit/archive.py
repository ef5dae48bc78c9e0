"""Archives, `model.tar.gz` and the like: packed the same way twice, unpacked with care.

An archive comes from a customer: it must not write outside its folder, link out of it, make devices, or grow
without bound.
"""

import gzip
import io
import os
import posixpath
import shutil
import stat
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, BinaryIO

from clary.kernel.errors import CustomerError
from clary.toolkit import beneath

LEVEL = 3
"""Of compression: half of what level 6 costs, and within a few per cent of its size on model files."""
LIMIT_BYTES = 64 << 30
"""Unpacked length that is refused; a run's own disk is smaller."""
LIMIT_MEMBERS = 1_000_000
"""Members that are refused: about what a file system takes in minutes."""
LONGEST_HEADER = 8 << 20
"""Longest single read of tarfile that is honest; an extended header of more is an attack."""
COPY_BYTES = 1 << 20


class _Guard(io.RawIOBase):
    """Counts what gzip yields, and refuses what no honest archive asks for."""

    def __init__(self, inner: gzip.GzipFile, limit_bytes: int, what: str) -> None:
        self._inner = inner
        self._left = limit_bytes
        self._what = what
        self._at = 0

    def read(self, size: int = -1, /) -> bytes:
        if size < 0 or size > LONGEST_HEADER:
            raise CustomerError(f"{self._what} is damaged: it has a header of {size} bytes")
        piece = self._inner.read(size)
        self._at += len(piece)
        self._left -= len(piece)
        if self._left < 0:
            raise CustomerError(f"{self._what} unpacks to more than is allowed")
        return piece

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence != io.SEEK_SET or offset < self._at:
            raise CustomerError(f"{self._what} is damaged: it points backwards")
        while self._at < offset:
            if not self.read(min(COPY_BYTES, offset - self._at)):
                break
        return self._at


def unpack(
    source: BinaryIO,
    folder: Path,
    *,
    what: str,
    limit_bytes: int = LIMIT_BYTES,
    limit_members: int = LIMIT_MEMBERS,
) -> int:
    """Unpack a gzipped tar into `folder`; return the number of members.

    Parameters
    ----------
    source : binary file
    folder : Path
        Made where missing; nobody else may write it meanwhile.
    what : str
        How the customer knows the archive: its URI.

    Raises
    ------
    CustomerError
        Not a gzipped tar, damaged, or with a member that reaches outside; the text names the member.
    """
    magic = source.read(2)
    if magic != b"\x1f\x8b":
        seen = "is empty" if not magic else f"begins with {magic!r}"
        raise CustomerError(
            f"{what} is not a gzip archive: it {seen}. It must be a tar archive compressed by gzip."
        )
    source.seek(0)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with gzip.GzipFile(fileobj=source) as inflated:
            guard = _Guard(inflated, limit_bytes + limit_members * 2048, what)
            with tarfile.TarFile(fileobj=guard) as tar:
                return _extract(tar, folder, what, limit_bytes, limit_members)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeError, ValueError) as error:
        raise CustomerError(f"{what} is damaged, or not a tar archive compressed by gzip: {error}") from error


def _extract(tar: tarfile.TarFile, folder: Path, what: str, limit_bytes: int, limit_members: int) -> int:
    links: list[tuple[tarfile.TarInfo, Path]] = []
    written = count = 0
    for member in tar:
        count += 1
        written += member.size
        if count > limit_members:
            raise CustomerError(f"{what} has more than the {limit_members} members that are allowed")
        if written > limit_bytes:
            raise CustomerError(f"{what} unpacks to more than the {limit_bytes} bytes that are allowed")
        path = _place(folder, member.name, what)
        if path == folder and member.isdir():
            continue
        if member.issym() or member.islnk():
            links.append((member, path))
        elif member.isdir():
            _make_way(folder, path, what)
            path.mkdir(exist_ok=True)
        elif member.isreg():
            _write(tar, member, folder, path, what)
        else:
            raise CustomerError(f'{what} has the member "{member.name}", which is a device or a pipe')
    _link(links, folder, what)
    return count


def _place(folder: Path, name: str, what: str) -> Path:
    """Return where a member goes."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if name.startswith("/"):
        raise CustomerError(f'{what} has the member "{name}", whose name is absolute')
    if ".." in parts or "\0" in name:
        raise CustomerError(f'{what} has the member "{name}", which leads out of the archive')
    return folder.joinpath(*parts)


def _make_way(folder: Path, path: Path, what: str) -> None:
    """Make the parents of `path`, real folders all of them, and clear its place of a former member."""
    here = folder
    for part in path.relative_to(folder).parts[:-1]:
        here = here / part
        if not here.exists() and not here.is_symlink():
            here.mkdir()
        elif not stat.S_ISDIR(here.lstat().st_mode):
            raise CustomerError(f'{what} has "{here.relative_to(folder)}" both as a file and as a folder')
    if path.is_symlink() or path.is_file():
        path.unlink()


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, path: Path, what: str) -> None:
    _make_way(folder, path, what)
    if path.is_dir():
        raise CustomerError(f'{what} has "{member.name}" both as a file and as a folder')
    content = tar.extractfile(member)
    mode = 0o755 if member.mode & 0o100 else 0o644
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        if content is not None:
            shutil.copyfileobj(content, file, COPY_BYTES)


def _link(links: Sequence[tuple[tarfile.TarInfo, Path]], folder: Path, what: str) -> None:
    """Make the links last, so that no member is ever written through one, and check where they end."""
    real = folder.resolve()
    made = []
    for member, path in links:
        _make_way(folder, path, what)
        if path.is_dir():
            raise CustomerError(f'{what} has "{member.name}" both as a link and as a folder')
        if member.issym():
            path.symlink_to(member.linkname)
            made.append((member, path))
            continue
        source = _place(folder, member.linkname, what)
        inside = source.parent.resolve() == real or real in source.parent.resolve().parents
        if not inside or source.is_symlink() or not source.is_file():
            raise CustomerError(
                f'{what} has the hard link "{member.name}" to "{member.linkname}", which it lacks'
            )
        os.link(source, path)
    for member, path in made:
        if posixpath.isabs(member.linkname) or not path.resolve().is_relative_to(real):
            for _, each in made:
                each.unlink(missing_ok=True)
            raise CustomerError(
                f'{what} has the link "{member.name}" to "{member.linkname}", outside the archive'
            )


def pack(target: IO[bytes], roots: Sequence[Path], *, inside: str = "") -> list[str]:
    """Pack the files below `roots` into a gzipped tar; return the names that were left out.

    Parameters
    ----------
    target : binary file
    roots : sequence of Path
        Members are named relative to these; of two with the same name the first stays.
    inside : str
        Where the job sees the roots: absolute links to it become relative.

    Notes
    -----
    Owners, times and order are the same on every machine, so that equal folders give equal archives. Links
    that lead out of the folder, devices, pipes and sockets are left out.
    """
    left_out: list[str] = []
    seen: set[str] = set()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=target, compresslevel=LEVEL, mtime=0) as squeezed,
        io.BufferedWriter(squeezed, COPY_BYTES) as buffered,
        tarfile.TarFile(fileobj=buffered, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for root in roots:
            for found in beneath.walk(root):
                if found.name in seen:
                    continue
                seen.add(found.name)
                if not _add(tar, root, found, inside):
                    left_out.append(found.name)
    return left_out


def _add(tar: tarfile.TarFile, root: Path, found: beneath.Found, inside: str) -> bool:
    """Add one member; False where it must stay behind."""
    member = tarfile.TarInfo(found.name)
    member.mode = 0o755 if found.is_folder or found.mode & 0o100 else 0o644
    if found.is_folder:
        member.type = tarfile.DIRTYPE
        tar.addfile(member)
    elif found.is_file:
        try:
            file = beneath.open_file(root, found.name)
        except OSError:
            return False
        with file:
            member.size = os.fstat(file.fileno()).st_size
            tar.addfile(member, file)
    elif found.is_link and (target := _relative_target(found, inside)):
        member.type = tarfile.SYMTYPE
        member.linkname = target
        tar.addfile(member)
    else:
        return False
    return True


def _relative_target(found: beneath.Found, inside: str) -> str:
    """Return a link's target, relative to the link; empty where it leads out."""
    here = posixpath.dirname(found.name)
    target = found.target
    if posixpath.isabs(target):
        if not inside or not target.startswith(f"{inside}/"):
            return ""
        target = posixpath.relpath(target.removeprefix(f"{inside}/"), here or ".")
    if posixpath.normpath(posixpath.join(here, target)).split("/")[0] == "..":
        return ""
    return target
