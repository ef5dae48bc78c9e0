"""The network as ONNX: tokens of both sides in, encodings and what is said of the pair out.

Tokens of shorter sequences are followed by -1, which a table has as its last row: Python's way, and ONNX's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clary.algorithms._onnx import FILE, Graph
from clary.algorithms.object2vec._encoders import Convolutional, Pooled

if TYPE_CHECKING:
    from pathlib import Path

    from clary.algorithms.object2vec._encoders import Encoder
    from clary.algorithms.object2vec._network import Network

_OPERATORS = {"relu": "Relu", "tanh": "Tanh", "linear": "Identity"}
_GATES = (0, 3, 1, 2)
"""Places, among ours, of the gates as ONNX has them: enter, emit, forget, new."""
_NEVER = np.array(-1e30)


def write(folder: Path, network: Network) -> None:
    """Write it."""
    shape, arrays, graph = network.shape, network.arrays, Graph()
    encoded: list[str] = []
    tables: dict[str, str] = {}
    for side, encoder in enumerate(network.encoders):
        tokens = graph.input(f"in{side}", ("n", f"length_{side}"), "int64")
        name = network.tables[side]
        if name not in tables:
            table = arrays[name]
            tables[name] = graph.array(np.concatenate([table, np.zeros_like(table[:1])]))
        encoded.append(_encoded(graph, encoder, network, tables[name], tokens))
        graph.output(encoded[-1], f"embeddings{side}", ("n", shape.width))
    parts: list[str] = []
    for comparator in shape.comparators:
        if comparator == "hadamard":
            parts.append(graph.node("Mul", *encoded))
        elif comparator == "concat":
            parts += encoded
        else:
            parts.append(graph.node("Abs", graph.node("Sub", *encoded)))
    values = graph.node("Concat", *parts, axis=1)
    for layer in range(shape.mlp_layers):
        product = graph.node("MatMul", values, graph.array(arrays[f"weight_{layer}"]))
        added = graph.node("Add", product, graph.array(arrays[f"bias_{layer}"]))
        values = graph.node(_OPERATORS[shape.mlp_activation], added)
    product = graph.node("MatMul", values, graph.array(arrays["last_weight"]))
    said = graph.node("Add", product, graph.array(arrays["last_bias"]))
    if shape.n_classes:
        said = graph.node("Softmax", said, axis=1)
    graph.output(said, "scores", ("n", shape.n_classes or 1))
    graph.write(folder / FILE)


def _encoded(graph: Graph, encoder: Encoder, network: Network, table: str, tokens: str) -> str:
    """Return the encodings of sequences, shape (n, width)."""
    is_there = graph.cast(graph.node("GreaterOrEqual", tokens, graph.array(np.array(0))), "float32")
    values = graph.node("Gather", table, tokens, axis=0)  # shape (n, length, columns)
    length = graph.node("ReduceSum", is_there, graph.array(np.array([1])))
    if isinstance(encoder, Pooled):
        total = graph.node("ReduceSum", values, graph.array(np.array([1])), keepdims=0)
        return graph.node("Div", total, graph.node("Max", length, graph.array(np.array(1.0))))
    there = graph.node("Unsqueeze", is_there, graph.array(np.array([1])))  # shape (n, 1, length)
    if isinstance(encoder, Convolutional):
        return _convolved(graph, encoder, network, values, there)
    return _recurrent(graph, encoder, network, values, there, length)


def _convolved(graph: Graph, encoder: Encoder, network: Network, values: str, there: str) -> str:
    size, maxima = encoder.filter_width, []
    before = (size - 1) // 2
    values = graph.node("Transpose", values, perm=[0, 2, 1])
    for layer in range(encoder.n_layers):
        flat = network.arrays[f"{encoder.prefix}filter_{layer}"]
        filters = flat.reshape(size, -1, flat.shape[1]).transpose(2, 1, 0)
        bias = graph.array(network.arrays[f"{encoder.prefix}bias_{layer}"])
        values = graph.node("Conv", values, graph.array(filters), bias, pads=[before, size - 1 - before])
        values = graph.node("Mul", graph.node("Relu", values), there)
        maxima.append(graph.node("ReduceMax", values, axes=[2], keepdims=0))
    return graph.node("Concat", *maxima, axis=1)


def _recurrent(graph: Graph, encoder: Encoder, network: Network, values: str, there: str, length: str) -> str:
    values = graph.node("Transpose", values, perm=[1, 0, 2])
    n_tokens = graph.cast(graph.node("Squeeze", length, graph.array(np.array([1]))), "int32")
    size = -(-encoder.width // 2)
    for layer in range(encoder.n_layers):
        parts: dict[str, list[np.ndarray]] = {"input": [], "state": [], "bias": []}
        for way in ("ahead", "back"):
            for part, several in parts.items():
                one = network.arrays[f"{encoder.prefix}{way}_{layer}_{part}"].T
                several.append(np.concatenate([one[gate * size : (gate + 1) * size] for gate in _GATES]))
        bias = np.stack([np.concatenate([each, np.zeros_like(each)]) for each in parts["bias"]])
        weights = [graph.array(np.stack(parts[part])) for part in ("input", "state")]
        values = graph.node(
            "LSTM", values, *weights, graph.array(bias), n_tokens, direction="bidirectional", hidden_size=size
        )  # shape (length, 2, n, size)
        values = graph.node("Transpose", values, perm=[0, 2, 1, 3])
        values = graph.node("Reshape", values, graph.array(np.array([0, 0, 2 * size])))
    values = graph.node("Transpose", values, perm=[1, 2, 0])  # shape (n, 2 * size, length)
    hidden = graph.node("Mul", graph.node("Sub", there, graph.array(np.array(1.0))), graph.array(-_NEVER))
    maxima = graph.node("ReduceMax", graph.node("Add", values, hidden), axes=[2], keepdims=0)
    maxima = graph.node("Mul", maxima, graph.node("Min", length, graph.array(np.array(1.0))))
    start, end, axis = (graph.array(np.array([each])) for each in (0, encoder.width, 1))
    return graph.node("Slice", maxima, start, end, axis)
