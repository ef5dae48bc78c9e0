"""Bodies to arrays."""

from typing import Any

from clary.toolkit.formats import arrays


def decode(obj: Any, content_type: str) -> Any:
    """Read a body of a content type: npy, npz, CSV or JSON."""
    return arrays.decode(obj, content_type)
