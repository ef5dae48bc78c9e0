"""Pairs of token sequences, vocabularies, and batches of pairs of like lengths.

Source: developer guide, "Sequence-to-Sequence Algorithm"; the example notebook's conversion script, for the
names `source` and `target` and the four tokens that are no words.
"""

from __future__ import annotations

import io
import json
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clary.algorithms._feed import files_of
from clary.kernel.errors import CustomerError
from clary.toolkit import recordio
from clary.toolkit.formats import _protobuf, recordio_protobuf
from clary.toolkit.formats.base import FormatError, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from clary.algorithms.base import Source

PAD, UNKNOWN, BEGIN, END = 0, 1, 2, 3
WORDS = {"<pad>": PAD, "<unk>": UNKNOWN, "<s>": BEGIN, "</s>": END}
"""Tokens that are no words."""
SOURCE, TARGET = "source", "target"
FILES = ("vocab.src.json", "vocab.trg.json")


class Pair(NamedTuple):
    """A sequence, and what it should become."""

    source: tuple[int, ...]
    target: tuple[int, ...]


def vocabularies(source: Source) -> tuple[list[str], list[str]]:
    """Return the words of both sides, in the order of their tokens.

    Raises
    ------
    CustomerError
        A file is missing, or is no object from words to tokens.
    """
    found = {path.name: path for path in files_of(source)}
    missing = [name for name in FILES if name not in found]
    if missing:
        raise CustomerError(f"Channel {source.name} has no file {', '.join(missing)}")
    first, second = (_vocabulary(source.name, found[name]) for name in FILES)
    return first, second


def _vocabulary(channel: str, path: Path) -> list[str]:
    try:
        words = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise CustomerError(f"Channel {channel}: {path.name} is not JSON: {error}") from error
    if not isinstance(words, dict) or sorted(map(str, words.values())) != sorted(map(str, range(len(words)))):
        raise CustomerError(
            f"Channel {channel}: {path.name} must be an object from words to tokens 0, 1, 2 ..."
        )
    wrong = [word for word, token in WORDS.items() if words.get(word) != token]
    if wrong:
        raise CustomerError(f"Channel {channel}: {path.name} must have {wrong[0]} as token {WORDS[wrong[0]]}")
    return sorted(words, key=words.__getitem__)


def read(source: Source, sizes: tuple[int, int], longest: tuple[int, int]) -> list[Pair]:
    """Read a channel, in an order that files do not change.

    Parameters
    ----------
    sizes : tuple of int
        Tokens of each side's vocabulary.
    longest : tuple of int
        Tokens of a sequence; what is longer is cut.

    Raises
    ------
    CustomerError
        A record is no pair, or there is none.
    """
    found: list[Pair] = []
    for path in files_of(source):
        name = shown(path, source.path if source.path.is_dir() else None)
        try:
            for number, record in enumerate(recordio_protobuf.decode_records(path.read_bytes())):
                sides = [
                    _tokens(record, side, size, f"record {number}")
                    for side, size in zip((SOURCE, TARGET), sizes, strict=True)
                ]
                found.append(Pair(*(side[:most] for side, most in zip(sides, longest, strict=True))))
        except FormatError as error:
            raise CustomerError(f"Unable to read data channel '{source.name}': {name}: {error}") from error
    if not found:
        raise CustomerError(f"No data in channel {source.name}: it has no records")
    return sorted(found, key=lambda pair: zlib.crc32(repr(pair).encode()))


def _tokens(record: _protobuf.Record, side: str, size: int, where: str) -> tuple[int, ...]:
    tensor = record.features.get(side)
    if tensor is None:
        raise FormatError(f"{where} has no features {side!r}")
    tokens = [int(each) for each in tensor.values]
    wrong = next((each for each in tokens if not 0 <= each < size), None)
    if wrong is not None:
        raise FormatError(f"{where}: {side} has token {wrong}, not in range [0, {size - 1}]")
    return tuple(each for each in tokens if each not in {PAD, BEGIN, END})


def sources(body: bytes, size: int) -> list[tuple[int, ...]]:
    """Return the sources of a request; FormatError where there is none."""
    found = []
    for number, record in enumerate(recordio_protobuf.decode_records(body)):
        side = SOURCE if SOURCE in record.features else "values"
        found.append(_tokens(record, side, size, f"record {number}"))
    return found


def written(rows: Sequence[Mapping[str, Sequence[int]]]) -> bytes:
    """Encode records whose features are int32 tensors."""
    stream = io.BytesIO()
    for row in rows:
        payload = b""
        for name, tokens in row.items():
            values = _field(1, b"".join(_varint(token) for token in tokens))
            pair = _field(1, name.encode()) + _field(2, _field(7, values))
            payload += _field(1, pair)
        stream.write(recordio.wrap(payload))
    return stream.getvalue()


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _protobuf.DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


def batches(
    pairs: Sequence[Pair], size: int, width: int | None, draw: np.random.Generator | None
) -> Iterator[list[Pair]]:
    """Yield one pass: batches of pairs whose lengths, by `width`, are alike; in random order with `draw`."""
    order = np.arange(len(pairs)) if draw is None else draw.permutation(len(pairs))
    if width:
        lengths = np.array([(len(pair.target) // width, len(pair.source) // width) for pair in pairs])[order]
        order = order[np.lexsort((lengths[:, 1], lengths[:, 0]))]
    starts: NDArray[Any] = np.arange(0, len(order), size)
    for start in starts if draw is None else draw.permutation(starts):
        yield [pairs[place] for place in order[start : start + size]]


def padded(sequences: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Return a matrix of tokens, as wide as the longest, PAD behind the others."""
    found = np.full((len(sequences), max(1, *map(len, sequences))), PAD, np.int64)
    for row, tokens in zip(found, sequences, strict=True):
        row[: len(tokens)] = tokens
    return found
