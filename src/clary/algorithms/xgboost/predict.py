"""Prediction: requests in, answers out; many at once in one call of the library.

Source: open `sagemaker-xgboost-container`, serve.py and serve_utils.py: content types, statuses, texts.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from xgboost.core import XGBoostError

from clary.algorithms import _decision
from clary.algorithms._rows import RowPredictor, Scores
from clary.algorithms.base import Answer, Question, Refusal
from clary.algorithms.xgboost import _artifact, _flat
from clary.algorithms.xgboost._answers import Encoder
from clary.algorithms.xgboost._library import plain
from clary.algorithms.xgboost._scoring import Scorer
from clary.kernel.errors import CustomerError
from clary.toolkit.formats import csv, libsvm, recordio_protobuf
from clary.toolkit.formats.base import FormatError, Matrix, MediaType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from clary.toolkit.flat import Flat

_ACCEPTED = (
    "csv",
    "libsvm",
    "recordio-protobuf",
    "text/csv",
    "text/libsvm",
    "text/x-libsvm",
    "application/x-recordio-protobuf",
)
_DECIDED = ("binary:logistic", "binary:logitraw")
"""Objectives whose label a threshold decides."""
_VOTING = ("multi:softmax", "binary:hinge")
"""Objectives that predict classes: of several models the commonest class counts, else the mean."""


def load(model_dir: Path, environ: Mapping[str, str]) -> XgboostPredictor:
    """Load every model file of a folder; several are an ensemble, as cross validation leaves them.

    Raises
    ------
    CustomerError
        There is no file, or one is no model.
    """
    found = [
        path
        for path in model_dir.iterdir()
        if path.is_file() and not path.name.startswith(".") and path.name != _decision.FILE
    ]
    ours = [path for path in found if path.name.startswith(_artifact.MODEL_FILE)]
    paths = sorted(path for path in ours or found if not path.name.endswith(".sagemaker-ignore"))
    if not paths:
        raise CustomerError(f"Unable to load model: there is no file {_artifact.MODEL_FILE} in {model_dir}")
    if environ.get("SAGEMAKER_INFERENCE_ENSEMBLE", "true") != "true":
        paths = paths[:1]
    n_threads = int(environ.get("SM_NUM_CPUS") or os.cpu_count() or 1)
    scorers = [
        Scorer(_artifact.from_bytes(path.read_bytes(), f"Unable to load model: {path.name}"), n_threads)
        for path in paths
    ]
    objective = scorers[0].objective
    unfit = "" if objective in _DECIDED else f"objective {objective}"
    return XgboostPredictor(scorers, environ, _decision.threshold(model_dir, unfit=unfit))


class XgboostPredictor(RowPredictor):
    """Loaded boosters that answer requests."""

    def __init__(
        self, scorers: Sequence[Scorer], environ: Mapping[str, str], threshold: float | None = None
    ) -> None:
        self._scorers = scorers
        self._first = scorers[0]
        self._encoder = Encoder(environ, self._first.objective, self._first.n_classes, threshold)

    @property
    def n_features(self) -> int:
        """Columns of a row."""
        return self._first.n_features

    def flat(self) -> Flat | None:
        """Return the model as arrays; None for an ensemble, and for what a plain forest is not."""
        if len(self._scorers) > 1:
            return None
        n_outputs = self._first.n_classes if self._first.objective == "multi:softprob" else 1
        return _flat.flat(self._first, self._encoder.forms(n_outputs))

    def encode(self, scores: Scores, question: Question) -> Answer:
        """Spell scores, shape (n_rows,) or (n_rows, n_classes)."""
        content_type = self._encoder.type_of(question.accept)
        return Answer(self._encoder.encode(scores, content_type), content_type)

    def decode(self, question: Question) -> Matrix:
        """Decode a request.

        Raises
        ------
        Refusal
            415: another content type, or a body that is not of it; 400: another number of features.
        """
        kind, delimiter = kind_of(question.content_type)
        wanted, body = self._first.n_features, question.body
        if kind == "csv" and len(body) > csv.SHORT and (width := csv.n_columns(body, delimiter)) != wanted:
            raise _unfit(kind, width, wanted)
        try:
            if kind == "csv":
                rows: Matrix = csv.decode(body, delimiter)
            elif kind == "libsvm":
                rows = libsvm.decode(body)
            else:
                rows = recordio_protobuf.decode(body).features
        except FormatError as error:
            raise Refusal(
                415,
                f"Loading {kind} data failed with Exception, "
                f"please ensure data is in {kind} format:\n {error}",
            ) from error
        if rows.shape[1] == wanted:
            return rows
        if isinstance(rows, np.ndarray) or rows.shape[1] > wanted:
            raise _unfit(kind, rows.shape[1], wanted)
        rows.resize((rows.shape[0], wanted))
        return rows

    def score(self, rows: Matrix) -> Scores:
        """Score rows; of several models, take the mean or the commonest class."""
        try:
            if len(self._scorers) == 1:
                return self._first.score(rows)
            scores: Scores = np.stack([scorer.score(rows) for scorer in self._scorers])
        except XGBoostError as error:
            raise Refusal(400, f"Unable to evaluate payload provided: {plain(error)}") from error
        if self._first.objective not in _VOTING:
            return np.asarray(scores.mean(axis=0))
        classes, votes = np.unique(scores, return_inverse=True)
        votes = votes.reshape(scores.shape)
        winners: Scores = classes[[np.bincount(column).argmax() for column in votes.T]]
        return winners


def _unfit(kind: str, width: int, wanted: int) -> Refusal:
    relation = "larger than" if kind == "libsvm" else "not consistent with"
    text = (
        f"Unable to evaluate payload provided: Feature size of {kind} inference data {width} "
        f"is {relation} feature size of trained model {wanted}."
    )
    return Refusal(400, text)


@lru_cache(maxsize=256)
def kind_of(content_type: str) -> tuple[str, str | None]:
    """Return the format of a request, and CSV's delimiter if the content type names one.

    Raises
    ------
    Refusal
        415: none that XGBoost reads.
    """
    media = MediaType.parse(content_type)
    if media.name in csv.CONTENT_TYPES:
        if media.parameters.get("label_size", "1") not in {"0", "1"}:
            raise Refusal(415, f"{content_type} is not an accepted csv ContentType.")
        return "csv", media.parameters.get("delimiter") or None
    if media.name in {"", *libsvm.CONTENT_TYPES}:
        return "libsvm", None
    if media.name in recordio_protobuf.CONTENT_TYPES:
        return "recordio-protobuf", None
    raise Refusal(415, f"{content_type} is not an accepted ContentType: {', '.join(_ACCEPTED)}.")
