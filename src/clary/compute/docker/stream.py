"""What a container writes: Docker's stream of stdout and stderr in one, taken apart.

u8 stream (1 stdout, 2 stderr) │ 3 bytes of nothing │ u32 length, big-endian │ bytes
"""

from collections.abc import Callable
from struct import Struct
from typing import Protocol

STDERR = 2
_PREFIX = Struct(">BxxxI")


class Source(Protocol):
    """Whatever bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        ...


def copy(source: Source, write: Callable[[bool, bytes], None]) -> None:
    """Hand on all that comes, until it ends; `write` is told whether it is stderr's."""
    while prefix := exactly(source, _PREFIX.size):
        number, left = _PREFIX.unpack(prefix)
        piece = exactly(source, left)
        write(number == STDERR, piece)
        if len(piece) < left:
            return


def exactly(source: Source, length: int) -> bytes:
    """Return `length` bytes; fewer where it ends before, and none where it ends at once or in a prefix."""
    found = source.read(length)
    while 0 < len(found) < length:
        more = source.read(length - len(found))
        if not more:
            return b"" if length == _PREFIX.size else found
        found += more
    return found
