"""Encoders: from a sequence of tokens to a vector.

    pooled_embedding   the mean of the tokens' vectors
    hcnn               layers of convolutions; each layer's maxima over the tokens are a part of the vector
    bilstm             layers of memory cells in both directions; the maxima of the last over the tokens

Source
------
Conneau et al. (2017), "Supervised learning of universal sentence representations", arXiv:1705.02364, for the
two networks; Hochreiter and Schmidhuber (1997), doi:10.1162/neco.1997.9.8.1735.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy import sparse

from clary.algorithms._gradients import by_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from clary.algorithms.object2vec._pairs import Tokens

Arrays: TypeAlias = "Mapping[str, NDArray[Any]]"
Rows: TypeAlias = "tuple[NDArray[np.intp], NDArray[Any]]"
"""Touched rows of the tokens' vectors, and their gradients."""


def glorot(draw: np.random.Generator, n_in: int, n_out: int) -> NDArray[np.float32]:
    """Return weights to begin with."""
    return np.asarray(
        draw.standard_normal((n_in, n_out), np.float32) * np.float32(np.sqrt(2 / (n_in + n_out)))
    )


class Encoder(ABC):
    """One side's network; its parameters' names begin with `prefix`."""

    def __init__(self, prefix: str, width: int, n_columns: int, n_layers: int, filter_width: int) -> None:
        self.prefix = prefix
        self.width = width
        """Numbers of an encoding."""
        self.n_columns = n_columns
        """Of a token's vector."""
        self.n_layers = n_layers
        self.filter_width = filter_width

    @abstractmethod
    def begin(self, draw: np.random.Generator) -> dict[str, NDArray[np.float32]]:
        """Return parameters to begin with, the tokens' vectors not among them."""

    @abstractmethod
    def encode(self, arrays: Arrays, table: NDArray[Any], tokens: Tokens) -> tuple[NDArray[Any], Any]:
        """Return encodings, shape (n_sequences, width), and what the way back needs."""

    @abstractmethod
    def back(self, arrays: Arrays, gradient: NDArray[Any], tape: Any) -> tuple[dict[str, NDArray[Any]], Rows]:
        """Return the gradients of the parameters, and of the tokens' vectors."""


class Pooled(Encoder):
    """The mean of the tokens' vectors."""

    def begin(self, draw: np.random.Generator) -> dict[str, NDArray[np.float32]]:
        """Return nothing: it has no parameters of its own."""
        return {}

    def encode(self, arrays: Arrays, table: NDArray[Any], tokens: Tokens) -> tuple[NDArray[Any], Any]:
        """Return the means."""
        lengths = np.maximum(tokens.lengths, 1)
        if len(tokens.tokens) == len(lengths) and tokens.lengths.all():
            return table[tokens.tokens], (tokens, None)
        shares = np.repeat((1 / lengths).astype(table.dtype), tokens.lengths)
        uses = sparse.csr_matrix((shares, tokens.tokens, tokens.starts), shape=(len(lengths), len(table)))
        return np.asarray(uses @ table), (tokens, lengths)

    def back(self, arrays: Arrays, gradient: NDArray[Any], tape: Any) -> tuple[dict[str, NDArray[Any]], Rows]:
        """Return the gradients of the tokens' vectors."""
        tokens, lengths = tape
        if lengths is not None:
            gradient = gradient / lengths[:, None].astype(gradient.dtype)
        return {}, by_row(tokens.tokens, tokens.starts, gradient)


class Convolutional(Encoder):
    """Layers of convolutions."""

    def _channels(self) -> list[int]:
        base, more = divmod(self.width, self.n_layers)
        return [base + (layer < more) for layer in range(self.n_layers)]

    def begin(self, draw: np.random.Generator) -> dict[str, NDArray[np.float32]]:
        """Return filters."""
        found, n_in = {}, self.n_columns
        for layer, n_out in enumerate(self._channels()):
            found[f"{self.prefix}filter_{layer}"] = glorot(draw, self.filter_width * n_in, n_out)
            found[f"{self.prefix}bias_{layer}"] = np.zeros(n_out, np.float32)
            n_in = n_out
        return found

    def encode(self, arrays: Arrays, table: NDArray[Any], tokens: Tokens) -> tuple[NDArray[Any], Any]:
        """Return the maxima of every layer."""
        padded, is_there = tokens.padded()
        n, length = padded.shape
        there = is_there[:, :, None]
        values = table[padded] * there
        inputs, outputs, maxima, places = [], [], [], []
        for layer in range(self.n_layers):
            wide = self._windows(values)
            inputs.append(wide)
            values = wide.reshape(n * length, -1) @ arrays[f"{self.prefix}filter_{layer}"]
            values += arrays[f"{self.prefix}bias_{layer}"]
            values = np.maximum(values, 0, out=values).reshape(n, length, -1) * there
            outputs.append(values)
            places.append(values.argmax(axis=1))
            maxima.append(values.max(axis=1))
        return np.concatenate(maxima, axis=1), (tokens, is_there, inputs, outputs, places)

    def _windows(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return what lies under the filter at each token, shape (n, length, filter_width * n_in)."""
        n, length, n_in = values.shape
        before = (self.filter_width - 1) // 2
        wide = np.zeros((n, length + self.filter_width - 1, n_in), values.dtype)
        wide[:, before : before + length] = values
        return np.concatenate([wide[:, at : at + length] for at in range(self.filter_width)], axis=2)

    def back(self, arrays: Arrays, gradient: NDArray[Any], tape: Any) -> tuple[dict[str, NDArray[Any]], Rows]:
        """Return the gradients of filters and of the tokens' vectors."""
        tokens, is_there, inputs, outputs, places = tape
        n, length = is_there.shape
        found: dict[str, NDArray[Any]] = {}
        ends = np.cumsum(self._channels())
        before = (self.filter_width - 1) // 2
        above: NDArray[Any] | None = None
        for layer in reversed(range(self.n_layers)):
            n_out = self._channels()[layer]
            own = gradient[:, ends[layer] - n_out : ends[layer]]
            slope = np.zeros_like(outputs[layer]) if above is None else above
            rows, columns = np.ogrid[:n, :n_out]
            slope[rows, places[layer], columns] += own
            slope *= outputs[layer] > 0
            flat, wide = slope.reshape(n * length, n_out), inputs[layer].reshape(n * length, -1)
            found[f"{self.prefix}filter_{layer}"] = wide.T @ flat
            found[f"{self.prefix}bias_{layer}"] = flat.sum(axis=0)
            below = (flat @ arrays[f"{self.prefix}filter_{layer}"].T).reshape(
                n, length, self.filter_width, -1
            )
            spread = np.zeros((n, length + self.filter_width - 1, below.shape[3]), below.dtype)
            for at in range(self.filter_width):
                spread[:, at : at + length] += below[:, :, at]
            above = spread[:, before : before + length] * is_there[:, :, None]
        assert above is not None
        return found, by_row(tokens.tokens, None, above[is_there])


class Recurrent(Encoder):
    """Layers of memory cells in both directions."""

    def _size(self) -> int:
        return -(-self.width // 2)

    def begin(self, draw: np.random.Generator) -> dict[str, NDArray[np.float32]]:
        """Return weights; the gates that forget begin open."""
        found, n_in, size = {}, self.n_columns, self._size()
        for layer in range(self.n_layers):
            for way in ("ahead", "back"):
                name = f"{self.prefix}{way}_{layer}_"
                bias = np.zeros(4 * size, np.float32)
                bias[size : 2 * size] = 1
                found[f"{name}input"] = glorot(draw, n_in, 4 * size)
                found[f"{name}state"] = glorot(draw, size, 4 * size)
                found[f"{name}bias"] = bias
            n_in = 2 * size
        return found

    def encode(self, arrays: Arrays, table: NDArray[Any], tokens: Tokens) -> tuple[NDArray[Any], Any]:
        """Return the maxima of the last layer."""
        padded, is_there = tokens.padded()
        n, length = padded.shape
        turned = np.where(is_there, tokens.lengths[:, None] - 1 - np.arange(length), np.arange(length))
        rows = np.arange(n)[:, None]
        values = table[padded] * is_there[:, :, None]
        tapes = []
        for layer in range(self.n_layers):
            ahead, first = _cells(arrays, f"{self.prefix}ahead_{layer}_", values, is_there)
            back, second = _cells(arrays, f"{self.prefix}back_{layer}_", values[rows, turned], is_there)
            values = np.concatenate((ahead, back[rows, turned]), axis=2)
            tapes.append((first, second))
        shown = np.where(is_there[:, :, None], values, -np.inf)
        places = shown.argmax(axis=1)
        maxima = np.where(tokens.lengths[:, None] > 0, shown.max(axis=1), 0).astype(table.dtype)
        return maxima[:, : self.width], (tokens, is_there, turned, tapes, places)

    def back(self, arrays: Arrays, gradient: NDArray[Any], tape: Any) -> tuple[dict[str, NDArray[Any]], Rows]:
        """Return the gradients of weights and of the tokens' vectors."""
        tokens, is_there, turned, tapes, places = tape
        n, length = is_there.shape
        size, rows = self._size(), np.arange(n)[:, None]
        above = np.zeros((n, length, 2 * size), gradient.dtype)
        row, column = np.ogrid[:n, : self.width]
        above[row, places[:, : self.width], column] = gradient * (tokens.lengths[:, None] > 0)
        found: dict[str, NDArray[Any]] = {}
        for layer in reversed(range(self.n_layers)):
            first, second = tapes[layer]
            ahead = _cells_back(
                arrays, f"{self.prefix}ahead_{layer}_", above[:, :, :size], first, is_there, found
            )
            back = _cells_back(
                arrays,
                f"{self.prefix}back_{layer}_",
                above[:, :, size:][rows, turned],
                second,
                is_there,
                found,
            )
            above = ahead + back[rows, turned]
        return found, by_row(tokens.tokens, None, above[is_there])


def _sigmoid(values: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(0.5 * (np.tanh(0.5 * values) + 1))


def _cells(
    arrays: Arrays, name: str, values: NDArray[Any], is_there: NDArray[np.bool_]
) -> tuple[NDArray[Any], Any]:
    """Run memory cells over sequences; return their outputs and what the way back needs."""
    n, length, n_in = values.shape
    state = arrays[f"{name}state"]
    size = len(state)
    driven = (values.reshape(n * length, n_in) @ arrays[f"{name}input"]).reshape(n, length, -1)
    driven += arrays[f"{name}bias"]
    outputs = np.zeros((n, length, size), values.dtype)
    output, cell = np.zeros((n, size), values.dtype), np.zeros((n, size), values.dtype)
    steps = []
    for at in range(length):
        drive = driven[:, at] + output @ state
        enter, forget, emit = (_sigmoid(drive[:, k * size : (k + 1) * size]) for k in (0, 1, 3))
        new = np.tanh(drive[:, 2 * size : 3 * size])
        before, there = (output, cell), is_there[:, at, None]
        cell = np.where(there, forget * cell + enter * new, cell)
        bent = np.tanh(cell)
        output = np.where(there, emit * bent, output)
        outputs[:, at] = output
        steps.append((enter, forget, new, emit, bent, *before))
    return outputs, (values, steps)


def _cells_back(
    arrays: Arrays,
    name: str,
    above: NDArray[Any],
    tape: Any,
    is_there: NDArray[np.bool_],
    found: dict[str, NDArray[Any]],
) -> NDArray[Any]:
    """Add the gradients of memory cells to `found`; return that of their inputs."""
    values, steps = tape
    n, length, n_in = values.shape
    state = arrays[f"{name}state"]
    size = len(state)
    drives = np.zeros((n, length, 4 * size), values.dtype)
    to_state = np.zeros_like(state)
    to_output, to_cell = np.zeros((n, size), values.dtype), np.zeros((n, size), values.dtype)
    for at in reversed(range(length)):
        enter, forget, new, emit, bent, output, cell = steps[at]
        there = is_there[:, at, None]
        whole = to_output + above[:, at]
        inner = np.where(there, to_cell + whole * emit * (1 - bent * bent), 0)
        drive = drives[:, at]
        drive[:, :size] = inner * new * enter * (1 - enter)
        drive[:, size : 2 * size] = inner * cell * forget * (1 - forget)
        drive[:, 2 * size : 3 * size] = inner * enter * (1 - new * new)
        drive[:, 3 * size :] = np.where(there, whole * bent * emit * (1 - emit), 0)
        to_state += output.T @ drive
        to_output = np.where(there, 0, whole) + drive @ state.T
        to_cell = np.where(there, inner * forget, to_cell)
    flat = drives.reshape(n * length, -1)
    found[f"{name}input"] = values.reshape(n * length, n_in).T @ flat
    found[f"{name}state"] = to_state
    found[f"{name}bias"] = flat.sum(axis=0)
    return np.asarray((flat @ arrays[f"{name}input"].T).reshape(n, length, n_in))


NETWORKS: dict[str, type[Encoder]] = {
    "pooled_embedding": Pooled,
    "hcnn": Convolutional,
    "bilstm": Recurrent,
}
AUTO_LAYERS = {"pooled_embedding": 1, "hcnn": 4, "bilstm": 1}
