"""`decision.json` beside a model: the threshold that an evaluation found to cost least.

It is honoured by the binary classifiers among the algorithms that declare `decides`, and refused by all else:
a model that silently answered by another rule than the one exported into it would be worse than none.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from pathlib import Path

FILE = "decision.json"
"""What `clary.toolkit.evaluation.export` writes; that package is too heavy to be read for a name."""
WHO = "Binary classifiers of xgboost, linear-learner and factorization-machines do."


def threshold(model_dir: Path, *, unfit: str = "") -> float | None:
    """Return the least score of class 1 that was exported into a model; None where there is none.

    Parameters
    ----------
    unfit : str
        What the model is, where no threshold decides its labels: then a decision is refused.

    Raises
    ------
    CustomerError
        The file is no decision, or none for such a model.
    """
    path = model_dir / FILE
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text())
        kind, found = str(document.get("kind", "binary")), float(document.get("threshold", "nan"))
    except (ValueError, TypeError, AttributeError) as error:
        raise CustomerError(f"Unable to load model: {FILE}: {error}") from error
    if unfit:
        raise CustomerError(
            f"Unable to load model: {FILE}: {unfit} answers no label that a threshold decides. "
            f"{WHO} Take the file out of the model, and decide where the scores are read."
        )
    if kind != "binary" or not math.isfinite(found):
        raise CustomerError(
            f"Unable to load model: {FILE}: kind is {kind!r} and threshold {document.get('threshold')}; "
            "a binary classifier needs kind 'binary' and a number."
        )
    return found
