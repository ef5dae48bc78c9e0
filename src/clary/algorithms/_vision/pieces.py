"""Where the pictures of a channel lie: files of their own, or stretches of RecordIO files; none is read yet.

What comes through a FIFO is written to a folder of the job's first, so that it can be read in any order and
as often as there are epochs.
"""

from __future__ import annotations

import shutil
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from clary.algorithms._feed import files_of
from clary.kernel.errors import CustomerError
from clary.toolkit import image_records, recordio
from clary.toolkit.recordio import RecordIOError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.algorithms.base import Source

RECORDIO = "application/x-recordio"
_END_BYTES = 4096
_HEAD_BYTES = image_records.HEAD_BYTES + 4 * image_records.MOST_LABELS


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, or a stretch of one."""

    path: Path
    name: str
    """As messages say it: `train/part, record 3`."""
    spans: tuple[tuple[int, int], ...] = ()
    """Place and length of each part; the whole file without."""
    skip: int = 0
    """Bytes in front that are none of the picture."""

    def read(self) -> bytes:
        """Return its bytes."""
        if not self.spans:
            return self.path.read_bytes()
        with self.path.open("rb") as stream:
            parts = []
            for at, length in self.spans:
                stream.seek(at)
                parts.append(stream.read(length))
        return recordio.joined(parts)[self.skip :]

    def mark(self) -> tuple[int, int]:
        """Return numbers that hardly two pictures share: by them an order comes that files do not make."""
        if not self.spans:
            return 0, zlib.crc32(self.name.encode())
        at, length = self.spans[-1]
        n_bytes = min(length, _END_BYTES)
        with self.path.open("rb") as stream:
            stream.seek(at + length - n_bytes)
            return sum(size for _, size in self.spans), zlib.crc32(stream.read(n_bytes))

    def front(self, n_bytes: int) -> bytes:
        """Return its first bytes."""
        if not self.spans:
            with self.path.open("rb") as stream:
                return stream.read(n_bytes)
        at, length = self.spans[0]
        with self.path.open("rb") as stream:
            stream.seek(at + self.skip)
            return stream.read(min(n_bytes, length - self.skip))


def records(source: Source, spool: Path) -> list[Piece]:
    """Return the records of a channel.

    Parameters
    ----------
    spool : Path
        Folder for what comes through a FIFO.

    Raises
    ------
    CustomerError
        No data, or a file is not RecordIO; the text names it.
    """
    if source.mode == "Pipe":
        path = spool / f"{source.name}.rec"
        with Path(f"{source.path}_0").open("rb") as fifo, path.open("wb") as copy:
            shutil.copyfileobj(fifo, copy, 1 << 20)
        paths = [path]
    else:
        paths = files_of(source)
    found: list[Piece] = []
    for path in paths:
        shown = f"{source.name}/{path.name}"
        try:
            with path.open("rb") as stream:
                found += [
                    Piece(path, f"{shown}, record {number}", spans)
                    for number, spans in enumerate(recordio.spans(stream))
                ]
        except RecordIOError as error:
            raise CustomerError(f"Unable to read data channel '{source.name}': {shown}: {error}") from error
    if not found:
        raise CustomerError(f"No training data processed: channel '{source.name}' is empty")
    return found


def files(source: Source, endings: tuple[str, ...]) -> dict[str, Path]:
    """Return the files of a channel with one of these endings, by their path below its folder.

    Raises
    ------
    CustomerError
        There is none, or the channel is no folder of files.
    """
    if source.mode == "Pipe":
        raise CustomerError(
            f"Channel '{source.name}' has images as files, which needs InputMode File or FastFile; Pipe "
            "reads "
            f"{RECORDIO}"
        )
    found = {
        path.relative_to(source.path).as_posix(): path
        for path in files_of(source)
        if path.suffix.lower() in endings
    }
    if not found:
        raise CustomerError(
            f"No training data processed: channel '{source.name}' has no file that ends in "
            f"{', '.join(endings)}"
        )
    return found


def is_packed(source: Source) -> bool:
    """Say whether a channel has RecordIO: by its content type, or as augmented manifests of images come."""
    named = source.content_type.partition(";")[0].strip().lower()
    return source.mode == "Pipe" or named in {"", RECORDIO, "application/x-recordio-protobuf"}


def labelled(source: Source, spool: Path) -> Iterator[tuple[Piece, tuple[float, ...] | str]]:
    """Yield the pictures of a RecordIO channel, each with its labels.

    An augmented manifest sends a picture and its annotation in turns; the annotation is text then.

    Raises
    ------
    CustomerError
        A record is no picture, or has no annotation; the text names it.
    """
    found = records(source, spool)
    if image_records.is_image(found[0].front(8)):
        if len(found) % 2:
            raise CustomerError(
                f"Unable to read data channel '{source.name}': pictures and annotations come in turns, and "
                f"there is an odd number of records, {len(found)}; AttributeNames must name the two"
            )
        for picture, annotation in zip(found[::2], found[1::2], strict=True):
            yield picture, annotation.read().decode("utf-8", "replace")
        return
    for piece in found:
        try:
            labels, start = image_records.labels_of(piece.front(_HEAD_BYTES))
        except RecordIOError as error:
            raise CustomerError(
                f"Unable to read data channel '{source.name}': {piece.name}: {error}"
            ) from error
        yield replace(piece, skip=start), labels
