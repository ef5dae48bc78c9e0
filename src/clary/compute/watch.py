"""Waiting for many processes and folders at once: pidfds and inotify on Linux, a slow look elsewhere."""

import contextlib
import errno
import os
import selectors
import struct
import threading
from pathlib import Path

from clary.compute import linux

_IN_MOVED_TO = 0x80
_IN_ONLYDIR = 0x01000000
_EVENT = struct.Struct("iIII")
LOOK_EVERY_S = 0.25
"""How often to look where the system tells nothing."""


class Watch:
    """Turns ends of processes and renames into folders into the names they were watched under."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._is_closed = False
        self._read_wake, self._write_wake = os.pipe()
        for end in (self._read_wake, self._write_wake):
            os.set_blocking(end, False)
        self._selector.register(self._read_wake, selectors.EVENT_READ)
        self._inotify = _inotify()
        if self._inotify is not None:
            self._selector.register(self._inotify, selectors.EVENT_READ)
        self._folders: dict[int, tuple[Path, str]] = {}
        self._processes: dict[int, tuple[int, str]] = {}
        self._looked_at: set[str] = set()
        """Names that the system does not tell about."""

    def process(self, pid: int, name: str) -> None:
        """Report `name` when `pid` ends; for a pid that is gone, at once."""
        with self._lock:
            if self._is_closed or (pid, name) in self._processes.values():
                return
            try:
                descriptor = os.pidfd_open(pid)
            except (AttributeError, OSError):  # gone already, or not Linux
                self._looked_at.add(name)
                return
            self._processes[descriptor] = (pid, name)
            self._selector.register(descriptor, selectors.EVENT_READ)
        self.wake()

    def folder(self, path: Path, name: str) -> None:
        """Report `name` when a file is renamed into `path`."""
        with self._lock:
            if self._inotify is None or self._is_closed:
                self._looked_at.add(name)
                return
            try:
                number = linux.inotify_add(self._inotify, path, _IN_MOVED_TO | _IN_ONLYDIR)
            except OSError:  # no more watches allowed
                self._looked_at.add(name)
                return
            self._folders[number] = (path, name)

    def forget(self, name: str) -> None:
        """Watch nothing under `name` any more."""
        with self._lock:
            if self._is_closed:
                return
            self._looked_at.discard(name)
            for descriptor in [fd for fd, (_, other) in self._processes.items() if other == name]:
                self._drop(descriptor)
            for number in [number for number, (_, other) in self._folders.items() if other == name]:
                del self._folders[number]
                if self._inotify is not None:
                    linux.inotify_remove(self._inotify, number)

    def wake(self) -> None:
        """Have `wait` return."""
        with self._lock, contextlib.suppress(BlockingIOError):
            if not self._is_closed:
                os.write(self._write_wake, b"1")

    def wait(self, timeout_s: float) -> set[str]:
        """Wait for something to happen, and return the names that it happened to."""
        with self._lock:
            names = set(self._looked_at)
        found: set[str] = names
        for key, _ in self._selector.select(min(timeout_s, LOOK_EVERY_S) if names else timeout_s):
            if key.fd == self._read_wake:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._read_wake, 4096)
            elif key.fd == self._inotify:
                found |= self._renamed(self._inotify)
            else:
                with self._lock:
                    if key.fd in self._processes:
                        found.add(self._processes[key.fd][1])
                        self._drop(key.fd)
        return found

    def close(self) -> None:
        """Free the descriptors."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            for descriptor in list(self._processes):
                self._drop(descriptor)
            self._selector.close()
            for end in (self._read_wake, self._write_wake, self._inotify):
                if end is not None:
                    os.close(end)

    def _drop(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)
        del self._processes[descriptor]
        os.close(descriptor)

    def _renamed(self, inotify: int) -> set[str]:
        try:
            events = os.read(inotify, 65536)
        except BlockingIOError:
            return set()
        names: set[str] = set()
        at = 0
        with self._lock:
            while at + _EVENT.size <= len(events):
                number, _, _, length = _EVENT.unpack_from(events, at)
                at += _EVENT.size + length
                if number in self._folders:
                    names.add(self._folders[number][1])
        return names


def _inotify() -> int | None:
    if not linux.IS_LINUX:
        return None
    try:
        return linux.inotify_open()
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENOSYS, errno.ENFILE}:
            return None
        raise
