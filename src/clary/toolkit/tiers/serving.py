"""Script mode of a tiered model: `from clary.toolkit.tiers.serving import *` in an entry point serves it.

CSV rows in the order of the features (or with a header line of their names) or JSON; the answer has the class
and score of each tier, and the path.
"""

import io
import json
from typing import Any

import pandas as pd

from clary.toolkit.tiers import Tiers

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]


def model_fn(model_dir: str) -> Tiers:
    """Return the model of a folder."""
    return Tiers.load(model_dir)


def input_fn(body: Any, content_type: str) -> pd.DataFrame:
    """Return the rows of a request."""
    kind = content_type.split(";", maxsplit=1)[0].strip().lower()
    if kind == "text/csv":
        text = body.decode() if isinstance(body, bytes | bytearray) else body
        return pd.read_csv(io.StringIO(text), header=None)
    if kind == "application/json":
        found = json.loads(body)
        rows = found.get("instances", found) if isinstance(found, dict) else found
        return pd.DataFrame([each.get("features", each) if isinstance(each, dict) else each for each in rows])
    raise ValueError(f"content type {content_type}: it must be text/csv or application/json")


def predict_fn(rows: pd.DataFrame, model: Tiers) -> pd.DataFrame:
    """Return the decisions."""
    names = model.features or []
    if set(names) <= set(map(str, rows.columns)):
        rows = rows[names]
    elif len(rows.columns) != len(names):
        raise ValueError(f"{len(rows.columns)} columns; there must be {len(names)}: {', '.join(names)}")
    elif [str(each) for each in rows.iloc[0]] == names:
        rows = pd.read_csv(io.StringIO(rows.to_csv(index=False, header=False)))
    else:
        rows = rows.set_axis(names, axis=1)
    return model.predict(rows)


def output_fn(found: pd.DataFrame, accept: str) -> tuple[str, str]:
    """Return the answer: JSON with a member a row, or CSV of the same columns."""
    kind = accept.split(",", maxsplit=1)[0].split(";", maxsplit=1)[0].strip().lower()
    if kind == "text/csv":
        return found.to_csv(index=False, header=False), kind
    rows = found.astype(object).where(found.notna(), None).to_dict("records")
    return json.dumps(rows), "application/json"
