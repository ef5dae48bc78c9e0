"""The network: two encoders, a comparison, layers, and what they say of a pair.

in0 ─▶ encoder 0 ─▶ a ─┐
├─▶ a · b, a b, |a - b| ─▶ layers ─▶ chances of labels, or a number
in1 ─▶ encoder 1 ─▶ b ─┘
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms._gradients import by_row
from clary.algorithms.object2vec._encoders import AUTO_LAYERS, NETWORKS, glorot
from clary.algorithms.object2vec._hyperparameters import CLASSES, TIED, of_encoder, width

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clary.algorithms.object2vec._encoders import Encoder, Rows
    from clary.algorithms.object2vec._pairs import Pairs, Tokens
    from clary.toolkit.hyperparameters import Params


@dataclass(frozen=True)
class Shape:
    """What a network is made of; the model file has it as JSON."""

    networks: tuple[str, str]
    n_layers: tuple[int, int]
    filter_widths: tuple[int, int]
    n_columns: tuple[int, int]
    """Of a token's vector."""
    vocabularies: tuple[int, int]
    longest: tuple[int, int]
    width: int
    """Of an encoding."""
    is_tied: bool
    comparators: tuple[str, ...]
    mlp_layers: int
    mlp_dim: int
    mlp_activation: str
    n_classes: int
    """0: a number is said."""

    @classmethod
    def of(cls, params: Params) -> Shape:
        """Read hyperparameters."""

        def both(name: str) -> Any:
            return tuple(of_encoder(params, side, name) for side in (0, 1))

        networks = both("network")
        n_layers = tuple(
            AUTO_LAYERS[network] if given == "auto" else given
            for network, given in zip(networks, both("layers"), strict=True)
        )
        return cls(
            networks=networks,
            n_layers=n_layers,  # type: ignore[arg-type]
            filter_widths=both("cnn_filter_width"),
            n_columns=both("token_embedding_dim"),
            vocabularies=both("vocab_size"),
            longest=both("max_seq_len"),
            width=width(params, 0),
            is_tied=params.is_true(TIED),
            comparators=params["comparator_list"],
            mlp_layers=params.int("mlp_layers"),
            mlp_dim=params.int("mlp_dim"),
            mlp_activation=params.text("mlp_activation"),
            n_classes=params.int("num_classes") if params["output_layer"] == CLASSES else 0,
        )

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Read what `str` wrote; ValueError, TypeError or KeyError where it is something else."""
        members: Any = json.loads(text)
        given: Any = {name: tuple(each) if isinstance(each, list) else each for name, each in members.items()}
        return cls(**given)

    def __str__(self) -> str:
        return json.dumps(asdict(self))

    def encoders(self) -> tuple[Encoder, Encoder]:
        """Return the two encoders."""
        found = [
            NETWORKS[self.networks[side]](
                f"enc{side}_",
                self.width,
                self.n_columns[side],
                self.n_layers[side],
                self.filter_widths[side],
            )
            for side in (0, 1)
        ]
        return found[0], found[1]


class Network:
    """The parameters, and both ways through them; `_device.OnDevice` is the same on a GPU."""

    def __init__(self, shape: Shape, arrays: dict[str, NDArray[Any]]) -> None:
        self.shape = shape
        self.arrays = arrays
        self.encoders = shape.encoders()
        self.tables = ("enc0_tokens", "enc0_tokens" if shape.is_tied else "enc1_tokens")
        """Names of the tokens' vectors of each side."""

    @classmethod
    def begin(cls, shape: Shape, middle: float) -> Network:
        """Return parameters to begin with; `middle` is what the last layer says at first."""
        draw = np.random.default_rng(17)
        arrays: dict[str, NDArray[Any]] = {}
        for side, encoder in enumerate(shape.encoders()):
            if not (side and shape.is_tied):
                vectors = draw.standard_normal((shape.vocabularies[side], shape.n_columns[side]), np.float32)
                vectors *= np.float32(0.04)
                arrays[f"enc{side}_tokens"] = vectors
            arrays |= encoder.begin(draw)
        n_in = shape.width * sum(2 if each == "concat" else 1 for each in shape.comparators)
        for layer in range(shape.mlp_layers):
            arrays[f"weight_{layer}"] = glorot(draw, n_in, shape.mlp_dim)
            arrays[f"bias_{layer}"] = np.zeros(shape.mlp_dim, np.float32)
            n_in = shape.mlp_dim
        arrays["last_weight"] = glorot(draw, n_in, max(1, shape.n_classes))
        arrays["last_bias"] = np.full(max(1, shape.n_classes), middle, np.float32)
        return cls(shape, arrays)

    def of(self, arrays: dict[str, NDArray[Any]]) -> Network:
        """Return a network of the same shape with other parameters."""
        return Network(self.shape, arrays)

    def numbers(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return sums over pairs, as the log takes them."""
        return sums

    def whole(self, name: str, rows: NDArray[np.intp], gradient: NDArray[Any]) -> NDArray[Any]:
        """Return the gradient of a table, from that of the rows that were touched."""
        found = np.zeros_like(self.arrays[name])
        found[rows] = gradient
        return found

    def measure(self, pairs: Pairs) -> NDArray[np.float64]:
        """Return sums over pairs: the loss, how many were right, and their number."""
        first, second = (self.encode(side, tokens)[0] for side, tokens in enumerate(pairs.sides))
        said, _ = self.say(self.compare(first, second))
        return self.judge(self.scores(said), pairs.labels)

    def encode(self, side: int, tokens: Tokens) -> tuple[NDArray[Any], Any]:
        """Return encodings of one side's sequences, and what the way back needs."""
        return self.encoders[side].encode(self.arrays, self.arrays[self.tables[side]], tokens)

    def compare(self, first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
        """Return the comparators' vectors, one behind the other."""
        parts: list[NDArray[Any]] = []
        for name in self.shape.comparators:
            if name == "hadamard":
                parts.append(first * second)
            elif name == "concat":
                parts += [first, second]
            else:
                parts.append(np.abs(first - second))
        return np.concatenate(parts, axis=1)

    def say(
        self, values: NDArray[Any], draw: np.random.Generator | None = None, dropout: float = 0.0
    ) -> tuple[NDArray[Any], list[tuple[NDArray[Any], NDArray[Any] | None]]]:
        """Return what the last layer says, and the inputs of every layer with what was left out of each."""
        inputs: list[tuple[NDArray[Any], NDArray[Any] | None]] = []
        for layer in range(self.shape.mlp_layers + 1):
            kept = None
            if dropout and draw is not None:
                kept = (draw.random(values.shape, np.float32) >= dropout) / np.float32(max(1 - dropout, 1e-6))
                values = values * kept
            inputs.append((values, kept))
            if layer == self.shape.mlp_layers:
                break
            values = values @ self.arrays[f"weight_{layer}"] + self.arrays[f"bias_{layer}"]
            if self.shape.mlp_activation == "relu":
                values = np.maximum(values, 0)
            elif self.shape.mlp_activation == "tanh":
                values = np.tanh(values)
        return values @ self.arrays["last_weight"] + self.arrays["last_bias"], inputs

    def scores(self, said: NDArray[Any]) -> NDArray[Any]:
        """Return chances of labels, or numbers, from what the last layer says."""
        if not self.shape.n_classes:
            return said
        found = np.exp(said - said.max(axis=1, keepdims=True))
        found /= found.sum(axis=1, keepdims=True)
        return np.asarray(found)

    def judge(self, scores: NDArray[Any], labels: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return sums over pairs: the loss, how many were right, and their number."""
        if not self.shape.n_classes:
            return np.array([np.square(scores[:, 0] - labels, dtype=np.float64).sum(), 0.0, len(labels)])
        classes = labels.astype(np.intp)
        chances = np.maximum(scores[np.arange(len(classes)), classes], 1e-30)
        right = np.count_nonzero(scores.argmax(axis=1) == classes)
        return np.array([-np.log(chances, dtype=np.float64).sum(), right, len(classes)])

    def learn(
        self, pairs: Pairs, draw: np.random.Generator, dropout: float
    ) -> tuple[NDArray[np.float64], dict[str, NDArray[Any]], dict[str, Rows]]:
        """Return sums of the loss, the gradients of its mean, and those of rows of tokens' vectors."""
        encoded = [self.encode(side, tokens) for side, tokens in enumerate(pairs.sides)]
        (first, _), (second, _) = encoded
        said, inputs = self.say(self.compare(first, second), draw, dropout)
        scores = self.scores(said)
        sums = self.judge(scores, pairs.labels)
        slope = scores.copy()
        if self.shape.n_classes:
            slope[np.arange(len(pairs)), pairs.labels.astype(np.intp)] -= 1
        else:
            slope -= pairs.labels[:, None]
            slope *= 2
        slope /= np.float32(len(pairs))
        found, slope = self._back(slope, inputs)
        touched: dict[str, Rows] = {}
        for side, gradient in enumerate(self._apart(slope, first, second)):
            own, rows = self.encoders[side].back(self.arrays, gradient, encoded[side][1])
            found |= own
            name = self.tables[side]
            touched[name] = _together(touched[name], rows) if name in touched else rows
        return sums, found, touched

    def _back(
        self, slope: NDArray[Any], inputs: list[tuple[NDArray[Any], NDArray[Any] | None]]
    ) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
        """Return the gradients of the layers, and that of the comparison."""
        found: dict[str, NDArray[Any]] = {}
        for layer in reversed(range(self.shape.mlp_layers + 1)):
            values, kept = inputs[layer]
            name = "last" if layer == self.shape.mlp_layers else None
            weight = f"{name}_weight" if name else f"weight_{layer}"
            found[weight] = values.T @ slope
            found[f"{name}_bias" if name else f"bias_{layer}"] = slope.sum(axis=0)
            slope = slope @ self.arrays[weight].T
            if kept is not None:
                slope = slope * kept
                if layer:
                    values = np.divide(values, kept, out=np.zeros_like(values), where=kept > 0)
            if layer and self.shape.mlp_activation == "relu":
                slope = slope * (values > 0)
            elif layer and self.shape.mlp_activation == "tanh":
                slope = slope * (1 - values * values)
        return found, slope

    def _apart(
        self, slope: NDArray[Any], first: NDArray[Any], second: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the gradients of both encodings, from that of their comparison."""
        size, at = self.shape.width, 0
        one, other = np.zeros_like(first), np.zeros_like(second)
        for name in self.shape.comparators:
            part = slope[:, at : at + size]
            at += size
            if name == "hadamard":
                one += part * second
                other += part * first
            elif name == "concat":
                one += part
                other += slope[:, at : at + size]
                at += size
            else:
                bent = part * np.sign(first - second)
                one += bent
                other -= bent
        return one, other


def _together(first: Rows, second: Rows) -> Rows:
    """Return the sums of two sides' gradients of one table."""
    return by_row(np.concatenate((first[0], second[0])), None, np.concatenate((first[1], second[1])))
