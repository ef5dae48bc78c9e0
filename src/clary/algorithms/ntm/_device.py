"""The network on a GPU: the same way there, the way back is torch's.

    counts, noise (NumPy) ─▶ encoder, topics ─▶ chances of the words that documents have ─▶ loss ─▶ gradients

Imported where a device was found only.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from clary.algorithms.ntm._network import MOMENTUM, UNLIKELIEST, WIDEST, Loss, shares

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from clary.algorithms._gpu import Gpu
    from clary.algorithms.ntm._network import Network

BLOCK_VALUES = 1 << 26
"""Numbers, of documents' words times topics, that lie side by side; beyond, the way back makes them again."""


class Documents(NamedTuple):
    """A mini-batch: the words of one document behind those of the other."""

    words: Any
    rows: Any
    """The document of each word."""
    starts: Any
    """Where a document's words begin."""
    counts: Any
    shares: Any
    """Roots of the words' shares of their document."""


class OnDevice:
    """A network's parameters as tensors, and what training asks of them."""

    def __init__(self, gpu: Gpu, network: Network) -> None:
        self.gpu = gpu
        self.arrays: dict[str, Any] = {name: gpu.put(values) for name, values in network.arrays.items()}
        self._running = {
            layer: tuple(gpu.put(values) for values in means) for layer, means in network.running.items()
        }
        self._activation = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}[
            network.activation
        ]
        self._n_layers = network.n_layers

    def leave(self, network: Network) -> None:
        """Give the parameters back to the network of arrays."""
        network.arrays |= {name: self.gpu.take(values) for name, values in self.arrays.items()}
        for layer, (centre, square) in self._running.items():
            network.running[layer] = (self.gpu.take(centre), self.gpu.take(square))

    def loss(self, documents: Any) -> Loss:
        """Return the loss of documents, without chance."""
        with torch.no_grad():
            found = self.losses(self.arrays, self._put(documents), None)
        return Loss(*found, n_words=float(documents.data.sum()))

    def learn(self, documents: Any, warmth: float, draw: np.random.Generator) -> tuple[Loss, dict[str, Any]]:
        """Return the loss of documents, and its gradients; the divergence counts by `warmth`."""
        n_topics = len(self.arrays["mean_bias"])
        noise = self.gpu.put(draw.standard_normal((documents.shape[0], n_topics), np.float32))
        found, gradients = self.gradients(self._put(documents), noise, warmth)
        return Loss(*found, n_words=float(documents.data.sum())), gradients

    def _put(self, documents: Any) -> Documents:
        rows = np.repeat(np.arange(documents.shape[0]), np.diff(documents.indptr))
        arrays: tuple[NDArray[Any], ...] = (
            documents.indices.astype(np.int64),
            rows,
            documents.indptr.astype(np.int64),
            documents.data,
            shares(documents).data,
        )
        return Documents(*map(self.gpu.put, arrays))

    def gradients(
        self, documents: Documents, noise: Any, warmth: float
    ) -> tuple[tuple[Any, Any], dict[str, Any]]:
        """Return the loss of words, the divergence, and the gradient of every parameter."""
        leaves = {name: values.detach().requires_grad_() for name, values in self.arrays.items()}
        words, divergence = self.losses(leaves, documents, noise)
        whole = words + warmth * divergence
        found = torch.autograd.grad(whole, list(leaves.values()), materialize_grads=True)
        return (words.detach(), divergence.detach()), dict(zip(leaves, found, strict=True))

    def losses(self, parameters: Mapping[str, Any], documents: Documents, noise: Any) -> tuple[Any, Any]:
        """Return sums over documents, in double: of the cross-entropy of words, and of the divergence.

        Parameters
        ----------
        noise : tensor, shape (n_documents, n_topics), optional
            What chance adds in training, which also moves the running means.
        """
        mean, spread = self.encode(parameters, documents, is_training=noise is not None)
        divergence = 0.5 * (mean * mean + spread.exp() - 1 - spread).sum(dtype=torch.float64)
        drawn = mean if noise is None else mean + noise * (0.5 * spread).exp()
        likely = parameters["topic_vectors"] @ parameters["word_vectors"].T + parameters["frequency"]
        chances = _chances(drawn.softmax(dim=1), likely.softmax(dim=1), documents)
        chances = _within(chances, UNLIKELIEST, 1.0)
        return -(documents.counts * chances.log()).sum(dtype=torch.float64), divergence

    def encode(
        self, parameters: Mapping[str, Any], documents: Documents, *, is_training: bool
    ) -> tuple[Any, Any]:
        """Return means and log variances of documents."""
        values = functional.embedding_bag(
            documents.words,
            parameters["weight_0"],
            documents.starts,
            mode="sum",
            per_sample_weights=documents.shares,
            include_last_offset=True,
        )
        for layer in range(self._n_layers):
            if layer:
                values = values @ parameters[f"weight_{layer}"]
            if layer in self._running:
                values = self._normalised(layer, values, is_training=is_training)
                values = values * parameters[f"gain_{layer}"]
            values = self._activation(values + parameters[f"bias_{layer}"])
        mean = values @ parameters["mean_weight"] + parameters["mean_bias"]
        spread = values @ parameters["spread_weight"] + parameters["spread_bias"]
        return mean, _within(spread, -WIDEST, WIDEST)

    def _normalised(self, layer: int, values: Any, *, is_training: bool) -> Any:
        centre, square = self._running[layer]
        if is_training and len(values) > 1:
            own, own_square = values.mean(dim=0), values.var(dim=0, correction=0)
            centre.lerp_(own.detach(), 1 - MOMENTUM)
            square.lerp_(own_square.detach(), 1 - MOMENTUM)
            centre, square = own, own_square
        return (values - centre) / (square + 1e-5).sqrt()


def _within(values: Any, low: float, high: float) -> Any:
    """Keep values within bounds that the way back does not see, as on the processor."""
    return values.clamp(low, high).detach() + (values - values.detach())


def _chances(mixture: Any, topics: Any, documents: Documents) -> Any:
    """Return how likely each word that a document has is."""
    height = max(1, BLOCK_VALUES // len(topics))
    likely = topics.T.contiguous()
    parts = list(zip(documents.rows.split(height), documents.words.split(height), strict=True))
    if len(parts) == 1:
        return _products(mixture, likely, *parts[0])
    again = partial(checkpoint, _products, mixture, likely, use_reentrant=False, preserve_rng_state=False)
    return torch.cat([again(*part) for part in parts])


def _products(mixture: Any, likely: Any, rows: Any, words: Any) -> Any:
    return (functional.embedding(rows, mixture) * functional.embedding(words, likely)).sum(dim=1)
