"""Arrays to bodies and back."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from sagemaker_training.errors import UnsupportedFormatError

from . import content_types


def array_to_npy(array_like: Any) -> bytes:
    """Write an array as npy."""
    stream = io.BytesIO()
    np.save(stream, array_like)
    return stream.getvalue()


def npy_to_numpy(npy_array: bytes) -> Any:
    """Read npy; pickled objects are refused."""
    return np.load(io.BytesIO(npy_array), allow_pickle=False)


def array_to_json(array_like: Any) -> str:
    """Write an array as JSON."""

    def plain(value: Any) -> Any:
        if hasattr(value, "tolist"):
            return value.tolist()
        raise TypeError(f"{type(value).__name__} cannot be written as JSON")

    return json.dumps(array_like, default=plain)


def json_to_numpy(string_like: str, dtype: Any = None) -> Any:
    """Read JSON."""
    return np.array(json.loads(string_like), dtype=dtype)


def csv_to_numpy(string_like: str, dtype: Any = None) -> Any:
    """Read comma-separated values."""
    if not string_like.strip():
        return np.empty(0, dtype or float)  # as it reads nothing, without its warning
    return np.genfromtxt(io.StringIO(string_like), dtype=dtype or float, delimiter=",")


def array_to_csv(array_like: Any) -> str:
    """Write comma-separated values."""
    stream = io.StringIO()
    np.savetxt(stream, array_like, delimiter=",", fmt="%s")
    return stream.getvalue()


_DECODERS: dict[str, Callable[[Any], Any]] = {
    content_types.NPY: npy_to_numpy,
    content_types.CSV: csv_to_numpy,
    content_types.JSON: json_to_numpy,
}
_ENCODERS: dict[str, Callable[[Any], Any]] = {
    content_types.NPY: array_to_npy,
    content_types.CSV: array_to_csv,
    content_types.JSON: array_to_json,
}


def decode(obj: Any, content_type: str) -> Any:
    """Read a body of a content type.

    Raises
    ------
    UnsupportedFormatError
        There is no codec for it.
    """
    if content_type not in _DECODERS:
        raise UnsupportedFormatError(content_type)
    if content_type != content_types.NPY and isinstance(obj, bytes | bytearray):
        obj = obj.decode()
    return _DECODERS[content_type](obj)


def encode(array_like: Any, content_type: str) -> Any:
    """Write an array as a content type.

    Raises
    ------
    UnsupportedFormatError
        There is no codec for it.
    """
    if content_type not in _ENCODERS:
        raise UnsupportedFormatError(content_type)
    return _ENCODERS[content_type](array_like)
