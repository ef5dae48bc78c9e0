"""The encoder as ONNX: counts of words in, shares of topics out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms._onnx import FILE, Graph

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_OPERATORS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}


def write(folder: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write it, of what the model file holds."""
    graph, n_words = Graph(), arrays["weight_0"].shape[0]
    counts = graph.input("counts", ("n", n_words))
    total = graph.node("ReduceSum", counts, graph.array(np.array([1])))
    values = graph.node(
        "Sqrt", graph.node("Div", counts, graph.node("Max", total, graph.array(np.array(1e-9))))
    )
    for layer in range(sum(name.startswith("weight_") for name in arrays)):
        product = graph.node("MatMul", values, graph.array(arrays[f"weight_{layer}"]))
        added = graph.node("Add", product, graph.array(arrays[f"bias_{layer}"]))
        values = graph.node(_OPERATORS[str(arrays["activation"])], added)
    product = graph.node("MatMul", values, graph.array(arrays["mean_weight"]))
    shares = graph.node("Softmax", graph.node("Add", product, graph.array(arrays["mean_bias"])), axis=1)
    graph.output(shares, "topic_weights", ("n", len(arrays["mean_bias"])))
    graph.write(folder / FILE)
