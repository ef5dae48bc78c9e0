"""Rows of a training channel, in blocks: several files or FIFOs, gzip or not, as often as an algorithm asks.

    files ─▶ whole records or lines of 16 MiB ─▶ Table ─▶ kept in memory while they fit ─▶ the next pass

An algorithm of one pass never holds more than a block. A FIFO of Pipe mode is opened anew for every pass, as
the platform writes one per epoch.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TypeAlias, cast

import numpy as np

from clary.algorithms import _packed
from clary.kernel.errors import CustomerError
from clary.toolkit.formats import csv, recordio_protobuf
from clary.toolkit.formats.base import FormatError, MediaType, Table, concatenate, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from clary.algorithms._hosts import Hosts
    from clary.algorithms.base import Source

BLOCK_BYTES = 16 << 20
"""Of a file, read at once."""
KEEP_BYTES = 2 << 30
"""Rows kept for the next pass; beyond it they are read again."""
DENSE_BYTES = 32 << 20
"""Of sparse rows made dense, at once."""
_GZIP = b"\x1f\x8b"

Flaw: TypeAlias = "Callable[[Table], tuple[int, str] | None]"
"""Finds the first row that an algorithm cannot learn from, and says what is wrong with it."""


def files_of(source: Source) -> list[Path]:
    """Return the data files of a channel, nested folders included, in the order of their names."""
    if source.path.is_file():
        return [source.path]
    return sorted(
        path
        for path in source.path.rglob("*")
        if path.is_file() and not path.name.startswith((".", "_")) and path.stat().st_size
    )


@dataclass(frozen=True)
class _Format:
    """How a content type is cut into blocks and read."""

    whole: Callable[[bytearray, int], int]
    """Bytes at the front that are whole rows."""
    read: Callable[[memoryview, str, int], Table]
    """Block, name of the file, rows or lines before it."""
    n_lines: Callable[[memoryview, Table], int]
    """Rows or lines of a block."""
    place: Callable[[memoryview, int, int], str]
    """Block, rows or lines before it, row: where that stands in its file."""


class Feed:
    """The rows of one channel on this host."""

    def __init__(
        self,
        source: Source,
        *,
        feature_dim: int,
        has_labels: bool,
        is_dense: bool = False,
        keep_bytes: int = KEEP_BYTES,
        flaw: Flaw | None = None,
    ) -> None:
        """Read nothing yet.

        Parameters
        ----------
        feature_dim : int
            Columns that rows must have; sparse rows may have fewer, and are widened. 0 until `widen` says.
        has_labels : bool
            Whether rows need a label. Without, labels that are there are dropped, and CSV's default is none.
        is_dense : bool
            Whether sparse rows are made dense, some at a time.
        flaw : Callable, optional
            What else can be wrong with rows, asked of each once.
        """
        self.name = source.name
        self.n_rows = 0
        """Rows of the first pass."""
        self._source = source
        self.feature_dim = feature_dim
        self._has_labels = has_labels
        self._is_dense = is_dense
        self._flaw = flaw
        self._kept: list[Table] | None = []
        self._room = keep_bytes
        self._n_passes = 0
        self._begun: Iterator[Table] | None = None
        self._first_name = ""
        self._place: Callable[[int], str] = str
        """Says where a row of the block at hand stands in its file."""
        self._format = self._choose()

    def _choose(self) -> _Format:
        media = MediaType.parse(self._source.content_type)
        if media.name in {"", *recordio_protobuf.CONTENT_TYPES}:
            return _Format(
                _whole_frames,
                lambda block, name, done: recordio_protobuf.decode(block, first=done),
                lambda block, table: table.n_rows,
                lambda block, done, row: f"record {done + row}",
            )
        if media.name not in csv.CONTENT_TYPES:
            raise CustomerError(
                f"Channel {self.name}: {self._source.content_type} is not an accepted ContentType: "
                "application/x-recordio-protobuf, text/csv"
            )
        given = media.parameters.get("label_size", "1")
        if given not in {"0", "1"}:
            raise CustomerError(
                f"Channel {self.name}: label_size of {self._source.content_type} must be 0 or 1, not {given}"
            )
        if self._has_labels and given == "0":
            raise CustomerError(
                f"Channel {self.name}: {self._source.content_type} says that rows have no label, and "
                "they need one; write text/csv;label_size=1"
            )
        n_labels = int(given)
        delimiter = media.parameters.get("delimiter") or ","

        def read(block: memoryview, name: str, done: int) -> Table:
            rows = csv.parse(bytes(block), delimiter, name, done + 1)
            labels = rows[:, 0].copy() if n_labels and rows.size else None
            return Table(np.ascontiguousarray(rows[:, n_labels:]), labels)

        return _Format(_whole_lines, read, lambda block, table: bytes(block).count(b"\n"), _line_of)

    def blocks(self) -> Iterator[Table]:
        """Yield the rows of one pass; the tables must not be changed.

        Raises
        ------
        CustomerError
            A file is not of the channel's content type, or a row is not as wide as feature_dim says, or has a
            value that is missing or infinite, or no label; the text names the file.
        """
        if self._begun is not None:
            begun, self._begun = self._begun, None
            yield from begun
            return
        if self._n_passes and self._kept is not None:
            yield from self._kept
            return
        epoch, self._n_passes = self._n_passes, self._n_passes + 1
        n_rows = 0
        for table in self._read(epoch):
            n_rows += table.n_rows
            self._keep(table)
            yield table
        self.n_rows = n_rows

    def widen(self, hosts: Hosts) -> int:
        """Take the columns of the first rows, the most of all hosts, for `feature_dim`, and return them.

        Raises
        ------
        CustomerError
            This host's rows are dense, and another's have more columns; or no host has rows.
        """
        kept, self._kept = self._kept, None  # what is not checked is not kept
        rows = self.blocks()
        first = next(rows, None)
        self._kept = kept
        own = np.array([0 if first is None else first.n_columns])
        self.feature_dim = int(max(map(np.max, hosts.arrays(own))))
        if not self.feature_dim:
            raise CustomerError(f"No data in channel {self.name}: it has no rows")
        if first is not None:
            self._begun = self._again(first, rows)
        return self.feature_dim

    def _again(self, first: Table, others: Iterator[Table]) -> Iterator[Table]:
        for table in self._checked(first, self._first_name):
            self._keep(table)
            yield table
        yield from others

    def _keep(self, table: Table) -> None:
        if self._kept is None:
            return
        self._room -= _size(table.features)
        if self._room < 0:
            self._kept = None
        else:
            self._kept.append(table)

    @property
    def is_kept(self) -> bool:
        """Whether later passes read memory alone."""
        return self._kept is not None and self._n_passes > 0

    def forget(self) -> None:
        """Let go of the rows that are kept: whoever asks again reads again."""
        self._kept = None

    def table(self) -> Table:
        """Return all rows at once."""
        return concatenate(list(self.blocks()))

    def require_rows(self, hosts: Hosts | None = None) -> int:
        """Return the rows of all hosts after a pass.

        Raises
        ------
        CustomerError
            There are none.
        """
        n_rows = self.n_rows if hosts is None else int(hosts.sum(np.array([self.n_rows]))[0])
        if not n_rows:
            raise CustomerError(f"No data in channel {self.name}: it has no rows")
        return n_rows

    def _read(self, epoch: int) -> Iterator[Table]:
        if self._source.mode == "Pipe":
            path = self._source.path.with_name(f"{self._source.path.name}_{epoch}")
            yield from self._file(path, path.name)
            return
        for path in files_of(self._source):
            folder = self._source.path if self._source.path.is_dir() else None
            yield from self._file(path, shown(path, folder))

    def _file(self, path: Path, name: str) -> Iterator[Table]:
        done, block = 0, memoryview(b"")
        try:
            for block in _blocks(path, self._format.whole):
                table = self._format.read(block, name, done)
                self._place = partial(self._format.place, block, done)
                done += self._format.n_lines(block, table)
                yield from self._checked(table, name)
            self._place = str  # lets go of the block
        except FormatError as error:
            text = str(error) if name in str(error) else f"{name}: {error}"
            hint = (
                ""
                if self._source.content_type
                else (f"; channel {self.name} has no ContentType, so it is read as recordio-protobuf")
            )
            hint += _packed.hint(self._source, block)
            raise CustomerError(f"Unable to read data channel '{self.name}': {text}{hint}") from error
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            text = _packed.broken(self._source, name, error)
            raise CustomerError(f"Unable to read data channel '{self.name}': {text}") from error

    def _checked(self, table: Table, name: str) -> Iterator[Table]:
        if not table.n_rows:
            return
        if self._has_labels:
            self._check_labels(table, name)
        else:
            table.labels = None
        if not self.feature_dim:  # `widen` asks, and has the rest checked
            self._first_name = name
            yield table
            return
        is_narrow = table.n_columns < self.feature_dim and not isinstance(table.features, np.ndarray)
        if table.n_columns != self.feature_dim and not is_narrow:
            hint = ""
            if self._source.content_type and not self._has_labels and table.n_columns == self.feature_dim - 1:
                hint = "; CSV without labels needs ContentType text/csv;label_size=0"
            raise CustomerError(
                f"Unable to read data channel '{self.name}': {name} has {table.n_columns} features a row, "
                f"and hyperparameter feature_dim is {self.feature_dim}{hint}"
            )
        if is_narrow:
            table.features.resize((table.n_rows, self.feature_dim))
        self._check_values(table, name)
        if self._flaw is not None and (found := self._flaw(table)) is not None:
            self._refuse(name, *found)
        yield from self._dense(table)

    def _refuse(self, name: str, row: int, text: str) -> NoReturn:
        raise CustomerError(f"Unable to read data channel '{self.name}': {name}, {self._place(row)}: {text}")

    def _dense(self, table: Table) -> Iterator[Table]:
        if not self._is_dense or isinstance(table.features, np.ndarray):
            yield table
            return
        step = max(1, DENSE_BYTES // (4 * self.feature_dim))
        for start in range(0, table.n_rows, step):
            part = slice(start, start + step)
            labels = None if table.labels is None else table.labels[part]
            yield Table(table.features[part].toarray(), labels)

    def _check_labels(self, table: Table, name: str) -> None:
        if table.labels is None or table.labels.size != table.n_rows:
            raise CustomerError(f"Unable to read data channel '{self.name}': {name} has rows without a label")
        if not np.isfinite(table.labels).all():
            row = int(np.flatnonzero(~np.isfinite(table.labels))[0])
            self._refuse(name, row, f"label {table.labels[row]}; labels must be finite numbers")

    def _check_values(self, table: Table, name: str) -> None:
        values = table.features if isinstance(table.features, np.ndarray) else table.features.data
        if is_finite(values):
            return
        row = row_of(table.features, int(np.flatnonzero(~np.isfinite(values))[0]))
        self._refuse(name, row, "a missing or infinite value; every feature must be a finite number")


def class_flaw(n_classes: int, wanted: str) -> Flaw:
    """Return what finds a label that is no integer from 0 to n_classes - 1."""

    def flaw(table: Table) -> tuple[int, str] | None:
        labels = table.labels
        assert labels is not None
        wrong = np.flatnonzero((labels < 0) | (labels >= n_classes) | (labels != np.floor(labels)))
        return (int(wrong[0]), f"label {labels[wrong[0]]:g}; {wanted}") if wrong.size else None

    return flaw


def count_flaw(table: Table) -> tuple[int, str] | None:
    """Find a count of a word that is below 0."""
    values = table.features if isinstance(table.features, np.ndarray) else table.features.data
    if not values.size or values.min() >= 0:
        return None
    row = row_of(table.features, int(np.flatnonzero(values < 0)[0]))
    return row, "a count below 0; documents are counts of words"


def row_of(features: Any, place: int) -> int:
    """Return the row that has the value at a place of the matrix' memory."""
    if isinstance(features, np.ndarray):
        return place // int(features.shape[1])
    return int(np.searchsorted(features.indptr, place, side="right")) - 1


def _line_of(block: memoryview, done: int, row: int) -> str:
    lines = (number for number, line in enumerate(bytes(block).split(b"\n"), done + 1) if line.strip())
    return f"line {next(islice(lines, row, None))}"


def is_finite(values: Any) -> bool:
    """Say whether all numbers are finite, at the price of one sum where they are."""
    if np.isfinite(values.sum()):
        return True
    return bool(np.isfinite(values).all())  # a sum can overflow


def _size(features: Any) -> int:
    return int(features.nbytes if isinstance(features, np.ndarray) else features.data.nbytes * 2)


def _whole_lines(text: bytearray, end: int) -> int:
    return text.rfind(b"\n", 0, end) + 1


def _whole_frames(content: bytearray, end: int) -> int:
    return recordio_protobuf.whole_frames(memoryview(content)[:end])


def _blocks(path: Path, whole: Callable[[bytearray, int], int]) -> Iterator[memoryview]:
    """Yield a file in blocks of whole rows, each valid until the next; what is left at its end comes last."""
    with path.open("rb") as plain:
        stream, size = cast(BinaryIO, plain), BLOCK_BYTES
        if plain.peek(2)[:2] == _GZIP:
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=plain))
        elif path.is_file():
            size = min(size, path.stat().st_size + 1)
        buffer, filled, is_over = bytearray(size), 0, False
        while not is_over:
            if filled == len(buffer):  # a row that is longer than the block
                buffer = buffer + bytearray(len(buffer))
            count = stream.readinto(memoryview(buffer)[filled:])  # type: ignore[attr-defined]
            filled += count
            is_over = not count
            n_bytes = filled if is_over else whole(buffer, filled)
            if n_bytes:
                yield memoryview(buffer)[:n_bytes]
                filled -= n_bytes
                buffer[:filled] = buffer[n_bytes : n_bytes + filled]
