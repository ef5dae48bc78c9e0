"""The network: a vector of an entity, a vector of an address, and their product.

    entity ──hash──▶ row of a table ─────────────────────────────┐
    address ─▶ 32 bits · weights + vectors of its known prefixes ─▶ layers ─▶ · ─▶ how well they go together

Prefixes of 8, 12, 16, 20 and 24 bits that the training data has twice or more have vectors of their own, as
networks are handed out by prefix; an address of none of them has its bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from scipy import sparse

from clary.algorithms._gradients import by_row
from clary.toolkit.kernels.pairs import LENGTHS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from clary.algorithms._hosts import Hosts

MOST_PREFIXES = 1 << 17
"""Prefixes that have vectors: those used most."""
_SHIFTS = np.arange(31, -1, -1, dtype=np.uint32)


class Batch(NamedTuple):
    """Events, and which addresses they are judged with but do not have."""

    rows: NDArray[np.int64]
    addresses: NDArray[np.uint32]
    drawn: NDArray[np.uint32]
    """Shape (n_drawn * n_events,)."""
    offsets: Sequence[int]
    """How far away the events lie whose addresses are borrowed."""


@dataclass
class Tape:
    """What the way back needs of the way there."""

    bits: NDArray[Any]
    rows: NDArray[np.intp]
    """Rows of `prefix_vectors` that were used."""
    starts: NDArray[np.intp]
    """Where an address's begin."""
    layers: list[NDArray[Any]]


class Network:
    """The parameters, and both ways through them; `_device.OnDevice` is the same on a GPU."""

    gpu: ClassVar[None] = None

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take parameters as the model file names them."""
        self.arrays = arrays
        self.n_layers = sum(name.startswith("weight_") for name in arrays)

    @classmethod
    def begin(cls, n_vectors: int, n_columns: int, n_layers: int, prefixes: NDArray[np.uint64]) -> Network:
        """Return parameters to start from: entities that nobody has seen stay at zero."""
        draw = np.random.default_rng(17)

        def dense(n_rows: int) -> NDArray[np.float32]:
            values = draw.standard_normal((n_rows, n_columns), np.float32)
            return values / np.float32(np.sqrt(n_rows))

        arrays: dict[str, NDArray[Any]] = {"bit_weight": dense(32)}
        for layer in range(n_layers):
            arrays[f"weight_{layer}"] = dense(n_columns)
            arrays[f"bias_{layer}"] = np.zeros(n_columns, np.float32)
        arrays["prefixes"] = prefixes
        arrays["prefix_vectors"] = np.zeros((len(prefixes), n_columns), np.float32)
        arrays["entity_vectors"] = np.zeros((n_vectors, n_columns), np.float32)
        return cls(arrays)

    def encode(self, addresses: NDArray[np.uint32]) -> tuple[NDArray[Any], Tape]:
        """Return the vectors of addresses, shape (n_addresses, vector_dim)."""
        weight = self.arrays["bit_weight"]
        bits = (((addresses[:, None] >> _SHIFTS) & 1) * 2.0 - 1.0).astype(weight.dtype)
        rows, starts = self._known(addresses)
        vectors = bits @ weight
        if rows.size:
            table = self.arrays["prefix_vectors"]
            uses = sparse.csr_matrix(
                (np.ones(rows.size, weight.dtype), rows, starts), shape=(len(addresses), len(table))
            )
            vectors += uses @ table
        layers = []
        for layer in range(self.n_layers):
            layers.append(np.tanh(vectors))
            vectors = layers[-1] @ self.arrays[f"weight_{layer}"] + self.arrays[f"bias_{layer}"]
        return vectors, Tape(bits, rows, starts, layers)

    def back(self, gradient: NDArray[Any], tape: Tape) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
        """Return the gradients of the dense parameters, and that of the sums of prefixes' vectors."""
        found = {}
        for layer in reversed(range(self.n_layers)):
            values = tape.layers[layer]
            found[f"weight_{layer}"] = values.T @ gradient
            found[f"bias_{layer}"] = gradient.sum(axis=0)
            gradient = gradient @ self.arrays[f"weight_{layer}"].T
            gradient *= 1 - values * values
        found["bit_weight"] = tape.bits.T @ gradient
        return found, gradient

    def learn(
        self, batch: Batch, n_pairs: int
    ) -> tuple[NDArray[np.float64], dict[str, NDArray[Any]], dict[str, tuple[Any, Any]]]:
        """Return what was seen of events, and the gradients of their loss.

        Parameters
        ----------
        n_pairs : int
            By which the loss is divided.

        Returns
        -------
        seen : ndarray, shape (3,)
            The sum of the loss, the pairs judged rightly, and their number.
        dense : dict
            Gradients of parameters.
        tables : dict
            Touched rows of tables, and their gradients.
        """
        rows, n = batch.rows, len(batch.rows)
        vectors, tape = self.encode(np.concatenate((batch.addresses, batch.drawn)))
        entities = self.arrays["entity_vectors"][rows]
        to_entities, to_vectors = np.zeros_like(entities), np.zeros_like(vectors)
        seen = np.zeros(3)

        def judge(others: NDArray[Any], label: float) -> NDArray[np.float32]:
            scores = np.einsum("ij,ij->i", entities, others)
            chance = 1 / (1 + np.exp(-np.clip(scores, -60, 60)))
            right = chance if label else 1 - chance
            seen[:] += np.array([-np.log(np.maximum(right, 1e-12)).sum(), np.count_nonzero(right > 0.5), n])
            slope: NDArray[np.float32] = ((chance - label) / n_pairs).astype(np.float32)[:, None]
            return slope

        for place, part in enumerate(_parts(len(vectors), n)):
            slope = judge(vectors[part], float(place == 0))
            to_entities += slope * vectors[part]
            to_vectors[part] += slope * entities
        for offset in batch.offsets:
            borrowed = np.roll(vectors[:n], offset, axis=0)
            slope = judge(borrowed, 0.0)
            to_entities += slope * borrowed
            to_vectors[:n] += np.roll(slope * entities, -offset, axis=0)
        dense, to_prefixes = self.back(to_vectors, tape)
        return (
            seen,
            dense,
            {
                "entity_vectors": by_row(rows, None, to_entities),
                "prefix_vectors": by_row(tape.rows, tape.starts, to_prefixes),
            },
        )

    def scores(self, batch: Batch) -> NDArray[Any]:
        """Return how well events' pairs go together, the real one of each first: (pairs, n_events)."""
        n = len(batch.rows)
        vectors, _ = self.encode(np.concatenate((batch.addresses, batch.drawn)))
        others = [vectors[part] for part in _parts(len(vectors), n)]
        others += [np.roll(vectors[:n], offset, axis=0) for offset in batch.offsets]
        entities = self.arrays["entity_vectors"][batch.rows]
        return np.stack([np.einsum("ij,ij->i", entities, each) for each in others])

    def numbers(self, seen: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return sums of what `learn` saw, as the log takes them."""
        return seen

    def _known(self, addresses: NDArray[np.uint32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        prefixes = self.arrays["prefixes"]
        if not len(prefixes):
            return np.zeros(0, np.intp), np.zeros(len(addresses) + 1, np.intp)
        asked = np.stack([keys_of(addresses, length) for length in LENGTHS], axis=1)
        places = np.searchsorted(prefixes, asked).clip(0, len(prefixes) - 1)
        is_known = prefixes[places] == asked
        starts = np.concatenate(([0], np.cumsum(is_known.sum(axis=1))))
        return places[is_known], starts


def _parts(n_vectors: int, n_events: int) -> Iterator[slice]:
    """Yield where the real addresses of events lie, and where each drawn one of all."""
    return (slice(start, start + n_events) for start in range(0, n_vectors, max(1, n_events)))


def keys_of(addresses: NDArray[np.uint32], length: int) -> NDArray[np.uint64]:
    """Return the prefixes of addresses: the length in the upper half, the bits in the lower."""
    return (addresses >> np.uint32(32 - length)).astype(np.uint64) | np.uint64(length << 32)


def prefixes_of(addresses: NDArray[np.uint32], hosts: Hosts) -> NDArray[np.uint64]:
    """Return the prefixes of all hosts' addresses that deserve vectors, sorted."""
    keys, counts = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for length in LENGTHS:
        found, n_uses = np.unique(keys_of(addresses, length), return_counts=True)
        keys, counts = np.concatenate((keys, found)), np.concatenate((counts, n_uses))
    if hosts.n_hosts > 1:
        every = np.concatenate(hosts.arrays(keys))
        n_uses = np.concatenate(hosts.arrays(counts))
        keys, places = np.unique(every, return_inverse=True)
        counts = np.bincount(places, n_uses, len(keys)).astype(np.int64)
    is_wanted = counts > 1
    keys, counts = keys[is_wanted], counts[is_wanted]
    return np.sort(keys[np.lexsort((keys, -counts))[:MOST_PREFIXES]])
