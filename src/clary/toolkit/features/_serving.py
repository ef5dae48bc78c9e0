"""Script mode of an exported feature pipeline: `inference.py` of its archive.

Text rows in (CSV without a header, JSON, NPY), transformed rows out; every function is SageMaker's own.
"""

import io
import json
import os
from typing import Any

import joblib
import numpy as np
import pandas as pd


def model_fn(model_dir: str) -> Any:
    """Return the fitted pipeline and its columns."""
    with open(os.path.join(model_dir, "columns.json")) as file:
        columns = json.load(file)
    return joblib.load(os.path.join(model_dir, "features.joblib")), columns


def input_fn(body: Any, content_type: str) -> Any:
    """Return the rows of a request, as text where the type tells no more."""
    kind = content_type.split(";", maxsplit=1)[0].strip().lower()
    if kind == "text/csv":
        text = body.decode() if isinstance(body, bytes) else body
        return pd.read_csv(io.StringIO(text), header=None, dtype=str, keep_default_na=True)
    if kind == "application/json":
        found = json.loads(body)
        rows = found.get("instances", found) if isinstance(found, dict) else found
        rows = [each.get("features", each) if isinstance(each, dict) else each for each in rows]
        return pd.DataFrame(rows)
    if kind == "application/x-npy":
        return pd.DataFrame(np.load(io.BytesIO(body), allow_pickle=False))
    raise ValueError(
        f"content type {content_type}: it must be text/csv, application/json or application/x-npy"
    )


def predict_fn(rows: Any, model: Any) -> Any:
    """Return the transformed rows."""
    pipeline, columns = model
    found = pipeline.transform(_typed(rows, columns))
    return found.toarray() if hasattr(found, "toarray") else np.asarray(found)


def output_fn(found: Any, accept: str) -> Any:
    """Return the answer; CSV is what the next container of a pipeline reads."""
    kind = accept.split(",", maxsplit=1)[0].split(";", maxsplit=1)[0].strip().lower()
    if kind == "application/json":
        return json.dumps(found.tolist()), kind
    if kind == "application/x-npy":
        file = io.BytesIO()
        np.save(file, found)
        return file.getvalue(), kind
    text = io.StringIO()
    pd.DataFrame(found).to_csv(text, header=False, index=False)
    return text.getvalue(), "text/csv"


def _typed(rows: Any, columns: Any) -> Any:
    """Give the rows the names and types that were fitted."""
    names = columns["names"]
    if not names:
        return rows.apply(pd.to_numeric).to_numpy()
    if set(names) <= set(map(str, rows.columns)):
        rows = rows[names]
    elif len(rows.columns) == len(names):
        rows = rows.set_axis(names, axis=1)
    else:
        raise ValueError(f"{len(rows.columns)} columns; there must be {len(names)}: {', '.join(names)}")
    is_number = {
        name for name, kind in columns["types"].items() if kind.startswith(("int", "float", "uint", "bool"))
    }
    return rows.apply(lambda values: pd.to_numeric(values) if values.name in is_number else values)
