"""A channel's text: files or a FIFO, gzip or not, lines of words or records of a text and its labels.

lines, JSON Lines, records ──▶ blocks of lines ──▶ words, numbered ──▶ sentences, or texts with labels
"""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from clary.algorithms._feed import files_of
from clary.kernel.errors import CustomerError
from clary.toolkit import recordio
from clary.toolkit.formats.base import MediaType, shown
from clary.toolkit.kernels.tokens import BLANKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.algorithms.base import Source

BLOCK_BYTES = 16 << 20
LABEL = b"__label__"
MAGIC = b"\x0a\x23\xd7\xce"
"""How a RecordIO frame begins."""
_GZIP = b"\x1f\x8b"
_WORD = bytes(set(range(256)) - set(BLANKS))


def blocks_of(source: Source) -> Iterator[bytes]:
    """Yield a channel's lines, in blocks that end with a blank.

    Raises
    ------
    CustomerError
        A file is damaged, or a line is not of the channel's content type; the text names both.
    """
    is_pipe = source.mode == "Pipe"
    paths = [source.path.with_name(f"{source.path.name}_0")] if is_pipe else files_of(source)
    is_json = MediaType.parse(source.content_type).name == "application/jsonlines"
    for path in paths:
        name = shown(path, source.path if source.path.is_dir() else None)
        try:
            with path.open("rb") as plain:
                head = plain.peek(4)[:4]
                stream = cast(BinaryIO, gzip.GzipFile(fileobj=plain) if head[:2] == _GZIP else plain)
                if head == MAGIC:
                    yield from _records(stream, name, source.name)
                elif is_json:
                    yield from _documents(stream, name, source.name)
                else:
                    yield from _lines(stream)
        except (EOFError, gzip.BadGzipFile, zlib.error, recordio.RecordIOError) as error:
            raise _fault(source.name, f"{name} is damaged: {error}") from error


def _fault(channel: str, what: str) -> CustomerError:
    return CustomerError(f"Unable to read data channel '{channel}': {what}")


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while block := stream.read(BLOCK_BYTES):
        block = rest + block
        end = len(block.rstrip(_WORD))  # a word may go on in the next block
        rest = block[end:]
        if end:
            yield block[:end]
    if rest:
        yield rest + b"\n"


def _documents(stream: BinaryIO, name: str, channel: str) -> Iterator[bytes]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
            yield _line(document["source"], document.get("label"))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _fault(
                channel, f'{name}, line {number} must be {{"source": "text", "label": 1}}, not {line[:80]!r}'
            ) from error


def _line(text: Any, labels: Any) -> bytes:
    """Return a text and its labels as a line; TypeError where they are none."""
    if not isinstance(text, str):
        raise TypeError
    found = labels if isinstance(labels, list) else [] if labels is None else [labels]
    if not all(isinstance(each, int | str) for each in found):
        raise TypeError
    words = [each if str(each).startswith(LABEL.decode()) else f"{LABEL.decode()}{each}" for each in found]
    plain = " ".join(text.split())
    return " ".join([*map(str, words), plain]).encode() + b"\n"


def _records(stream: BinaryIO, name: str, channel: str) -> Iterator[bytes]:
    """Yield the lines of an augmented manifest, whose attributes come in turns, a record each."""
    held: list[bytes] = []
    for number, record in enumerate(recordio.records(stream), 1):
        held.append(record)
        if len(held) < 2:
            continue
        texts = [each.decode("utf-8", "replace") for each in held]
        labels = [_label(each) for each in texts]
        at = 1 if labels[1] is not None else 0
        if labels[at] is None:
            raise _fault(
                channel,
                f"{name}, record {number}: AttributeNames must be source and label, and a label is a number, "
                f"a name without blanks or a list of these, not {texts[1][:80]!r}",
            )
        yield _line(texts[1 - at], labels[at])
        held = []
    if held:
        raise _fault(channel, f"{name} ends with a record that has no label")


def _label(text: str) -> Any:
    """Return the labels that a record says; None where it is a text."""
    try:
        found = json.loads(text)
    except ValueError:
        return None if not text or len(text.split()) != 1 else text
    return found if isinstance(found, int | list) else None
