"""Bodies to matrices."""

from __future__ import annotations

from typing import Any

import xgboost

from clary.containers import refusal
from clary.toolkit.formats import csv, libsvm, recordio_protobuf

__getattr__ = refusal(
    "sagemaker_xgboost_container.encoder",
    "csv_to_dmatrix",
    "libsvm_to_dmatrix",
    "recordio_protobuf_to_dmatrix",
    "decode",
)


def csv_to_dmatrix(input: str | bytes, dtype: Any = None) -> xgboost.DMatrix:
    """Read comma-separated features."""
    rows = csv.decode(_raw(input))
    return xgboost.DMatrix(rows if dtype is None else rows.astype(dtype))


def libsvm_to_dmatrix(string_like: str | bytes) -> xgboost.DMatrix:
    """Read libsvm features."""
    return xgboost.DMatrix(libsvm.decode(_raw(string_like)))


def recordio_protobuf_to_dmatrix(string_like: bytes) -> xgboost.DMatrix:
    """Read recordio-protobuf features."""
    return xgboost.DMatrix(recordio_protobuf.decode(_raw(string_like)).features)


def decode(obj: str | bytes, content_type: str) -> xgboost.DMatrix:
    """Read features of a content type.

    Raises
    ------
    ValueError
        There is no codec for it.
    """
    name = content_type.partition(";")[0].strip().lower()
    if name == "text/csv":
        return csv_to_dmatrix(obj)
    if name in libsvm.CONTENT_TYPES:
        return libsvm_to_dmatrix(obj)
    if name in recordio_protobuf.CONTENT_TYPES:
        return recordio_protobuf_to_dmatrix(_raw(obj))
    raise ValueError(
        f"Content type {content_type} is not supported: text/csv, text/libsvm, recordio-protobuf."
    )


def _raw(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
