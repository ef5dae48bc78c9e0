"""Folders kept in step with S3 while a program writes them: checkpoints, intermediate output."""

import logging
import threading
from pathlib import Path

from clary.kernel.errors import CustomerError
from clary.toolkit import beneath
from clary.toolkit.object_faults import CancelledError, ObjectsUnavailableError
from clary.toolkit.objects import Objects

EVERY_S = 2.0
"""Between two looks; a file goes up when two looks in a row saw it the same."""

log = logging.getLogger(__name__)


class FolderSync:
    """Copies what changes below a folder to S3; nothing is ever deleted there."""

    def __init__(self, objects: Objects, folder: Path, uri: str) -> None:
        self._objects = objects
        self._folder = folder
        self._uri = uri.rstrip("/")
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._sent: dict[str, tuple[int, int, int]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sync", daemon=True)

    def restore(self) -> int:
        """Download what is in S3 before the program starts; return the number of files."""
        prefix = f"{self._uri}/"
        _, _, key = prefix.removeprefix("s3://").partition("/")
        wanted = []
        for entry in self._objects.list(prefix):
            name = entry.key[len(key) :]
            if name and not name.endswith("/") and ".." not in name.split("/"):
                wanted.append((entry, self._folder / name))
        self._objects.fetch(wanted)
        self._sent = {found.name: found.stamp for found in beneath.walk(self._folder) if found.is_file}
        return len(wanted)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def finish(self) -> None:
        """End looking, and copy what has changed since; the program must have ended.

        Raises
        ------
        CustomerError, ObjectsUnavailableError
            The last files could not be written.
        """
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        self.sweep(is_last=True)

    def _run(self) -> None:
        while not self._end.wait(EVERY_S):
            try:
                self.sweep()
            except (CustomerError, ObjectsUnavailableError, OSError) as error:
                log.warning("%s cannot be copied to %s: %s", self._folder, self._uri, error)
            except CancelledError:
                return

    def sweep(self, *, is_last: bool = False) -> list[str]:
        """Look once; return the names that were copied."""
        seen = {found.name: found.stamp for found in beneath.walk(self._folder) if found.is_file}
        steady = (
            seen if is_last else {name: each for name, each in seen.items() if self._seen.get(name) == each}
        )
        self._seen = seen
        copied = []
        for name, stamp in steady.items():
            if self._sent.get(name) == stamp:
                continue
            try:
                with beneath.open_file(self._folder, name) as file:
                    self._objects.upload(f"{self._uri}/{name}", file)
            except OSError:
                continue  # renamed or removed meanwhile
            self._sent[name] = stamp
            copied.append(name)
        return copied
