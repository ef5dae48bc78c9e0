"""Requests of rows: JSON, JSON Lines, CSV, recordio-protobuf, dense or sparse.

Source: developer guide, "Common Data Formats for Inference" and "k-NN Request and Response Formats".
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms._feed import is_finite
from clary.algorithms.base import Refusal
from clary.toolkit.formats import csv, jsonlines, recordio_protobuf
from clary.toolkit.formats.base import FormatError, Matrix, MediaType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.algorithms.base import Question

JSON = ("application/json",)
_REFUSED = "unable to evaluate payload provided"


def decode(question: Question, n_features: int) -> Matrix:
    """Read the rows of a request.

    Returns
    -------
    ndarray or CSR matrix, shape (n_rows, n_features)
        Float32, C order, no missing values.

    Raises
    ------
    Refusal
        415: another content type; 400: the body is not of it, or its rows do not suit the model.
    """
    kind, n_labels, delimiter = kind_of(question.content_type)
    try:
        if kind == "csv":
            body = question.body
            if len(body) > csv.SHORT and (width := csv.n_columns(body, delimiter)) != n_features + n_labels:
                raise _unfit(width - n_labels, n_features)
            rows: Matrix = csv.decode(question.body, delimiter)[:, n_labels:]
        elif kind == "json":
            rows = _instances(question.body, n_features)
        elif kind == "jsonlines":
            rows = _matrix(jsonlines.decode(question.body), n_features)
        else:
            rows = recordio_protobuf.decode(question.body).features
    except FormatError as error:
        raise Refusal(400, f"{_REFUSED}: {error}") from error
    return _suitable(rows, n_features)


@lru_cache(maxsize=256)
def kind_of(content_type: str) -> tuple[str, int, str | None]:
    """Return the format of a request, and CSV's label columns and delimiter.

    Raises
    ------
    Refusal
        415: none of ours.
    """
    media = MediaType.parse(content_type)
    if media.name in csv.CONTENT_TYPES:
        size = media.parameters.get("label_size", "0")
        if not size.isdigit():
            raise Refusal(415, f"{content_type} is not an accepted ContentType: label_size must be a number")
        return "csv", int(size), media.parameters.get("delimiter") or None
    if media.name in JSON:
        return "json", 0, None
    if media.name in jsonlines.CONTENT_TYPES:
        return "jsonlines", 0, None
    if media.name in {"", *recordio_protobuf.CONTENT_TYPES}:
        return "recordio", 0, None
    raise Refusal(
        415,
        f"{content_type} is not an accepted ContentType: text/csv, application/json, application/jsonlines, "
        "application/x-recordio-protobuf.",
    )


def _unfit(width: int, n_features: int) -> Refusal:
    return Refusal(400, f"{_REFUSED}: rows have {width} features, and the model has {n_features}")


def _suitable(rows: Matrix, n_features: int) -> Matrix:
    if rows.shape[1] != n_features:
        if isinstance(rows, np.ndarray) or rows.shape[1] > n_features:
            raise _unfit(rows.shape[1], n_features)
        rows.resize((rows.shape[0], n_features))
    values = rows if isinstance(rows, np.ndarray) else rows.data
    if not is_finite(values):
        raise Refusal(400, f"{_REFUSED}: a feature is missing or infinite")
    return np.ascontiguousarray(rows) if isinstance(rows, np.ndarray) else rows


def _instances(body: bytes, n_features: int) -> Matrix:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise FormatError(f"the body is not JSON: {error}") from error
    instances = document.get("instances") if isinstance(document, dict) else None
    if not isinstance(instances, list) or not instances:
        raise FormatError('the body must be an object {"instances": [...]}, with a member for each row')
    return _matrix(instances, n_features)


def _matrix(instances: Sequence[Any], n_features: int) -> Matrix:
    if not instances:
        raise FormatError("there are no rows")
    try:
        return np.array([each["features"] for each in instances], np.float32, ndmin=2)
    except (KeyError, TypeError, ValueError, OverflowError):
        return _careful(instances, n_features)


def _careful(instances: Sequence[Any], n_features: int) -> Matrix:
    """Read rows of every documented form, or say which is of none."""
    rows = [_row(number, each) for number, each in enumerate(instances)]
    if all(keys is None for _, keys, _ in rows):
        widths = sorted({values.size for values, _, _ in rows})
        if len(widths) > 1:
            raise FormatError(f"rows differ in their number of features: {', '.join(map(str, widths))}")
        return np.stack([values for values, _, _ in rows])
    from scipy import sparse  # noqa: PLC0415 - 40 ms that dense data need not pay

    keys = [np.arange(values.size) if given is None else given for values, given, _ in rows]
    width = max(
        n_features, *(int(each.max()) + 1 for each in keys if each.size), *(size for *_, size in rows)
    )
    indptr = np.concatenate(([0], np.cumsum([each.size for each in keys])))
    values = np.concatenate([values for values, _, _ in rows])
    return sparse.csr_matrix((values, np.concatenate(keys), indptr), shape=(len(rows), width))


def _row(number: int, instance: Any) -> tuple[Any, Any, int]:
    """Return values, keys or None, and the width that the row claims."""
    features = instance
    if isinstance(features, dict):
        features = features.get("data", features)
        features = features.get("features", features) if isinstance(features, dict) else features
    keys, width = None, 0
    try:
        if isinstance(features, dict):
            keys = features.get("keys") or None
            width = int((features.get("shape") or [0])[0])
            values = np.array(features["values"], np.float32)
            if keys is None and width > values.size:
                keys = []
            keys = None if keys is None else np.array(keys, np.int64)
        else:
            values = np.array(features, np.float32)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise FormatError(
            f'row {number} must be {{"features": [numbers]}} or {{"data": {{"features": {{"values": '
            '[numbers], "keys": [columns], "shape": [columns]}}}}'
        ) from error
    if values.ndim != 1 or (keys is not None and (keys.shape != values.shape or (keys < 0).any())):
        raise FormatError(f"row {number} must have one value for each key, and no lists in lists")
    return values, keys, width
