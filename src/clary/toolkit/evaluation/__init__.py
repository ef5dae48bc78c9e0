"""What a model is worth: figures, their spread, what its errors cost, and the threshold that costs least.

    predictions ──▶ evaluate ──▶ evaluation.json   SageMaker's model-quality form
                              ├─▶ report.html      pictures, tables, one file
                              └─▶ decision.json    the threshold, for the model's folder

A kind of prediction is one file of this folder: binary, multiclass, regression, ranking.
"""

from typing import Any

import pandas as pd

from clary.kernel import registry
from clary.toolkit.evaluation._costs import Costs
from clary.toolkit.evaluation._counts import Sweep
from clary.toolkit.evaluation._decision import Decision, export
from clary.toolkit.evaluation.base import Evaluation, Metric, Options

__all__ = ["Costs", "Decision", "Evaluation", "Metric", "Options", "Sweep", "evaluate", "export", "kinds"]


def kinds() -> tuple[str, ...]:
    """Return the kinds of prediction that can be judged."""
    return registry.stems(__name__)


def evaluate(rows: pd.DataFrame, *, kind: str = "", **options: Any) -> Evaluation:
    """Judge predictions.

    Parameters
    ----------
    rows : DataFrame
        A row a prediction; `options` say which columns are what.
    kind : str
        One of `kinds()`; without, what the columns look like.
    options : Any
        Members of `Options`: `label`, `score`, `weight`, `group`, `slices`, `costs`, `positive`, `threshold`,
        `seed`, `n_resamples`.

    Raises
    ------
    ValueError
        A column is missing or has values that cannot be judged; the text names it.
    """
    for name in ("score", "slices"):
        if isinstance(options.get(name), str):
            options[name] = (options[name],)
    read = Options(**options)
    if not len(rows):
        raise ValueError("there are no rows to judge")
    found = kind or _guess(rows, read)
    try:
        member = registry.member(__name__, found)
    except LookupError:
        raise ValueError(f"kind {found!r}: it must be one of {', '.join(kinds())}") from None
    answer: Evaluation = member.evaluate(rows, read)
    return answer


def _guess(rows: pd.DataFrame, options: Options) -> str:
    if options.group:
        return "ranking"
    if len(options.score) > 1:
        return "multiclass"
    labels = rows[options.label] if options.label in rows else pd.Series(dtype=float)
    if labels.nunique() <= 2:
        return "binary"
    return "regression" if pd.api.types.is_float_dtype(labels) or labels.nunique() > 50 else "multiclass"
