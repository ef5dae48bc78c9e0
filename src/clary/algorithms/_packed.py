"""Gzip in a channel: what is wrong with it, in words that say how to mend it."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clary.algorithms.base import Source

MAGIC = b"\x1f\x8b\x08"
"""Begins each file of gzip, and is in no text."""
_MEND = (
    ": in Pipe mode a channel is one stream, so that all its objects have to be gzip, or none; "
    "in File mode they may differ"
)


def broken(source: Source, name: str, error: Exception) -> str:
    """Return what an error of gzip's reader means: a file is damaged, or goes on as something else."""
    if not (isinstance(error, gzip.BadGzipFile) and str(error).startswith("Not a gzipped file")):
        return f"{name} is broken gzip: {error}"
    return f"{name} begins as gzip and goes on as something else{_MEND if source.mode == 'Pipe' else ''}"


def hint(source: Source, content: bytes | memoryview) -> str:
    """Return what else to say of a pipe's content that cannot be read: that there is gzip in it."""
    if source.mode != "Pipe" or MAGIC not in bytes(content):
        return ""
    return f"; it has gzip behind what is none{_MEND}"
