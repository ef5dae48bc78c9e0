"""The seam of models in place: a flat model is answered by the process that has the request.

A module of this folder is a kind of `toolkit.flat.Flat`; it has `load(flat) -> Scorer`, which believes
nothing: a file comes from a sandbox in which a customer's model was read.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clary.kernel import registry
from clary.serving.inplace._readers import READERS, Reader
from clary.toolkit import flat as flat_files
from clary.toolkit.flat import Flat, FlatError, Form

PACKAGE = "clary.serving.inplace"
TURN_S = 0.0005
"""Longest that one request may hold the event loop; longer bodies are the replica's."""
ROW_S = 0.0001
"""A model that takes longer for one row is the replica's as a whole."""
ROOM_BYTES = 1 << 20
"""Of the buffer that rows are read into."""
MOST_ROWS = 512
Answering = Callable[[bytes], Sequence[float] | None]
_SHARE = 1 / 16
"""Weight of the latest request in the measured cost."""


class Scorer(Protocol):
    """A loaded model of one kind.

    Promises
    --------
    - `answer` says of a body what the algorithm's own predictor says, bit by bit, or None.
    - Whatever the body, it ends, reads nothing but the model, and raises nothing.
    """

    n_outputs: int
    """Numbers a row."""
    n_bytes: int
    """Memory that the model takes."""
    rows: NDArray[np.float32]
    """Room for rows that others have read, shape (n_most, n_features), C order."""

    def answer(self, body: bytes) -> Sequence[float] | None:
        """Return the numbers of each row, one after the other; None for what the replica should answer."""

    def score(self, n_rows: int) -> Sequence[float] | None:
        """Return the same of the first of `rows`."""

    def usual(self, name: str) -> bytes:
        """Return a body of one usual row, in one of the formats, to be measured."""


class Model:
    """One model in place: its scorer, its spelling, and its measured cost. For one thread."""

    def __init__(self, flat: Flat, scorer: Scorer) -> None:
        self._scorer = scorer
        csv = Format(scorer.answer)
        self.formats = dict.fromkeys(flat.requests, csv)
        """By content type, as clients send it."""
        made = {name: Format(self._reading(READERS[name])) for name in {*flat.formats.values()}}
        self.formats |= {kind: made[name] for kind, name in flat.formats.items()}
        self._spellings = {accept: _Spelling(form, scorer.n_outputs) for accept, form in flat.forms.items()}
        self._n_outputs = scorer.n_outputs
        self.n_bytes = scorer.n_bytes
        self.row_s = csv.measure(scorer.usual("csv"))
        for name, each in made.items():
            if self.row_s <= ROW_S:
                each.measure(scorer.usual(name))

    def _reading(self, read: Reader) -> Answering:
        """Return a way to answer bodies that are read first, and scored then."""
        scorer = self._scorer

        def answer(body: bytes) -> Sequence[float] | None:
            n_rows = read(body, scorer.rows)
            return scorer.score(n_rows) if n_rows else None

        return answer

    def answer(self, body: bytes, content_type: str, accept: str) -> tuple[str, bytes] | None:
        """Return the answer's content type and body; None for a request that the replica should answer."""
        spelling, way = self._spellings.get(accept), self.formats.get(content_type)
        if spelling is None or way is None or len(body) > way.most_bytes:
            return None
        begun = perf_counter()
        values = way.answer(body)
        if values is None or not math.isfinite(sum(values)):
            return None
        text = spelling.one % tuple(values) if len(values) == self._n_outputs else spelling.many(values)
        found = spelling.content_type, text.encode()
        took_s = (perf_counter() - begun) / (len(body) + 64)
        cost_s = way.cost_s
        way.cost_s = cost_s = cost_s + (min(took_s, 4 * cost_s) - cost_s) * _SHARE
        way.most_bytes = int(TURN_S / cost_s)
        return found

    def relax(self) -> None:
        """Come back towards the cost of the first measurement: what made it dear may be over."""
        for way in {*self.formats.values()}:
            way.relax()


class Format:
    """One way to read bodies, and what it costs for this model."""

    __slots__ = ("_first_cost_s", "answer", "cost_s", "most_bytes")

    def __init__(self, answer: Answering) -> None:
        self.answer = answer
        self._first_cost_s = self.cost_s = TURN_S
        """Seconds for one byte of a body."""
        self.most_bytes = 1

    def measure(self, row: bytes) -> float:
        """Learn the cost from a body of one row; return the seconds it took."""
        best_s = math.inf
        for _ in range(8):
            begun = perf_counter()
            self.answer(row)
            best_s = min(best_s, perf_counter() - begun)
        self._first_cost_s = self.cost_s = max(best_s / len(row), 1e-10)
        self.most_bytes = int(TURN_S / self.cost_s)
        return best_s

    def relax(self) -> None:
        """Come back towards the first cost."""
        self.cost_s += (self._first_cost_s - self.cost_s) * _SHARE
        self.most_bytes = int(TURN_S / self.cost_s)


class _Spelling:
    """A form, made ready for `%`."""

    __slots__ = ("_between", "_end", "_n_outputs", "_row", "_start", "content_type", "one")

    def __init__(self, form: Form, n_outputs: int) -> None:
        if len(form.pieces) != n_outputs + 1:
            raise FlatError(f"a row of {n_outputs} numbers has {len(form.pieces)} pieces around them")
        pieces = [piece.replace("%", "%%") for piece in form.pieces]
        marks = ["%d" if place in form.integers else "%r" for place in range(n_outputs)]
        self._row = "".join(
            [pieces[0], *(mark + piece for mark, piece in zip(marks, pieces[1:], strict=True))]
        )
        self._start, self._between, self._end = (
            piece.replace("%", "%%") for piece in (form.start, form.between, form.end)
        )
        self._n_outputs = n_outputs
        self.content_type = form.content_type
        self.one = self._start + self._row + self._end

    def many(self, values: Sequence[float]) -> str:
        n_rows = len(values) // self._n_outputs
        return (self._start + self._between.join([self._row] * n_rows) + self._end) % tuple(values)


def usual(name: str, n_features: int, n_filled: int | None = None) -> bytes:
    """Return a body of one row in one of the formats, with as many values as are usually not zero."""
    n_values = n_features if n_filled is None else n_filled
    values = ["0.12345678"] * n_values + ["0"] * (n_features - n_values)
    if name == "libsvm":
        return " ".join(f"{place}:{value}" for place, value in enumerate(values)).encode()
    row = ",".join(values)
    if name == "csv":
        return row.encode()
    line = f'{{"features": [{row}]}}'
    return (line if name == "jsonlines" else f'{{"instances": [{line}]}}').encode()


def room(n_features: int) -> NDArray[np.float32]:
    """Return a buffer for rows.

    Raises
    ------
    FlatError
        Not even one fits.
    """
    if not 1 <= n_features <= ROOM_BYTES // 4:
        raise FlatError(f"{n_features} features")
    return np.empty((max(1, min(MOST_ROWS, ROOM_BYTES // (4 * n_features))), n_features), np.float32)


def load(path: Path, *, most_bytes: int) -> Model:
    """Read, check and measure a flat model.

    Raises
    ------
    FlatError
        It is not one, or too slow to be answered in place; the text says why.
    OSError
        There is none.
    """
    flat = flat_files.read(path, most_bytes=most_bytes)
    try:
        member = registry.member(PACKAGE, flat.kind)
        model = Model(flat, member.load(flat))
    except (LookupError, ValueError, TypeError, ImportError) as error:
        raise FlatError(f"{flat.kind}: {error}") from error
    if model.row_s > ROW_S:
        raise FlatError(f"a row takes {model.row_s * 1e6:.0f} us, more than {ROW_S * 1e6:.0f}")
    return model
