"""Lines of a training channel's text files, in blocks, with their numbers; gzip or not."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clary.algorithms._feed import files_of
from clary.kernel.errors import CustomerError
from clary.toolkit.formats.base import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.algorithms.base import Source

BLOCK_BYTES = 16 << 20
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines of one file."""

    channel: str
    file: str
    """As errors name it: `train/part-0`."""
    first: int
    """Number of the first line; a file's first is 1."""
    lines: list[bytes]

    def fault(self, place: int, what: str) -> CustomerError:
        """Return the error that says what is wrong with the line at `place`."""
        return CustomerError(
            f"Unable to read data channel '{self.channel}': {self.file}, line {self.first + place}: {what}"
        )


def lines_of(source: Source) -> Iterator[Lines]:
    """Yield a channel's lines, file by file.

    Raises
    ------
    CustomerError
        A file claims to be gzip and is not.
    """
    for path in files_of(source):
        name = shown(path, source.path if source.path.is_dir() else None)
        first, rest = 1, b""
        with path.open("rb") as plain:
            stream = gzip.GzipFile(fileobj=plain) if plain.peek(2)[:2] == _GZIP else plain
            try:
                while block := stream.read(BLOCK_BYTES):
                    *lines, rest = (rest + block).split(b"\n")
                    yield Lines(source.name, name, first, lines)
                    first += len(lines)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise CustomerError(
                    f"Unable to read data channel '{source.name}': {name} is damaged: {error}"
                ) from error
        if rest:
            yield Lines(source.name, name, first, [rest])
