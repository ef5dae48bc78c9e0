"""The network on a GPU: the same way there, the way back is torch's.

    pairs, masks of dropout (NumPy) ─▶ the tables' rows that they touch ─▶ encodings ─▶ loss ─▶ gradients

Imported where a device was found only.
"""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from clary.algorithms._gpu import Gpu
    from clary.algorithms.object2vec._encoders import Encoder
    from clary.algorithms.object2vec._network import Network
    from clary.algorithms.object2vec._pairs import Pairs

_WORST = float(-np.log(1e-30))
"""What one pair adds to the loss in the log, at most, as on the processor."""
warnings.filterwarnings("ignore", message="RNN module weights")  # ours change in every step


class Sequences(NamedTuple):
    """One side of a mini-batch, one sequence behind the other."""

    rows: Any
    """Tokens, as rows of what was taken of their vectors."""
    starts: Any
    """Where each sequence begins, and where the last ends."""
    longest: int


class Batch(NamedTuple):
    """A mini-batch on the device."""

    sides: tuple[Sequences, Sequences]
    labels: Any
    touched: dict[str, Any]
    """Tokens of each table that occur, sorted, each once."""
    vectors: dict[str, Any]
    """Their vectors; one of any where none occurs."""


class OnDevice:
    """A network's parameters as tensors, and what training asks of them."""

    def __init__(self, gpu: Gpu, network: Network) -> None:
        self.gpu = gpu
        self.shape = network.shape
        self.tables = network.tables
        self.arrays: dict[str, Any] = {name: gpu.put(values) for name, values in network.arrays.items()}
        self._network = network

    def leave(self) -> None:
        """Give the parameters back to the network of arrays."""
        self._network.arrays |= {name: self.gpu.take(values) for name, values in self.arrays.items()}

    def of(self, arrays: dict[str, Any]) -> OnDevice:
        """Return a network of the same shape with other parameters."""
        other = copy.copy(self)
        other.arrays = arrays
        return other

    def numbers(self, sums: Any) -> NDArray[np.float64]:
        """Return sums over pairs, as the log takes them."""
        return self.gpu.take(sums)

    def whole(self, name: str, rows: Any, gradient: Any) -> Any:
        """Return the gradient of a table, from that of the rows that were touched."""
        found = torch.zeros_like(self.arrays[name])
        found[rows] = gradient
        return found

    def learn(
        self, pairs: Pairs, draw: np.random.Generator, dropout: float
    ) -> tuple[Any, dict[str, Any], dict[str, tuple[Any, Any]]]:
        """Return sums of the loss, the gradients of its mean, and those of rows of tokens' vectors."""
        batch = self.put(pairs)
        kept = [
            self.gpu.put(draw.random((len(pairs), n_columns), np.float32) >= dropout)
            for n_columns in self._widths()
            if dropout
        ]
        sums, found = self.gradients(batch, kept, dropout)
        touched = {}
        for name, rows in batch.touched.items():
            touched[name] = (rows, found.pop(name)[: len(rows)])
        return sums, found, touched

    def measure(self, pairs: Pairs) -> Any:
        """Return sums over pairs: the loss, how many were right, and their number."""
        with torch.no_grad():
            batch = self.put(pairs)
            said = self.say(self.arrays | batch.vectors, batch)
            return self._judged(said, batch.labels)[1]

    def put(self, pairs: Pairs) -> Batch:
        """Bring pairs to the device."""
        sides: dict[int, Sequences] = {}
        touched, vectors = {}, {}
        for name in dict.fromkeys(self.tables):
            own = [side for side in (0, 1) if self.tables[side] == name]
            tokens = [pairs.sides[side].tokens for side in own]
            rows, places = np.unique(np.concatenate(tokens), return_inverse=True)
            touched[name] = self.gpu.put(rows.astype(np.int64))
            vectors[name] = self.arrays[name][touched[name] if rows.size else slice(1)]
            for side, part in zip(own, np.split(places, [len(tokens[0])]), strict=False):
                starts = pairs.sides[side].starts
                longest = max(1, int(np.diff(starts).max(initial=0)))
                sides[side] = Sequences(self.gpu.put(part), self.gpu.put(starts), longest)
        labels = pairs.labels.astype(np.int64) if self.shape.n_classes else pairs.labels
        return Batch((sides[0], sides[1]), self.gpu.put(labels), touched, vectors)

    def gradients(self, batch: Batch, kept: Sequence[Any], dropout: float) -> tuple[Any, dict[str, Any]]:
        """Return sums of the loss, and the gradients of its mean; of tables, those of `batch.vectors`."""
        parameters = self.arrays | batch.vectors
        leaves = {name: values.detach().requires_grad_() for name, values in parameters.items()}
        loss, sums = self._judged(self.say(leaves, batch, kept, dropout), batch.labels)
        found = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
        return sums, dict(zip(leaves, found, strict=True))

    def say(
        self, parameters: Mapping[str, Any], batch: Batch, kept: Sequence[Any] = (), dropout: float = 0.0
    ) -> Any:
        """Return what the last layer says; `kept` masks the inputs of every layer."""
        first, second = (
            ENCODERS[self.shape.networks[side]](encoder, parameters, self.tables[side], batch.sides[side])
            for side, encoder in enumerate(self._network.encoders)
        )
        values = self._compared(first, second)
        for layer in range(self.shape.mlp_layers + 1):
            if kept:
                values = values * (kept[layer] / max(1 - dropout, 1e-6))
            if layer == self.shape.mlp_layers:
                break
            values = values @ parameters[f"weight_{layer}"] + parameters[f"bias_{layer}"]
            if self.shape.mlp_activation != "linear":
                values = values.relu() if self.shape.mlp_activation == "relu" else values.tanh()
        return values @ parameters["last_weight"] + parameters["last_bias"]

    def _compared(self, first: Any, second: Any) -> Any:
        """Return the comparators' vectors, one behind the other."""
        parts: list[Any] = []
        for name in self.shape.comparators:
            if name == "hadamard":
                parts.append(first * second)
            elif name == "concat":
                parts += [first, second]
            else:
                parts.append((first - second).abs())
        return torch.cat(parts, dim=1)

    def _judged(self, said: Any, labels: Any) -> tuple[Any, Any]:
        """Return the mean loss, and sums over pairs: the loss, how many were right, and their number."""
        if self.shape.n_classes:
            losses = functional.cross_entropy(said, labels, reduction="none")
            right = (said.argmax(dim=1) == labels).sum(dtype=torch.float64)
            shown = losses.detach().clamp(max=_WORST)
        else:
            losses = (said[:, 0] - labels) ** 2
            right = torch.zeros((), dtype=torch.float64, device=said.device)
            shown = losses.detach()
        sums = torch.stack((shown.sum(dtype=torch.float64), right, torch.full_like(right, len(labels))))
        return losses.mean(), sums

    def _widths(self) -> list[int]:
        """Return how many columns the inputs of every layer have."""
        n_parts = sum(2 if name == "concat" else 1 for name in self.shape.comparators)
        return [self.shape.width * n_parts] + [self.shape.mlp_dim] * self.shape.mlp_layers


def _pooled(encoder: Encoder, parameters: Mapping[str, Any], table: str, tokens: Sequences) -> Any:
    """Return the means of the tokens' vectors, as `Pooled`."""
    return functional.embedding_bag(
        tokens.rows, parameters[table], tokens.starts, mode="mean", include_last_offset=True
    )


def _convolutional(encoder: Encoder, parameters: Mapping[str, Any], table: str, tokens: Sequences) -> Any:
    """Return the maxima of every layer of convolutions, as `Convolutional`."""
    values, is_there = _padded(parameters[table], tokens)
    values, there = values.transpose(1, 2), is_there.unsqueeze(1)
    before = (encoder.filter_width - 1) // 2
    maxima = []
    for layer in range(encoder.n_layers):
        flat = parameters[f"{encoder.prefix}filter_{layer}"]
        filters = flat.reshape(encoder.filter_width, -1, flat.shape[1]).permute(2, 1, 0)
        wide = functional.pad(values, (before, encoder.filter_width - 1 - before))
        made = functional.conv1d(wide, filters, parameters[f"{encoder.prefix}bias_{layer}"])
        values = made.relu() * there
        maxima.append(values.max(dim=2).values)
    return torch.cat(maxima, dim=1)


def _recurrent(encoder: Encoder, parameters: Mapping[str, Any], table: str, tokens: Sequences) -> Any:
    """Return the maxima of the last layer of memory cells, as `Recurrent`."""
    values, is_there = _padded(parameters[table], tokens)
    places = torch.arange(tokens.longest, device=is_there.device)
    turned = torch.where(is_there, tokens.starts.diff().unsqueeze(1) - 1 - places, places)
    for layer in range(encoder.n_layers):
        ahead = _cells(parameters, f"{encoder.prefix}ahead_{layer}_", values)
        back = _cells(parameters, f"{encoder.prefix}back_{layer}_", _taken(values, turned))
        values = torch.cat((ahead, _taken(back, turned)), dim=2)
    shown = values.masked_fill(~is_there.unsqueeze(2), -torch.inf).max(dim=1).values
    is_empty = ~is_there[:, :1]
    return shown.masked_fill(is_empty, 0.0)[:, : encoder.width]


def _cells(parameters: Mapping[str, Any], name: str, values: Any) -> Any:
    """Run memory cells over sequences; what they say behind the end of one, nobody asks.

    Notes
    -----
    torch has our gates in our order - enter, forget, new, emit -, and a second bias that stays zero.
    """
    state, bias = parameters[f"{name}state"], parameters[f"{name}bias"]
    weights = [parameters[f"{name}input"].T, state.T, bias, torch.zeros_like(bias)]
    start = values.new_zeros((1, len(values), len(state)))
    is_training = torch.is_grad_enabled()
    found, _, _ = torch.lstm(values, (start, start), weights, True, 1, 0.0, is_training, False, True)
    return found


def _padded(table: Any, tokens: Sequences) -> tuple[Any, Any]:
    """Return the vectors of all sequences' tokens, shape (n, longest, n_columns), and where there are any."""
    places = torch.arange(tokens.longest, device=tokens.starts.device)
    is_there = places < tokens.starts.diff().unsqueeze(1)
    rows = torch.where(is_there, tokens.starts[:-1].unsqueeze(1) + places, 0)
    if len(tokens.rows):
        rows = tokens.rows[rows]
    return functional.embedding(rows, table) * is_there.unsqueeze(2), is_there


def _taken(values: Any, places: Any) -> Any:
    """Return each sequence's steps in another order."""
    n, length, n_columns = values.shape
    rows = places + length * torch.arange(n, device=places.device).unsqueeze(1)
    return functional.embedding(rows, values.reshape(n * length, n_columns))


ENCODERS: dict[str, Callable[[Encoder, Mapping[str, Any], str, Sequences], Any]] = {
    "pooled_embedding": _pooled,
    "hcnn": _convolutional,
    "bilstm": _recurrent,
}
