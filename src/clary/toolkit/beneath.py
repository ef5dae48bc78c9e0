"""Files below a folder that somebody else may write: nothing here follows a link out of it.

A job owns its `/opt/ml`, and the agent that reads it has more rights than the job: every step down is opened
without following links, so that a link planted there reaches nothing of the server's.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Without `O_NONBLOCK` a planted FIFO would hold the reader for ever."""


@dataclass(frozen=True, slots=True)
class Found:
    """One thing below a folder."""

    name: str
    """Relative, with `/`."""
    mode: int
    size: int
    stamp: tuple[int, int, int]
    """Inode, modification time in ns and size: equal stamps mean an unchanged file."""
    target: str = ""
    """Of a link, as written."""

    @property
    def is_file(self) -> bool:
        """A regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_folder(self) -> bool:
        """A folder."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        """A symbolic link."""
        return stat.S_ISLNK(self.mode)


def walk(root: Path) -> Iterator[Found]:
    """Yield what is below `root`, sorted, folders before what they hold; nothing where `root` is missing."""
    if not root.is_dir():
        return
    for folder, folders, files, descriptor in os.fwalk(root, onerror=lambda _: None):
        folders.sort()
        base = os.path.relpath(folder, root)
        for name in sorted([*folders, *files]):
            try:
                found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                target = os.readlink(name, dir_fd=descriptor) if stat.S_ISLNK(found.st_mode) else ""
            except OSError:
                continue  # gone between the listing and the look
            yield Found(
                name if base == "." else f"{base}/{name}",
                found.st_mode,
                found.st_size,
                (found.st_ino, found.st_mtime_ns, found.st_size),
                target,
            )


def open_file(root: Path, name: str) -> BinaryIO:
    """Open the regular file `name` below `root` for reading.

    Raises
    ------
    OSError
        It is missing, no regular file, or reached only through a link.
    """
    *folders, last = [part for part in name.split("/") if part]
    if ".." in (*folders, last):
        raise PermissionError(f"{name!r} leads out of its folder")
    here = os.open(root, _FOLDER)
    try:
        for folder in folders:
            below = os.open(folder, _FOLDER, dir_fd=here)
            os.close(here)
            here = below
        descriptor = os.open(last, _FILE, dir_fd=here)
    finally:
        os.close(here)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PermissionError(f"{name!r} is not a regular file")
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "rb")


def read_text(root: Path, name: str, limit_bytes: int) -> str:
    """Return the beginning of a text file below `root`; empty where there is none."""
    try:
        with open_file(root, name) as file:
            return file.read(limit_bytes).decode(errors="replace")
    except OSError:
        return ""


def is_empty(root: Path) -> bool:
    """Return whether nothing but folders is below `root`."""
    return all(found.is_folder for found in walk(root))
