"""Log files of the processes: appended by the child itself, rotated by size.

The child writes into the file, not into a pipe of the supervisor's: its last words are there whoever dies
first, and a busy supervisor never blocks it. Rotation copies and truncates, which appending writers follow.
"""

import os
import shutil
from pathlib import Path

MAX_BYTES = 8 * 1024 * 1024
N_OLD = 3


def open_for_append(path: Path) -> int:
    """Return a descriptor that appends to `path`, readable by the owner only."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def made(path: Path) -> Path:
    """Return `path`, made where it is missing, readable by the owner only."""
    os.close(open_for_append(path))
    return path


def rotate(path: Path, *, max_bytes: int = MAX_BYTES, n_old: int = N_OLD) -> bool:
    """Move what is in `path` to `path.1` (and that to `path.2` …) when it outgrew `max_bytes`."""
    try:
        if path.stat().st_size <= max_bytes:
            return False
    except FileNotFoundError:
        return False
    for n in range(n_old, 1, -1):
        older = path.with_name(f"{path.name}.{n - 1}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{n}"))
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    path.with_name(f"{path.name}.1").chmod(0o600)
    os.truncate(path, 0)
    return True


def last_lines(path: Path, n_lines: int, *, since: int = 0) -> list[str]:
    """Return the last lines of `path` that are not blank, of those written after byte `since`."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 16_384, since if since <= size else 0))  # beyond the end: rotated meanwhile
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [line.rstrip() for line in lines if line.strip()][-n_lines:]
