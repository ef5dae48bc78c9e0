"""Previews: what an object looks like, from its first bytes."""

import base64
import csv
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from clary.toolkit import image_records, recordio
from clary.toolkit.formats import recordio_protobuf
from clary.toolkit.formats.base import FormatError
from clary.toolkit.recordio import RecordIOError

FIRST_BYTES = 256 << 10
SHOWN_ROWS = 50
WHOLE_BYTES = 32 << 20
"""Archives, Parquet and pictures must be read whole; larger ones are not previewed."""
_PICTURES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
}
WHOLE = frozenset({"parquet", "gz", "tgz", "tar", "ipynb", *_PICTURES})
MOST_MEMBERS = 500
SHOWN_VALUES = 12
"""Of a record's features."""


@dataclass(frozen=True, slots=True)
class Preview:
    """One of a table, a picture, a text, or a line that says why there is none."""

    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    picture: str = ""
    """A `data:` address."""
    text: str = ""
    members: Sequence[tuple[str, int]] = ()
    """Files of an archive, and their bytes."""
    note: str = ""


def of(name: str, content: bytes, *, is_whole: bool) -> Preview:  # noqa: PLR0911 - one a kind of file
    """Return a preview by the name's ending; what cannot be read as its ending says is shown as text."""
    ending = name.rpartition(".")[2].lower()
    try:
        if ending in _PICTURES:
            return Preview(picture=f"data:{_PICTURES[ending]};base64,{base64.b64encode(content).decode()}")
        if is_archive(name):
            return _archive(content)
        if ending == "parquet":
            return _parquet(content)
        if ending in {"csv", "tsv"}:
            return _table(content, "\t" if ending == "tsv" else ",", is_whole=is_whole)
        if ending in {"jsonl", "jsonlines"}:
            return _json_lines(content, is_whole=is_whole)
        if ending == "ipynb":
            return _notebook(content)
        if content.startswith(recordio.head(0)[:4]):
            return _records(content)
    except (ValueError, OSError, tarfile.TarError, csv.Error, EOFError) as error:
        return Preview(note=f"It does not read as its name says: {error}")
    return _text(content)


def is_archive(name: str) -> bool:
    """Tell whether an object is, by its name, an archive of files."""
    return name.endswith((".tar.gz", ".tgz", ".tar"))


def _lines(content: bytes, *, is_whole: bool) -> list[str]:
    lines = content.decode("utf-8", "replace").splitlines()
    return (lines if is_whole else lines[:-1])[:SHOWN_ROWS]


def _table(content: bytes, delimiter: str, *, is_whole: bool) -> Preview:
    rows = list(csv.reader(io.StringIO("\n".join(_lines(content, is_whole=is_whole))), delimiter=delimiter))
    return Preview(header=[str(n + 1) for n in range(max(map(len, rows), default=0))], rows=rows)


def _json_lines(content: bytes, *, is_whole: bool) -> Preview:
    documents = [json.loads(line) for line in _lines(content, is_whole=is_whole) if line.strip()]
    if not all(isinstance(each, Mapping) for each in documents):
        return _text(content)
    names = list(dict.fromkeys(name for each in documents for name in each))
    return Preview(header=names, rows=[[_cell(each.get(name)) for name in names] for each in documents])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _archive(content: bytes) -> Preview:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = [(each.name, each.size) for each in archive if each.isfile()][:MOST_MEMBERS]
    return Preview(members=members) if members else Preview(note="It holds no file.")


def member(content: bytes, name: str) -> bytes | None:
    """Return a file of an archive; None where there is none, or it is too large to be shown."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            found = next((each for each in archive if each.isfile() and each.name == name), None)
            file = archive.extractfile(found) if found and found.size <= WHOLE_BYTES else None
            return file.read() if file else None
    except (OSError, tarfile.TarError, EOFError):
        return None


def _parquet(content: bytes) -> Preview:
    try:
        from pyarrow import parquet  # noqa: PLC0415 - an extra
    except ImportError:
        return Preview(note="Previews of Parquet need pyarrow: pip install 'clary[parquet]'")
    file = parquet.ParquetFile(io.BytesIO(content))
    batch = next(file.iter_batches(SHOWN_ROWS), None)
    rows = [] if batch is None else [[_cell(value) for value in row.values()] for row in batch.to_pylist()]
    return Preview(header=file.schema_arrow.names, rows=rows)


def _notebook(content: bytes) -> Preview:
    """Return a notebook's cells and what they printed, as text: its outputs are anybody's markup."""
    try:
        cells = [(each["cell_type"], _joined(each["source"]), each) for each in json.loads(content)["cells"]]
    except (KeyError, TypeError):
        return _text(content)
    parts = []
    for kind, source, cell in cells:
        printed = [
            _joined(each.get("text") or each.get("data", {}).get("text/plain", ""))
            for each in cell.get("outputs", ())
        ]
        parts.append("\n".join([f"── {kind}", source, *(f"=> {text}" for text in printed if text)]))
    return Preview(text="\n\n".join(parts))


def _joined(lines: Any) -> str:
    return lines if isinstance(lines, str) else "".join(map(str, lines))


def _records(content: bytes) -> Preview:
    """Return the first records of a RecordIO file: protobuf's numbers, or packed images."""
    rows: list[tuple[str, str]] = []
    try:
        for payload in recordio.records(io.BytesIO(content)):
            rows.append(_record(payload))
            if len(rows) == SHOWN_ROWS:
                break
    except RecordIOError as error:  # the last one that the first bytes hold may be cut
        if not rows:
            return Preview(note=f"It does not read as its beginning says: {error}")
    return Preview(header=("Label", "Record"), rows=rows)


def _record(payload: bytes) -> tuple[str, str]:
    with suppress(RecordIOError):
        labels, start = image_records.labels_of(payload)
        if image_records.is_image(payload[start:]):
            return " ".join(f"{each:g}" for each in labels), f"an image of {len(payload) - start:,} bytes"
    try:
        (found,) = recordio_protobuf.decode_records(recordio.wrap(payload))
    except (FormatError, ValueError):
        return "", f"{len(payload):,} bytes"
    sides = [
        "; ".join(
            f"{f'{name}: ' if name != 'values' else ''}{_numbers(tensor)}" for name, tensor in side.items()
        )
        for side in (found.label, found.features)
    ]
    return sides[0], sides[1]


def _numbers(tensor: recordio_protobuf.Tensor) -> str:
    values = tensor.values[:SHOWN_VALUES].tolist()
    keys = None if tensor.keys is None else tensor.keys[:SHOWN_VALUES].tolist()
    shown = [f"{value:g}" if keys is None else f"{keys[n]}:{value:g}" for n, value in enumerate(values)]
    left = len(tensor.values) - len(values)
    return " ".join(shown) + (f" … {left:,} more" if left else "")


def _text(content: bytes) -> Preview:
    if b"\0" in content[:4096]:
        return Preview(note="This is binary; download it to look inside.")
    return Preview(text=content.decode("utf-8", "replace"))
