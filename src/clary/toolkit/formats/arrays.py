"""The default codecs of script-mode serving: npy, csv and JSON, as `sagemaker_inference` has them.

Source: sagemaker-inference-toolkit, decoder.py and encoder.py: CSV through `genfromtxt` and
`savetxt(fmt="%s")`.
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from clary.toolkit.formats import npy
from clary.toolkit.formats.base import FormatError

JSON, CSV, NPY, NPZ = "application/json", "text/csv", "application/x-npy", "application/x-npz"
TEXT = (JSON, CSV)
"""Content types whose bodies reach `input_fn` as text."""
DECODED = (NPY, CSV, JSON, NPZ)
ENCODED = (NPY, CSV, JSON)


class UnsupportedFormat(Exception):  # noqa: N818 - it is an answer, not a fault
    """The content type has no codec; the text is the toolkit's."""

    def __init__(self, content_type: str) -> None:
        super().__init__(
            f"Content type {content_type} is not supported by this framework.\n\n"
            "Please implement input_fn to to deserialize the request data or an output_fn to\n"
            "serialize the response. For more information, see the SageMaker Python SDK README."
        )


def decode(body: bytes | str, content_type: str) -> Any:
    """Decode a request's body to an array, or to a sparse matrix for npz.

    Raises
    ------
    UnsupportedFormat
        No codec for `content_type`.
    FormatError
        The body is not of it.
    """
    name = content_type.partition(";")[0].strip().lower()
    if name not in DECODED:
        raise UnsupportedFormat(content_type)
    if name in {NPY, NPZ}:
        raw = body.encode("latin-1") if isinstance(body, str) else body
        return npy.decode(raw) if name == NPY else npy.decode_sparse(raw)
    text = body.decode("utf-8") if isinstance(body, bytes | bytearray) else body
    try:
        return np.array(json.loads(text)) if name == JSON else _csv(text)
    except ValueError as error:
        raise FormatError(f"the body is not {name}: {error}") from error


def _csv(text: str) -> Any:
    """Read CSV as `genfromtxt` does, which takes 3 us a number; rows of nothing but numbers take 0.1."""
    if not text.strip():
        return np.empty(0)  # as it reads nothing, without its warning
    lines = text.strip("\n").split("\n")
    n_commas = lines[0].count(",")
    if n_commas and "#" not in text and all(line.count(",") == n_commas for line in lines):
        try:
            flat = np.fromiter(map(float, ",".join(lines).split(",")), np.float64)
        except ValueError:
            pass  # missing values, words: `genfromtxt` has its own mind of them
        else:
            return flat.reshape(len(lines), -1) if len(lines) > 1 else flat
    return np.genfromtxt(io.StringIO(text), delimiter=",")


def encode(values: Any, content_type: str) -> bytes:
    """Encode an array, or what numpy makes one of.

    Raises
    ------
    UnsupportedFormat
        No codec for `content_type`.
    """
    name = content_type.partition(";")[0].strip().lower()
    if name == JSON:
        return _json(values).encode()
    if name == NPY:
        return npy.encode(values)
    if name == CSV:
        stream = io.StringIO()
        np.savetxt(stream, np.atleast_1d(values), delimiter=",", fmt="%s")
        return stream.getvalue().encode()
    raise UnsupportedFormat(content_type)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


_json = json.JSONEncoder(default=_plain).encode
