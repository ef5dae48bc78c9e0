"""Answers of the service's own algorithms: columns of what a model says, in the form that was asked for.

Source: developer guide, "Common Data Formats for Inference" and each algorithm's "Response Formats".
"""

from __future__ import annotations

import json
from abc import abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from clary.algorithms import _requests
from clary.algorithms._rows import RowPredictor, Scores
from clary.algorithms.base import Answer, Question, Refusal
from clary.toolkit.flat import Form
from clary.toolkit.formats import csv, jsonlines, recordio_protobuf
from clary.toolkit.formats.base import Matrix, MediaType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Columns: TypeAlias = "Mapping[str, NDArray[Any]]"
"""Members of an answer: shape (n_rows,) for a number, (n_rows, n) for a list."""

JSON, JSONLINES, CSV, RECORDIO = (
    "application/json",
    "application/jsonlines",
    "text/csv",
    "application/x-recordio-protobuf",
)
REQUESTS = (
    "text/csv",
    "csv",
    "text/csv; charset=utf-8",
    "text/csv;charset=utf-8",
    "text/csv; label_size=0",
    "text/csv;label_size=0",
)
"""Content types of CSV that is features alone, as clients send them."""
FORMATS = {
    **dict.fromkeys((JSON, "application/json; charset=utf-8", "application/json;charset=utf-8"), "json"),
    **dict.fromkeys(jsonlines.CONTENT_TYPES, "jsonlines"),
}
"""Further content types that are answered in place, and as what they are read."""
_VERBOSE = ("", "; verbose=true", ";verbose=true")
_MARK = "*"
_NAMES = {
    **dict.fromkeys(("application/json",), JSON),
    **dict.fromkeys(jsonlines.CONTENT_TYPES, JSONLINES),
    **dict.fromkeys(csv.CONTENT_TYPES, CSV),
    **dict.fromkeys(recordio_protobuf.CONTENT_TYPES, RECORDIO),
}


@lru_cache(maxsize=256)
def accepted(accept: str, default: str) -> tuple[str, bool]:
    """Return the content type of an answer, and whether it shall be verbose.

    Raises
    ------
    Refusal
        406: none of those accepted is ours.
    """
    members = [MediaType.parse(member) for member in accept.split(",")]
    for media in members:
        is_verbose = media.parameters.get("verbose", "").lower() == "true"
        if media.name in {"", "*/*"}:
            return default, is_verbose
        if media.name in _NAMES:
            return _NAMES[media.name], is_verbose
    raise Refusal(
        406,
        f"Accept type {members[0].name} is not supported. Please use supported accept types: "
        f"{', '.join((JSON, JSONLINES, CSV, RECORDIO))}.",
    )


def encode(columns: Columns, content_type: str, root: str = "predictions") -> bytes:
    """Spell columns, row by row, as one of the four content types."""
    if content_type == RECORDIO:
        return recordio_protobuf.encode_columns(columns)
    lists = [values.tolist() for values in columns.values()]
    if content_type == CSV:
        wide = [
            [",".join(map(repr, cell)) for cell in column] if values.ndim > 1 else list(map(repr, column))
            for column, values in zip(lists, columns.values(), strict=True)
        ]
        return "".join(",".join(cells) + "\n" for cells in zip(*wide, strict=True)).encode()
    names = tuple(columns)
    rows = [dict(zip(names, cells, strict=True)) for cells in zip(*lists, strict=True)]
    if content_type == JSONLINES:
        return jsonlines.encode(rows)
    return json.dumps({root: rows}).encode()


def form(columns: Columns, content_type: str, root: str = "predictions") -> Form:
    """Return how `encode` spells rows that have such columns; only their names and shapes count."""
    counts = {name: 0 if values.ndim == 1 else values.shape[1] for name, values in columns.items()}
    integers: list[int] = []
    place = 0
    for name, values in columns.items():
        n_cells = max(1, counts[name])
        if np.issubdtype(values.dtype, np.integer):
            integers += range(place, place + n_cells)
        place += n_cells
    if content_type == CSV:
        pieces = ("", *[","] * (place - 1), "")
        return Form(content_type=CSV, pieces=pieces, between="\n", end="\n", integers=tuple(integers))
    marked = {name: [_MARK] * n if n else _MARK for name, n in counts.items()}
    pieces = tuple(json.dumps(marked).split(json.dumps(_MARK)))
    ends = {JSONLINES: ("", "\n", "\n"), JSON: (f"{{{json.dumps(root)}: [", ", ", "]}")}[content_type]
    start, between, end = ends
    return Form(
        content_type=content_type,
        pieces=pieces,
        start=start,
        between=between,
        end=end,
        integers=tuple(integers),
    )


class ColumnPredictor(RowPredictor):
    """A model of rows whose answers have named members; an algorithm gives `score` and `columns`."""

    root: ClassVar[str] = "predictions"
    """Member of a JSON answer that holds the rows."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        default = environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or JSON
        self._default = _NAMES.get(MediaType.parse(default).name, JSON)

    @abstractmethod
    def columns(self, scores: Scores, *, is_verbose: bool) -> Columns:
        """Return the members of answers to rows that were scored."""

    def decode(self, question: Question) -> Matrix:
        """Read a request; Refusal where it is none, or has another number of features."""
        return _requests.decode(question, self.n_features)

    def encode(self, scores: Scores, question: Question) -> Answer:
        """Spell scores as `question` accepts them; Refusal 406 where nothing it accepts is ours."""
        content_type, is_verbose = accepted(question.accept, self._default)
        return Answer(
            encode(self.columns(scores, is_verbose=is_verbose), content_type, self.root), content_type
        )

    def forms(self, scores: Scores) -> dict[str, Form]:
        """Return the spellings of answers whose scores have that shape, by what clients usually accept."""
        found = {}
        for accept in ("", "*/*", *(name + more for name in (JSON, JSONLINES, CSV) for more in _VERBOSE)):
            content_type, is_verbose = accepted(accept, self._default)
            if content_type != RECORDIO:
                found[accept] = form(self.columns(scores, is_verbose=is_verbose), content_type, self.root)
        return found


def product(rows: Matrix, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `rows @ weights`, in double precision, so that a batch says what its members say alone.

    Notes
    -----
    How a BLAS adds up depends on the number of rows. What is left of that in double precision is far below
    what the answer's single precision keeps.
    """
    if isinstance(rows, np.ndarray):
        return np.asarray(rows.astype(np.float64) @ weights)
    return np.asarray(rows.astype(np.float64) @ weights)
