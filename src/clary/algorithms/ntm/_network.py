"""The network: an encoder of documents, and topics that are directions among the vectors of words.

    counts ─▶ roots of shares ─▶ layers ─▶ mean, log variance ─▶ draw ─▶ softmax ─▶ share of each topic
    topic vectors · word vectors + how frequent a word is ─▶ softmax ─▶ words of each topic ──▶ · ──▶ words

Source
------
Miao, Yu and Blunsom (2016), arXiv:1511.06038; Dieng, Ruiz and Blei (2020), "Topic modeling in embedding
spaces", arXiv:1907.04907.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WIDEST = 8.0
"""Log variances are kept within, so that their exponentials stay numbers."""
UNLIKELIEST = 1e-30
"""The chance of a word, at least, so that its logarithm stays a number."""
MOMENTUM = 0.9
"""Of the running means of batch normalisation."""
_MOMENTUM = np.float32(MOMENTUM)


def activate(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Return the activation of values."""
    if name == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-np.clip(values, -60, 60))))
    return np.asarray(np.tanh(values) if name == "tanh" else np.maximum(values, 0))


def _slope(name: str, activated: NDArray[Any]) -> NDArray[Any]:
    if name == "sigmoid":
        return np.asarray(activated * (1 - activated))
    return 1 - activated * activated if name == "tanh" else (activated > 0).astype(activated.dtype)


def softmax(values: NDArray[Any]) -> NDArray[Any]:
    """Return shares of each row."""
    found = np.exp(values - values.max(axis=1, keepdims=True, initial=-np.inf))
    found /= found.sum(axis=1, keepdims=True)
    return np.asarray(found)


def shares(documents: Any) -> Any:
    """Return the roots of words' shares of each document: rows of unit length, sparse."""
    found = documents.astype(np.float32)
    totals = np.asarray(documents.sum(axis=1)).ravel()
    found.data = np.sqrt(documents.data / np.repeat(np.maximum(totals, 1e-9), np.diff(documents.indptr)))
    return found


class Loss(NamedTuple):
    """Sums over documents: numbers, or a device's numbers until somebody asks for them."""

    words: Any = 0.0
    """Of the cross-entropy of words."""
    divergence: Any = 0.0
    """From the prior, Kullback and Leibler's."""
    n_words: float = 0.0

    def plus(self, other: Loss) -> Loss:
        """Return the sums over both's documents."""
        return Loss(*(one + another for one, another in zip(self, other, strict=True)))

    def numbers(self) -> NDArray[np.float64]:
        """Return the three of them."""
        return np.array([float(each) for each in self])

    @property
    def total(self) -> float:
        """Of a word, the divergence included."""
        return float(self.words + self.divergence) / max(self.n_words, 1e-9)


@dataclass
class _Tape:
    inputs: Any
    layers: list[NDArray[Any]]
    """Activated, one a layer."""
    normal: list[tuple[NDArray[Any], NDArray[Any]] | None]
    """What batch normalisation made of each layer, and by which deviation it divided."""
    mean: NDArray[Any]
    spread: NDArray[Any]
    """Log variance."""


class Network:
    """The parameters, and both ways through them; `_device.OnDevice` is the same on a GPU."""

    gpu: ClassVar[None] = None

    def __init__(
        self,
        words: NDArray[np.float32],
        topics: NDArray[np.float32],
        frequency: NDArray[np.float32],
        sizes: Sequence[int],
        *,
        activation: str,
        is_normalised: bool,
    ) -> None:
        """Begin with vectors of words and topics; the encoder begins with projections of words' vectors."""
        draw = np.random.default_rng(17)
        self.activation = activation
        self.n_layers = len(sizes)
        self.arrays: dict[str, NDArray[Any]] = {
            "word_vectors": words,
            "topic_vectors": topics,
            "frequency": frequency,
        }
        gain, width = (2.0 if activation == "sigmoid" else 1.0), words.shape[1]
        weight = words @ draw.standard_normal((width, sizes[0]), np.float32)
        weight *= np.float32(3 / np.sqrt(width))
        for layer, size in enumerate(sizes):
            if layer:
                weight = _glorot(draw, sizes[layer - 1], size, gain)
            self.arrays |= {f"weight_{layer}": weight, f"bias_{layer}": np.zeros(size, np.float32)}
            if is_normalised:
                self.arrays[f"gain_{layer}"] = np.ones(size, np.float32)
        for name, scale in (("mean", 1.0), ("spread", 0.1)):
            self.arrays[f"{name}_weight"] = _glorot(draw, sizes[-1], len(topics), scale)
            self.arrays[f"{name}_bias"] = np.zeros(len(topics), np.float32)
        self.running = {
            layer: (np.zeros(size, np.float32), np.ones(size, np.float32))
            for layer, size in enumerate(sizes)
            if is_normalised
        }

    def topics(self) -> NDArray[Any]:
        """Return how likely each word is in each topic, shape (n_topics, n_words)."""
        arrays = self.arrays
        return softmax(arrays["topic_vectors"] @ arrays["word_vectors"].T + arrays["frequency"])

    def _encode(self, inputs: Any, *, is_training: bool) -> _Tape:
        arrays, values = self.arrays, inputs
        layers: list[NDArray[Any]] = []
        normal: list[tuple[NDArray[Any], NDArray[Any]] | None] = []
        for layer in range(self.n_layers):
            values = values @ arrays[f"weight_{layer}"]
            normalised = None
            if layer in self.running:
                values, normalised = self._normalised(layer, values, is_training=is_training)
            normal.append(normalised)
            values = activate(self.activation, values + arrays[f"bias_{layer}"])
            layers.append(values)
        mean = values @ arrays["mean_weight"] + arrays["mean_bias"]
        spread = values @ arrays["spread_weight"] + arrays["spread_bias"]
        return _Tape(inputs, layers, normal, mean, np.clip(spread, -WIDEST, WIDEST))

    def _normalised(
        self, layer: int, values: NDArray[Any], *, is_training: bool
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], NDArray[Any]]]:
        centre, square = self.running[layer]
        if is_training and len(values) > 1:
            own, own_square = values.mean(axis=0), values.var(axis=0)
            centre *= _MOMENTUM
            centre += (1 - _MOMENTUM) * own
            square *= _MOMENTUM
            square += (1 - _MOMENTUM) * own_square
            centre, square = own, own_square
        deviation = np.sqrt(square + np.float32(1e-5))
        normal = (values - centre) / deviation
        return normal * self.arrays[f"gain_{layer}"], (normal, deviation)

    def loss(self, documents: Any) -> Loss:
        """Return the loss of documents, without chance."""
        tape = self._encode(shares(documents), is_training=False)
        chances = _chances(softmax(tape.mean), self.topics(), documents)
        words = -float((documents.data * np.log(np.maximum(chances, UNLIKELIEST))).sum())
        return Loss(words, float(_divergence(tape).sum()), float(documents.data.sum()))

    def learn(
        self, documents: Any, warmth: float, draw: np.random.Generator
    ) -> tuple[Loss, dict[str, NDArray[Any]]]:
        """Return the loss of documents, and its gradients; the divergence counts by `warmth`."""
        from scipy import sparse  # noqa: PLC0415 - 40 ms that the server need not pay

        arrays = self.arrays
        tape = self._encode(shares(documents), is_training=True)
        noise = draw.standard_normal(tape.mean.shape, np.float32)
        deviation = np.exp(0.5 * tape.spread)
        mixture, topics = softmax(tape.mean + noise * deviation), self.topics()
        chances = np.maximum(_chances(mixture, topics, documents), np.float32(UNLIKELIEST))
        loss = Loss(
            -float((documents.data * np.log(chances)).sum()),
            float(_divergence(tape).sum()),
            float(documents.data.sum()),
        )
        pull = sparse.csr_matrix(
            ((-documents.data / chances).astype(np.float32), documents.indices, documents.indptr),
            shape=documents.shape,
        )
        found: dict[str, NDArray[Any]] = {}
        to_topics = _through_softmax(topics, np.asarray((pull.T @ mixture).T))
        found["topic_vectors"] = to_topics @ arrays["word_vectors"]
        found["word_vectors"] = to_topics.T @ arrays["topic_vectors"]
        found["frequency"] = to_topics.sum(axis=0)
        drawn = _through_softmax(mixture, np.asarray(pull @ topics.T))
        to_mean = drawn + np.float32(warmth) * tape.mean
        to_spread = 0.5 * drawn * noise * deviation
        to_spread += np.float32(0.5 * warmth) * (np.exp(tape.spread) - 1)
        return loss, found | self._back(tape, to_mean, to_spread)

    def _back(self, tape: _Tape, to_mean: NDArray[Any], to_spread: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the gradients of the encoder."""
        arrays, last = self.arrays, tape.layers[-1]
        found = {
            "mean_weight": last.T @ to_mean,
            "mean_bias": to_mean.sum(axis=0),
            "spread_weight": last.T @ to_spread,
            "spread_bias": to_spread.sum(axis=0),
        }
        gradient = to_mean @ arrays["mean_weight"].T + to_spread @ arrays["spread_weight"].T
        for layer in reversed(range(self.n_layers)):
            gradient = gradient * _slope(self.activation, tape.layers[layer])
            found[f"bias_{layer}"] = gradient.sum(axis=0)
            normalised = tape.normal[layer]
            if normalised is not None:
                normal, deviation = normalised
                found[f"gain_{layer}"] = (gradient * normal).sum(axis=0)
                gradient = gradient * arrays[f"gain_{layer}"]
                if len(gradient) > 1:
                    gradient = gradient - gradient.mean(axis=0) - normal * (gradient * normal).mean(axis=0)
                gradient /= deviation
            inputs = tape.layers[layer - 1] if layer else tape.inputs
            found[f"weight_{layer}"] = np.asarray(inputs.T @ gradient)
            if layer:
                gradient = gradient @ arrays[f"weight_{layer}"].T
        return found

    def frozen(self) -> dict[str, NDArray[Any]]:
        """Return what answering needs, as the model file names it; normalisation is in the weights."""
        arrays = self.arrays
        found: dict[str, Any] = {"topics": self.topics(), "activation": np.array(self.activation)}
        for layer in range(self.n_layers):
            weight, bias = arrays[f"weight_{layer}"], arrays[f"bias_{layer}"]
            if layer in self.running:
                centre, square = self.running[layer]
                scale = arrays[f"gain_{layer}"] / np.sqrt(square + np.float32(1e-5))
                weight, bias = weight * scale, bias - centre * scale
            found |= {f"weight_{layer}": weight, f"bias_{layer}": bias}
        for name in ("mean_weight", "mean_bias", "word_vectors", "topic_vectors"):
            found[name] = arrays[name]
        return found


def _glorot(draw: np.random.Generator, n_in: int, n_out: int, gain: float) -> NDArray[np.float32]:
    values = draw.standard_normal((n_in, n_out), np.float32)
    return values * np.float32(gain * np.sqrt(2 / (n_in + n_out)))


def _chances(mixture: NDArray[Any], topics: NDArray[Any], documents: Any) -> NDArray[Any]:
    """Return how likely each word that a document has is, in the order of `documents.data`."""
    rows = np.repeat(np.arange(documents.shape[0]), np.diff(documents.indptr))
    return np.asarray(np.einsum("ij,ij->i", mixture[rows], np.ascontiguousarray(topics.T)[documents.indices]))


def _divergence(tape: _Tape) -> NDArray[Any]:
    return np.asarray(
        0.5 * (tape.mean * tape.mean + np.exp(tape.spread) - 1 - tape.spread).sum(axis=1, dtype=np.float64)
    )


def _through_softmax(made: NDArray[Any], gradient: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(made * (gradient - (gradient * made).sum(axis=1, keepdims=True)))
