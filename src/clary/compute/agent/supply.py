"""Models for a multi-model replica: brought in when it asks for them, kept on disk while there is room.

replica, in its sandbox ──{"want": "a.tar.gz"}──▶ unix socket ──▶ S3 ──▶ models/<digest>-<version>/model
                        ◀──{"folder": …}───────┘                          (read-only inside)
"""

import contextlib
import hashlib
import json
import logging
import shutil
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.compute.agent.staging import fetch_archive
from clary.kernel.clock import epoch_ms
from clary.kernel.errors import CustomerError
from clary.toolkit.objects import Objects, split_uri

SOCKET = "supply.sock"
DISK_BYTES = 8 << 30
"""Of models that are not loaded any more, for when they are asked for again."""
SPARE_BYTES = 1 << 30
"""Of the disk, that models leave free."""
MOST_LINE = 1 << 16

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Kept:
    """One model on disk."""

    folder: str
    n_bytes: int
    n_users: int = 0
    used: float = 0.0


class Supplier:
    """Brings in the models below one S3 prefix."""

    def __init__(
        self, prefix: str, folder: Path, work: Path, objects: Objects, tell: Callable[[str, int, float], None]
    ) -> None:
        self._prefix = prefix if prefix.endswith("/") else f"{prefix}/"
        self._folder = folder
        self._work = work
        self._objects = objects
        self._tell = tell
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._n = 0

    @contextmanager
    def open(self, path: Path) -> Iterator[None]:
        """Answer on a unix socket while the block runs."""
        path.unlink(missing_ok=True)
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        door.bind(str(path))
        path.chmod(0o666)  # the program's user is another; the folder is this run's alone
        door.listen(128)
        threading.Thread(target=self._attend, args=(door,), name="supply", daemon=True).start()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)
            door.close()
            path.unlink(missing_ok=True)

    def _attend(self, door: socket.socket) -> None:
        while True:
            try:
                line, _ = door.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(line,), daemon=True).start()

    def _answer(self, line: socket.socket) -> None:
        with line, contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            with line.makefile("rb") as questions:
                question = json.loads(questions.readline(MOST_LINE))
            line.sendall(json.dumps(self.answer(question)).encode() + b"\n")

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one question."""
        if "want" in question:
            return self.fetch(str(question["want"]))
        if "release" in question:
            self.release(str(question["release"]))
        for name, value in (question.get("metrics") or {}).items():
            self._tell(str(name), epoch_ms(), float(value))
        return {}

    def fetch(self, name: str) -> dict[str, Any]:
        """Bring a model in, unless the disk has this very version of it."""
        uri = self._prefix + name.removeprefix("/")
        bucket, key = split_uri(uri)
        gone = (
            f"Failed to download model data(bucket: {bucket}, key: {key}). Please ensure that there is an "
            "object located at the URL and that the role passed to CreateModel has permissions to download "
            "the model."
        )
        try:
            if any(part in {"", ".", ".."} for part in key.split("/")):
                return {"missing": gone}
            listed = next(self._objects.list(uri), None)
            if listed is None or listed.key != key:
                return {"missing": gone}
            label = hashlib.sha256(f"{key}\n{listed.etag}\n{listed.size}".encode()).hexdigest()[:24]
            return self._shown(label) or self._bring_in(uri, label, listed.size or 0)
        except CustomerError as error:
            log.warning("%s: %s", uri, error)
            return {"missing": f"{gone} {error}"}

    def _shown(self, label: str) -> dict[str, Any] | None:
        with self._lock:
            kept = self._kept.get(label)
            if kept is None:
                return None
            kept.n_users += 1
            kept.used = time.monotonic()
            return {"folder": kept.folder, "n_bytes": kept.n_bytes}

    def _bring_in(self, uri: str, label: str, size: int) -> dict[str, Any]:
        self._make_room(4 * size)
        with self._lock:
            self._n += 1
            name = f"{label}-{self._n}"
        folder, work = self._folder / name, self._work / name
        work.mkdir(parents=True)
        try:
            (folder / "model").mkdir(parents=True)
            fetch_archive(self._objects, uri, folder / "model", work)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
        n_bytes = _opened(folder)
        with self._lock:
            kept = self._kept.get(label)
            if kept is None:  # else another question brought it in meanwhile
                kept = self._kept[label] = _Kept(name, n_bytes)
        if kept.folder != name:
            shutil.rmtree(folder, ignore_errors=True)
        shown = self._shown(label)
        return shown if shown is not None else self._bring_in(uri, label, size)

    def release(self, folder: str) -> None:
        """Hear that a model is not loaded any more; its files may go when room is needed."""
        with self._lock:
            for kept in self._kept.values():
                if kept.folder == folder:
                    kept.n_users = max(0, kept.n_users - 1)

    def _make_room(self, n_bytes: int) -> None:
        """Delete what has not been loaded for the longest time, until there is room."""
        while True:
            free = shutil.disk_usage(self._folder).free
            with self._lock:
                idle = [label for label, kept in self._kept.items() if not kept.n_users]
                total = sum(self._kept[label].n_bytes for label in idle)
                if not idle or (total <= DISK_BYTES and free - n_bytes > SPARE_BYTES):
                    return
                gone = self._kept.pop(min(idle, key=lambda label: self._kept[label].used))
            shutil.rmtree(self._folder / gone.folder, ignore_errors=True)


def _opened(folder: Path) -> int:
    """Let the program's user read what was unpacked; return its size."""
    n_bytes = 0
    for each in (folder, *folder.rglob("*")):
        found = each.lstat()
        if not stat.S_ISLNK(found.st_mode):
            each.chmod(stat.S_IMODE(found.st_mode) | (0o555 if each.is_dir() else 0o444))
            n_bytes += found.st_size
    return n_bytes
