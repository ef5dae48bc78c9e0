"""The network on a GPU: the same way there, the way back is torch's.

    rows, addresses (NumPy) ─▶ the tables' rows that they touch ─▶ scores, loss ─▶ gradients of these rows

Imported where a device was found only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from clary.toolkit.kernels.pairs import LENGTHS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from clary.algorithms._gpu import Gpu
    from clary.algorithms.ipinsights._network import Batch, Network

_TABLES = ("entity_vectors", "prefix_vectors")
_WORST = float(-np.log(1e-12))
"""What one pair adds to the loss in the log, at most, as on the processor."""


class Events(NamedTuple):
    """A mini-batch; places are rows of what was taken of the tables."""

    entities: Any
    """Places, shape (n_events,)."""
    addresses: Any
    """Numbers, the real ones first, then those drawn."""
    prefixes: Any
    """Places of the addresses' known prefixes, one address behind the other."""
    starts: Any
    """Where each address's prefixes begin."""


class OnDevice:
    """A network's parameters as tensors, and what training asks of them."""

    def __init__(self, gpu: Gpu, network: Network) -> None:
        self.gpu = gpu
        self.arrays: dict[str, Any] = {
            name: gpu.put(values) for name, values in network.arrays.items() if name != "prefixes"
        }
        self._prefixes = gpu.put(network.arrays["prefixes"].astype(np.int64))
        self._n_layers = network.n_layers

    def taken(self) -> dict[str, NDArray[Any]]:
        """Return the parameters as arrays."""
        return {name: self.gpu.take(values) for name, values in self.arrays.items()}

    def numbers(self, seen: Any) -> NDArray[np.float64]:
        """Return sums of what `learn` saw, as the log takes them."""
        return self.gpu.take(seen)

    def learn(self, batch: Batch, n_pairs: int) -> tuple[Any, dict[str, Any], dict[str, tuple[Any, Any]]]:
        """Return what was seen of events, and the gradients of their loss: see `Network.learn`."""
        events = self._put(batch)
        touched, entities = torch.unique(events.entities, return_inverse=True)
        used, prefixes = torch.unique(events.prefixes, return_inverse=True)
        parameters = {name: values for name, values in self.arrays.items() if name not in _TABLES}
        parameters["entity_vectors"] = self.arrays["entity_vectors"][touched]
        parameters["prefix_vectors"] = self.arrays["prefix_vectors"][used]
        placed = events._replace(entities=entities, prefixes=prefixes)
        seen, found = self.gradients(parameters, placed, batch.offsets, n_pairs)
        to_entities, to_prefixes = (found.pop(name) for name in _TABLES)
        return seen, found, {"entity_vectors": (touched, to_entities), "prefix_vectors": (used, to_prefixes)}

    def scores(self, batch: Batch) -> NDArray[Any]:
        """Return how well events' pairs go together, the real one of each first: (pairs, n_events)."""
        with torch.no_grad():
            return self.gpu.take(self.judged(self.arrays, self._put(batch), batch.offsets))

    def _put(self, batch: Batch) -> Events:
        """Bring a mini-batch to the device, with its places in whole tables."""
        every = self.gpu.put(np.concatenate((batch.addresses, batch.drawn)).astype(np.int64))
        places, is_known = known(self._prefixes, every)
        starts = functional.pad(is_known.sum(dim=1).cumsum(dim=0), (1, 0))
        return Events(self.gpu.put(batch.rows), every, places[is_known], starts)

    def gradients(
        self, parameters: Mapping[str, Any], events: Events, offsets: Sequence[int], n_pairs: int
    ) -> tuple[Any, dict[str, Any]]:
        """Return what was seen of events, and the gradient of every parameter."""
        leaves = {name: values.detach().requires_grad_() for name, values in parameters.items()}
        scores = self.judged(leaves, events, offsets)
        wrong = torch.cat((-scores[:1], scores[1:]))  # how far each pair is from what it should be
        losses = functional.softplus(wrong)
        found = torch.autograd.grad(losses.sum() / n_pairs, list(leaves.values()), materialize_grads=True)
        with torch.no_grad():
            seen = torch.stack(
                (
                    losses.clamp(max=_WORST).sum(dtype=torch.float64),
                    (torch.sigmoid(-wrong) > 0.5).sum(dtype=torch.float64),
                    torch.full((), wrong.numel(), dtype=torch.float64, device=wrong.device),
                )
            )
        return seen, dict(zip(leaves, found, strict=True))

    def judged(self, parameters: Mapping[str, Any], events: Events, offsets: Sequence[int]) -> Any:
        """Return the scores of events' pairs, the real one of each first: (pairs, n_events)."""
        entities = functional.embedding(events.entities, parameters["entity_vectors"])
        vectors = self.encode(parameters, events)
        n = len(entities)
        own = [(entities * each).sum(dim=1) for each in vectors.split(max(1, n))]
        real = vectors[:n]
        return torch.stack(own + [(entities * real.roll(offset, 0)).sum(dim=1) for offset in offsets])

    def encode(self, parameters: Mapping[str, Any], events: Events) -> Any:
        """Return the vectors of addresses."""
        shifts = torch.arange(31, -1, -1, device=events.addresses.device)
        bits = ((events.addresses[:, None] >> shifts) & 1) * 2.0 - 1.0
        vectors = bits @ parameters["bit_weight"]
        if len(events.prefixes):
            table = parameters["prefix_vectors"]
            vectors = vectors + functional.embedding_bag(
                events.prefixes, table, events.starts, mode="sum", include_last_offset=True
            )
        for layer in range(self._n_layers):
            vectors = torch.tanh(vectors) @ parameters[f"weight_{layer}"] + parameters[f"bias_{layer}"]
        return vectors


def known(prefixes: Any, addresses: Any) -> tuple[Any, Any]:
    """Return where each address's prefixes stand among those that have vectors, and which have."""
    if not len(prefixes):
        places = addresses.new_zeros((len(addresses), len(LENGTHS)))
        return places, places.bool()
    asked = torch.stack([(addresses >> 32 - length) | (length << 32) for length in LENGTHS], dim=1)
    places = torch.searchsorted(prefixes, asked).clamp(max=len(prefixes) - 1)
    return places, prefixes[places] == asked
