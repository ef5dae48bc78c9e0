"""Arrays to bodies."""

from typing import Any

from clary.toolkit.formats import arrays


def encode(array_like: Any, content_type: str) -> Any:
    """Write an array as npy, CSV or JSON; text is a string."""
    body = arrays.encode(array_like, content_type)
    return body if content_type.startswith(arrays.NPY) else body.decode()
