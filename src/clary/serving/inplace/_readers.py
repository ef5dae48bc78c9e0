"""Rows of requests that are not CSV, into a scorer's buffer: plain ones, just as the replica reads them.

A reader returns how many rows it wrote, or 0 for what the replica should read; it never raises over a body.

Source: developer guide, "Common Data Formats for Inference"; XGBoost, "Text Input Format of DMatrix".
"""

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

Rows = np.ndarray[Any, np.dtype[np.float32]]
Reader = Callable[[bytes, Rows], int]
_STRANGE = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError)


def read_json(body: bytes, rows: Rows) -> int:
    """Read `{"instances": [{"features": [...]}, …]}`, or its sparse form."""
    try:
        return _read(json.loads(body)["instances"], rows)
    except _STRANGE:
        return 0


def read_jsonlines(body: bytes, rows: Rows) -> int:
    """Read a row of the same forms from each line."""
    try:
        return _read([json.loads(line) for line in body.split(b"\n") if line.strip()], rows)
    except _STRANGE:
        return 0


def read_libsvm(body: bytes, rows: Rows) -> int:
    """Read `<index>:<value> …` with or without a label before; what is not there is missing."""
    n_columns = rows.shape[1]
    lines = body.strip().split(b"\n")
    if len(lines) > len(rows) or b"#" in body or b"qid" in body or b"_" in body:
        return 0
    try:
        for row, line in zip(rows, lines, strict=False):
            pairs = [token.split(b":") for token in line.split() if b":" in token]
            places = [int(index) for index, _ in pairs]
            row.fill(np.nan)
            if not places or min(places) < 0 or max(places) >= n_columns or len({*places}) < len(places):
                return 0
            row[places] = _numbers([float(value) for _, value in pairs])
    except _STRANGE:
        return 0
    return 0 if np.isinf(rows[: len(lines)]).any() else len(lines)


def _read(instances: Sequence[Any], rows: Rows) -> int:
    n_rows, n_columns = len(instances), rows.shape[1]
    if not 0 < n_rows <= len(rows) or not isinstance(instances, list):
        return 0
    features = [_features(each) for each in instances]
    if isinstance(features[0], dict):
        _fill(features, rows)
    else:
        found = _numbers(features)
        if found.shape != (n_rows, n_columns):
            return 0
        rows[:n_rows] = found
    return n_rows if np.isfinite(rows[:n_rows]).all() else 0


def _numbers(values: Sequence[Any]) -> Rows:
    return np.array(values, np.float32)


def _features(instance: Any) -> Any:
    """Return a row's numbers, or its keys and values."""
    if "data" in instance and "features" in instance:
        raise ValueError("two forms at once")
    features = instance.get("data", instance)["features"]
    if isinstance(features, list):
        return features
    is_dense = isinstance(features, dict) and features.keys() == {"values"}
    return features["values"] if is_dense else features


def _fill(instances: Sequence[Mapping[str, Any]], rows: Rows) -> None:
    """Write sparse rows; raises for whatever is not plain."""
    n_columns = rows.shape[1]
    for row, each in zip(rows, instances, strict=False):
        keys, values = each["keys"], each["values"]
        width = each.get("shape") or [n_columns]
        row.fill(0.0)
        if len({*keys}) < len(keys) or len(keys) != len(values) or not keys:
            raise ValueError("keys")
        if min(keys) < 0 or width[0] > n_columns or any(type(key) is not int for key in keys):
            raise ValueError("keys")
        row[keys] = _numbers(values)


READERS: Mapping[str, Reader] = MappingProxyType(
    {"json": read_json, "jsonlines": read_jsonlines, "libsvm": read_libsvm}
)
"""By what a `Flat` calls a format."""
