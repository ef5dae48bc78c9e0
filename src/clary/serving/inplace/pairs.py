"""Pairs of an entity and an IPv4 address, as lines of CSV: how well the two go together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clary.algorithms.ipinsights.events import EventError, fields, number_of, row_of
from clary.serving.inplace.base import MOST_ROWS, room
from clary.toolkit.flat import Flat, FlatError
from clary.toolkit.kernels import pairs


class Scorer:
    """Vectors and layers with their buffers."""

    n_outputs = 1

    def __init__(self, kernel: Any, arrays: Mapping[str, Any]) -> None:
        self._ask = kernel.score
        self._entities = arrays["entities"]
        self._network = tuple(arrays[name] for name in ("bits", "prefixes", "vectors", "weights", "biases"))
        width = self._entities.shape[1]
        self._room = np.empty((2, width)), np.empty((2, width))
        self.rows = room(1)
        self.n_bytes = sum(array.nbytes for array in arrays.values())

    def answer(self, body: bytes) -> Sequence[float] | None:
        """Score the pairs of a body."""
        lines = [line for line in body.split(b"\n") if line.strip()]
        if not 0 < len(lines) <= MOST_ROWS:
            return None
        try:
            asked = [
                (row_of(entity, len(self._entities)), number_of(address))
                for entity, address in map(fields, lines)
            ]
        except EventError:
            return None
        return [
            self._ask(self._entities, row, address, *self._network, *self._room) for row, address in asked
        ]

    def usual(self, name: str) -> bytes:
        """Return a body of one pair."""
        return b"somebody,192.168.1.2"

    def score(self, n_rows: int) -> Sequence[float] | None:
        """Return None: pairs are no rows of numbers."""
        return None


def load(flat: Flat) -> Scorer:
    """Check vectors and layers and make them ready."""
    kernel = pairs.compiled()
    if kernel is None:
        raise FlatError("numba is not installed")
    entities, prefixes = flat.arrays["entities"], flat.arrays["prefixes"]
    if entities.dtype != np.float32 or entities.ndim != 2 or not entities.size:
        raise FlatError(f"entities are {entities.dtype} {entities.shape}")
    if prefixes.dtype != np.int64 or prefixes.ndim != 1:
        raise FlatError(f"prefixes are {prefixes.dtype} {prefixes.shape}")
    width, n_layers = entities.shape[1], len(flat.arrays["biases"])
    shapes = {
        "bits": (32, width),
        "vectors": (len(prefixes), width),
        "weights": (n_layers, width, width),
        "biases": (n_layers, width),
    }
    for name, shape in shapes.items():
        array = flat.arrays[name]
        if array.dtype != np.float64 or array.shape != shape:
            raise FlatError(f"{name} are {array.dtype} {array.shape}")
    return Scorer(kernel, {name: flat.arrays[name] for name in ("entities", "prefixes", *shapes)})
