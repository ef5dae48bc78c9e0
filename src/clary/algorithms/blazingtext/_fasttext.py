"""fastText's binary files, written and read: version 12, dense.

    magic, version │ arguments │ words and labels │ rows of words and buckets │ rows of what is told

Source: fastText, `FastText::saveModel`, `Args::save`, `Dictionary::save`, `DenseMatrix::save`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAGIC, VERSION, OLDEST = 793712314, 12, 11
CBOW, SKIPGRAM, SUPERVISED = 1, 2, 3
TREE, NEGATIVES, SOFTMAX, ONE_FOR_ALL = 1, 2, 3, 4
"""Losses; a tree is hierarchical softmax."""
_ARGUMENTS = struct.Struct("<12id")
_SIZES = struct.Struct("<iiiqq")
_COUNT = struct.Struct("<qb")
_SHAPE = struct.Struct("<qq")
_NAMES = (
    "dim", "ws", "epoch", "min_count", "neg", "word_ngrams", "loss", "model", "bucket", "minn", "maxn",
    "lr_update_rate", "t",
)  # fmt: skip
CHUNK_ROWS = 1 << 16
HOLE_ROWS = 1 << 10


@dataclass(frozen=True, kw_only=True)
class FastText:
    """A model as fastText keeps it."""

    arguments: dict[str, Any]
    words: list[bytes]
    counts: NDArray[np.int64]
    ins: NDArray[np.float32]
    """Rows of words, then of buckets."""
    outs: NDArray[np.float32]
    """Rows of labels, or of words that are told from others."""
    labels: list[bytes] = field(default_factory=list)
    label_counts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    n_tokens: int = 0


def write(path: Path, model: FastText) -> None:
    """Write a model; rows of zeros become holes of the file."""
    given = {"ws": 5, "epoch": 5, "min_count": 1, "neg": 5, "lr_update_rate": 100, "t": 1e-4}
    asked = given | {"minn": 0, "maxn": 0, "word_ngrams": 1} | model.arguments
    with path.open("wb") as file:
        file.write(struct.pack("<ii", MAGIC, VERSION))
        file.write(_ARGUMENTS.pack(*(asked[name] for name in _NAMES)))
        n_words, n_labels = len(model.words), len(model.labels)
        file.write(_SIZES.pack(n_words + n_labels, n_words, n_labels, model.n_tokens, -1))
        for kind, words, counts in ((0, model.words, model.counts), (1, model.labels, model.label_counts)):
            for word, count in zip(words, counts.tolist(), strict=True):
                file.write(word + b"\0" + _COUNT.pack(count, kind))
        for matrix in (model.ins, model.outs):
            file.write(b"\0" + _SHAPE.pack(*matrix.shape))
            for start in range(0, len(matrix), HOLE_ROWS):
                chunk = np.ascontiguousarray(matrix[start : start + HOLE_ROWS], "<f4")
                if chunk.any():
                    file.write(chunk.data)
                else:
                    file.seek(chunk.nbytes, 1)
        file.truncate()


def read(path: Path) -> FastText:
    """Read a model; its rows stay in the file until they are used.

    Raises
    ------
    CustomerError
        It is no such file, an older one, or a quantised one.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            magic, version = struct.unpack("<ii", file.read(8))
            if magic != MAGIC or not OLDEST <= version <= VERSION:
                raise _fault(path, "it is no binary of fastText, version 11 or 12")
            arguments = dict(zip(_NAMES, _ARGUMENTS.unpack(file.read(_ARGUMENTS.size)), strict=True))
            if version == OLDEST and arguments["model"] == SUPERVISED:
                arguments["maxn"] = 0
            n_all, n_words, n_labels, n_tokens, n_pruned = _SIZES.unpack(file.read(_SIZES.size))
            if n_pruned > 0 or n_all != n_words + n_labels:
                raise _fault(path, "it is pruned or quantised; export it without quantisation")
            entries = [_entry(file) for _ in range(n_all)]
            ins = _matrix(path, file, size, "the rows of its words")
            outs = _matrix(path, file, size, "its last rows")
        except (struct.error, ValueError, OverflowError) as error:
            raise _fault(path, f"it is damaged: {error}") from error
    n_rows = n_words + (arguments["bucket"] if _has_buckets(arguments) else 0)
    if ins.shape[1] != arguments["dim"] or outs.shape[1] != arguments["dim"] or len(ins) < n_rows:
        raise _fault(path, "its matrices do not fit its arguments")
    words, labels = entries[:n_words], entries[n_words:]
    return FastText(
        arguments=arguments,
        words=[word for word, _ in words],
        counts=np.array([count for _, count in words], np.int64),
        labels=[word for word, _ in labels],
        label_counts=np.array([count for _, count in labels], np.int64),
        n_tokens=n_tokens,
        ins=ins,
        outs=outs,
    )


def _has_buckets(arguments: dict[str, Any]) -> bool:
    return bool(arguments["maxn"] > 0 or arguments["word_ngrams"] > 1)


def _entry(file: BinaryIO) -> tuple[bytes, int]:
    word = bytearray()
    while (byte := file.read(1)) != b"\0":
        if not byte:
            raise ValueError("it ends within its words")
        word += byte
    count, _ = _COUNT.unpack(file.read(_COUNT.size))
    return bytes(word), count


def _matrix(path: Path, file: BinaryIO, size: int, what: str) -> NDArray[np.float32]:
    if file.read(1) != b"\0":
        raise _fault(path, f"{what} are quantised; export it without quantisation")
    n_rows, n_columns = _SHAPE.unpack(file.read(_SHAPE.size))
    place = file.tell()
    if n_rows < 0 or n_columns < 1 or place + 4 * n_rows * n_columns > size:
        raise ValueError(f"it ends within {what}")
    file.seek(4 * n_rows * n_columns, 1)
    if not n_rows:
        return np.empty((0, n_columns), np.float32)
    return np.memmap(path, "<f4", "r", place, (n_rows, n_columns))


def _fault(path: Path, what: str) -> CustomerError:
    return CustomerError(f"Unable to load model: {path.name}: {what}")
