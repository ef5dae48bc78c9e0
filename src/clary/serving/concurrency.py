"""How many invocations are in flight at all edges together: a slot for each edge in one shared file.

pid u32 │ in flight u32      64 slots; each edge writes its own and reads all
"""

import fcntl
import mmap
import os
from pathlib import Path
from struct import Struct

SLOTS = 64
_SLOT = Struct("<II")


class SharedCount:
    """One count; a slot of a process that has ended counts for nothing."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.ftruncate(descriptor, SLOTS * _SLOT.size)
            self._map = mmap.mmap(descriptor, SLOTS * _SLOT.size)
            self._mine = self._claim()
        finally:
            os.close(descriptor)
        self.n = 0
        """In flight here."""

    def _claim(self) -> int:
        me = os.getpid()
        for slot in range(SLOTS):
            pid, _n = _SLOT.unpack_from(self._map, slot * _SLOT.size)
            if pid in {0, me} or not _is_alive(pid):
                _SLOT.pack_into(self._map, slot * _SLOT.size, me, 0)
                return slot
        raise OSError(f"more than {SLOTS} edges share one count")

    def total(self) -> int:
        """Return how many are in flight everywhere."""
        return sum(n for pid, n in _SLOT.iter_unpack(self._map) if pid)

    def add(self, n: int) -> None:
        """Count `n` more here, or fewer."""
        self.n = max(0, self.n + n)
        _SLOT.pack_into(self._map, self._mine * _SLOT.size, os.getpid(), self.n)

    def tidy(self) -> None:
        """Strike the counts of processes that have ended."""
        for slot in range(SLOTS):
            pid, n = _SLOT.unpack_from(self._map, slot * _SLOT.size)
            if n and not _is_alive(pid):
                _SLOT.pack_into(self._map, slot * _SLOT.size, 0, 0)

    def close(self) -> None:
        """Let go of the slot."""
        _SLOT.pack_into(self._map, self._mine * _SLOT.size, 0, 0)
        self._map.close()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
