"""Answers: scores in the form that was asked for.

Source: open `sagemaker-xgboost-container`, serve.py and serve_utils.py; sagemaker-containers, _encoders.py.
Images before 1.5 join rows by commas, later ones end each row by a newline.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from clary.algorithms.base import Refusal
from clary.toolkit.flat import Form
from clary.toolkit.formats import csv, jsonlines, recordio_protobuf
from clary.toolkit.formats.base import MediaType
from clary.toolkit.transform import floats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CSV, JSON = "text/csv", "application/json"
JSONLINES, RECORDIO = "application/jsonlines", "application/x-recordio-protobuf"
SUPPORTED = (JSON, JSONLINES, RECORDIO, CSV)

_LABELS = ("predicted_label", "labels")
_RAW = ("raw_score", "raw_scores")
_ALL = (*_LABELS, "probability", "probabilities", *_RAW)
_NUMBER = ("predicted_score",)
SELECTABLE: Mapping[str, tuple[str, ...]] = {
    "reg:squarederror": _NUMBER,
    "reg:logistic": _NUMBER,
    "reg:gamma": _NUMBER,
    "reg:absoluteerror": _NUMBER,
    "reg:tweedie": _NUMBER,
    "binary:logistic": _ALL,
    "binary:logitraw": (*_LABELS, *_RAW),
    "binary:hinge": (*_LABELS, *_RAW),
    "multi:softmax": (*_LABELS, *_RAW),
    "multi:softprob": _ALL,
}
"""What `SAGEMAKER_INFERENCE_OUTPUT` may select, by objective."""


class Encoder:
    """Spells scores, as one replica's environment and image version ask.

    Parameters
    ----------
    threshold : float, optional
        Of a model with two classes, where an evaluation chose one: the score from which the label is 1.
    """

    def __init__(
        self, environ: Mapping[str, str], objective: str, n_classes: int, threshold: float | None = None
    ) -> None:
        self._default = environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or CSV
        self._is_batch = bool(environ.get("SAGEMAKER_BATCH"))
        self._ends_rows = ends_rows(environ.get("CLARY_IMAGE_VERSION", ""))
        selected = environ.get("SAGEMAKER_INFERENCE_OUTPUT")
        self._selected = selected.replace(" ", "").lower().split(",") if selected is not None else None
        self._objective = objective
        self._n_classes = n_classes
        self._threshold = threshold
        self._accepted: dict[str, str] = {}

    def type_of(self, accept: str) -> str:
        """Return the content type of the answer to a request with `accept`.

        Raises
        ------
        Refusal
            406: none of them is supported.
        """
        known = self._accepted.get(accept)
        if known is None:
            known = self._choose(accept)
            if len(self._accepted) < 256:
                self._accepted[accept] = known
        return known

    def _choose(self, accept: str) -> str:
        wanted = [MediaType.parse(member).name for member in accept.split(",")]
        for name in wanted:
            if name in {"", "*/*"}:
                return self._default
            if name in SUPPORTED:
                return name
        raise Refusal(
            406,
            f"Accept type {wanted[0]} is not supported. "
            f"Please use supported accept types: {list(SUPPORTED)}.",
        )

    def encode(self, scores: Any, content_type: str) -> bytes:
        """Spell scores, shape (n_rows,) or (n_rows, n_classes)."""
        if self._is_batch and self._selected is None:
            return floats.lines(scores)
        values = scores.tolist()
        if self._selected is not None:
            return self._encode_selected(values, content_type)
        if content_type == CSV:
            return csv.encode(values) if self._ends_rows else ",".join(map(str, values)).encode()
        rows = [{"score": value} for value in values]
        return _spelled(rows, content_type)

    def forms(self, n_outputs: int) -> dict[str, Form]:
        """Return the spellings as forms, by what clients usually accept; none where members are selected."""
        if self._selected is not None or self._is_batch:
            return {}
        found = {}
        for accept in ("", "*/*", CSV, JSON, JSONLINES):
            content_type = self.type_of(accept)
            if content_type != RECORDIO:
                found[accept] = _form(content_type, n_outputs, ends_rows=self._ends_rows)
        return found

    def _encode_selected(self, values: Sequence[Any], content_type: str) -> bytes:
        assert self._selected is not None
        if self._objective not in SELECTABLE:
            message = f"Objective `{self._objective}` unsupported for selectable inference predictions."
            raise Refusal(500, message)
        rows = [
            select(value, self._selected, self._objective, self._n_classes, self._threshold)
            for value in values
        ]
        if content_type != CSV:
            return _spelled(rows, content_type)
        lines = [",".join(map(_field, row.values())) for row in rows]
        return ("\n".join(lines) + ("\n" if self._is_batch else "")).encode()


def _form(content_type: str, n_outputs: int, *, ends_rows: bool) -> Form:
    several = n_outputs > 1
    if content_type == CSV and ends_rows:
        pieces = ("", *[","] * (n_outputs - 1), "")
        return Form(content_type=CSV, pieces=pieces, between="\n", end="\n")
    row = ("[", *[", "] * (n_outputs - 1), "]") if several else ("", "")
    if content_type == CSV:
        return Form(content_type=CSV, pieces=row, between=",")
    pieces = (f'{{"score": {row[0]}', *row[1:-1], row[-1] + "}")
    if content_type == JSONLINES:
        return Form(content_type=content_type, pieces=pieces, between="\n", end="\n")
    return Form(content_type=content_type, pieces=pieces, start='{"predictions": [', between=", ", end="]}")


def _field(value: Any) -> str:
    return f'"{value}"' if isinstance(value, list) else str(value)


def ends_rows(version: str) -> bool:
    r"""Say whether an image ends each row of CSV by `\n`; older and unknown ones join rows by commas."""
    match = re.match(r"(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) >= (1, 5)


def _spelled(rows: Sequence[Mapping[str, Any]], content_type: str) -> bytes:
    if content_type == JSON:
        return json.dumps({"predictions": rows}).encode()
    if content_type == JSONLINES:
        return jsonlines.encode(rows)
    return recordio_protobuf.encode(rows)


def select(
    value: Any, selected: Sequence[str], objective: str, n_classes: int, threshold: float | None = None
) -> dict[str, Any]:
    """Return the selected members of one prediction; NaN where the objective has no such member."""
    valid = SELECTABLE[objective]
    found = _members(value, objective, n_classes, threshold)
    return {name: found[name] if name in valid else math.nan for name in selected}


def _members(value: Any, objective: str, n_classes: int, threshold: float | None) -> dict[str, Any]:
    """Return all that can be said of one prediction."""
    if objective in {"reg:squarederror", "reg:logistic", "reg:gamma", "reg:absoluteerror", "reg:tweedie"}:
        return {"predicted_score": value}
    if objective == "multi:softprob":
        best = max(range(len(value)), key=value.__getitem__)
        label, score, scores = best, value[best], list(value)
    else:
        score, scores = value, [1.0 - value, value]
        label = (
            value if objective in {"binary:hinge", "multi:softmax"} else _label(value, objective, threshold)
        )
    classes = list(range(n_classes)) if objective.startswith("multi:") else [0, 1]
    return {
        "predicted_label": label,
        "labels": classes,
        "probability": score,
        "probabilities": scores,
        "raw_score": score,
        "raw_scores": scores,
    }


def _label(value: float, objective: str, threshold: float | None) -> int:
    if threshold is not None:
        return int(value >= threshold)
    return int(value > (0.0 if objective == "binary:logitraw" else 0.5))
