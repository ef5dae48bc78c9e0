"""JSON lines: one JSON document a line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from clary.toolkit.formats.base import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTENT_TYPES = ("application/jsonlines", "application/x-jsonlines", "application/jsonl")


def decode(body: bytes) -> list[Any]:
    """Decode the documents, empty lines passed over.

    Raises
    ------
    FormatError
        A line is not JSON; the text names it.
    """
    documents = []
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            documents.append(json.loads(line))
        except ValueError as error:
            raise FormatError(f"line {number} is not JSON: {error}") from error
    return documents


def encode(documents: Iterable[Any]) -> bytes:
    r"""Encode documents, each ended by `\n`."""
    return "".join(json.dumps(document) + "\n" for document in documents).encode()
