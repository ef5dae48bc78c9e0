"""Versions of data: one digest for all objects of a channel, by which runs tell whether they saw the same."""

import hashlib
from collections.abc import Iterable
from typing import Any

from clary.toolkit.channels import Share
from clary.toolkit.objects import Entry


def seen(parts: Iterable[Share]) -> dict[str, dict[str, Any]]:
    """Return what each channel consisted of, whichever hosts it was for: digest, objects and bytes."""
    return {
        part.channel.name: digest(item.entry for item in part.items if item.entry is not None)
        for part in parts
    }


def digest(entries: Iterable[Entry]) -> dict[str, Any]:
    """Return the version of some objects: the hash of their keys, lengths and ETags, in key order."""
    rows = sorted(
        {(entry.bucket, entry.key, entry.size, entry.etag.strip('"')) for entry in entries}, key=str
    )
    text = "\n".join(f"{bucket}/{key}\t{size}\t{etag}" for bucket, key, size, etag in rows)
    return {
        "Digest": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32],
        "Objects": len(rows),
        "Bytes": sum(size or 0 for _, _, size, _ in rows),
    }
