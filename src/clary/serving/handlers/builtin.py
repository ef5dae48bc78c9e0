"""A built-in algorithm's model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from clary.algorithms import base
from clary.algorithms.base import Answer, Predictor, Question
from clary.serving.handlers.base import Bound
from clary.toolkit.flat import Flat


class Builtin:
    """Answers from an algorithm's predictor."""

    is_concurrent = True

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self._predict_many = predictor.predict_many

    def answer_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer every question in one call of the library, where the algorithm can."""
        return self._predict_many(questions)

    def on_device(self, bound: Bound) -> None:
        """Predict where `bound` says."""
        self._predict_many = bound(self._predict_many)

    def flat(self) -> Flat | None:
        """Return the model as plain arrays, where the algorithm can."""
        make = getattr(self.predictor, "flat", None)
        found: Flat | None = make() if make is not None else None
        return found


def load(name: str, model_dir: Path, environ: Mapping[str, str]) -> Builtin:
    """Load the model of algorithm `name`."""
    return Builtin(base.find(name).load(model_dir, environ))
