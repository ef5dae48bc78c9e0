"""NumPy's own `.npy`, and `.npz` of a sparse matrix; never pickles."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.toolkit.formats.base import FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONTENT_TYPES = ("application/x-npy",)


def decode(body: bytes) -> NDArray[Any]:
    """Decode an array.

    Raises
    ------
    FormatError
        Not an array, or one of Python objects: those are pickles, which run code when they are read.
    """
    try:
        return np.asarray(np.load(io.BytesIO(body), allow_pickle=False))
    except (ValueError, OSError, EOFError) as error:
        raise FormatError(f"not an .npy array of plain numbers or text: {error}") from error


def decode_sparse(body: bytes) -> Any:
    """Decode a SciPy sparse matrix from `.npz`.

    Raises
    ------
    FormatError
        Not such a file.
    """
    from scipy import sparse  # noqa: PLC0415 - 40 ms that dense data need not pay

    try:
        return sparse.load_npz(io.BytesIO(body))
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise FormatError(f"not an .npz sparse matrix: {error}") from error


def encode(values: Any) -> bytes:
    """Encode an array, or what numpy makes one of.

    Raises
    ------
    FormatError
        An array of Python objects.
    """
    stream = io.BytesIO()
    try:
        np.save(stream, values, allow_pickle=False)
    except ValueError as error:
        raise FormatError(f"cannot be written as .npy: {error}") from error
    return stream.getvalue()
