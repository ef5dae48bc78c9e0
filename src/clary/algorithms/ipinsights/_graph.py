"""The network as ONNX: rows of entities and addresses as numbers in, their vectors and products out.

The prefixes of an address are found by halving: their table is sorted, and as long as a power of two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clary.algorithms._onnx import FILE, Graph
from clary.toolkit.kernels.pairs import LENGTHS

if TYPE_CHECKING:
    from pathlib import Path

    from clary.algorithms.ipinsights._network import Network

_BEYOND = np.iinfo(np.int64).max
"""More than any prefix."""


def write(folder: Path, network: Network) -> None:
    """Write it."""
    arrays, graph = network.arrays, Graph()
    entity, address = (graph.input(name, ("n",), "int64") for name in ("entity", "address"))
    column = graph.node("Unsqueeze", address, graph.array(np.array([1])))
    vectors = graph.node(
        "Add", _of_bits(graph, network, column), _of_prefixes(graph, network, _keys(graph, column))
    )
    for layer in range(network.n_layers):
        product = graph.node("MatMul", graph.node("Tanh", vectors), graph.array(arrays[f"weight_{layer}"]))
        vectors = graph.node("Add", product, graph.array(arrays[f"bias_{layer}"]))
    entities = graph.node("Gather", graph.array(arrays["entity_vectors"]), entity, axis=0)
    product = graph.node("Mul", entities, vectors)
    width = arrays["entity_vectors"].shape[1]
    graph.output(
        graph.node("ReduceSum", product, graph.array(np.array([1])), keepdims=0), "dot_product", ("n",)
    )
    graph.output(entities, "entity_embedding", ("n", width))
    graph.output(vectors, "ip_embedding", ("n", width))
    graph.write(folder / FILE)


def _of_bits(graph: Graph, network: Network, column: str) -> str:
    shifted = graph.node("Div", column, graph.array(2 ** np.arange(31, -1, -1)))
    bits = graph.cast(graph.node("Mod", shifted, graph.array(np.array(2))), "float32")
    signs = graph.node("Sub", graph.node("Add", bits, bits), graph.array(np.array(1.0)))
    return graph.node("MatMul", signs, graph.array(network.arrays["bit_weight"]))


def _keys(graph: Graph, column: str) -> str:
    """Return an address's prefixes, as `keys_of` numbers them, shape (n, n_lengths)."""
    lengths = np.array(LENGTHS)
    shifted = graph.node("Div", column, graph.array(2 ** (32 - lengths)))
    return graph.node("Add", shifted, graph.array(lengths << 32))


def _of_prefixes(graph: Graph, network: Network, keys: str) -> str:
    """Return the sum of the vectors of known prefixes."""
    prefixes, rows = (network.arrays[name] for name in ("prefixes", "prefix_vectors"))
    n_steps = max(len(prefixes) - 1, 0).bit_length()
    padded = np.full(1 << n_steps, _BEYOND)
    padded[: len(prefixes)] = prefixes
    table = graph.array(padded)
    place = graph.node("Sub", keys, keys)
    for step in reversed(range(n_steps)):
        after = graph.node("Add", place, graph.array(np.array(1 << step)))
        is_there = graph.node("LessOrEqual", graph.node("Gather", table, after, axis=0), keys)
        place = graph.node("Where", is_there, after, place)
    is_known = graph.cast(graph.node("Equal", graph.node("Gather", table, place, axis=0), keys), "float32")
    known = graph.node("Unsqueeze", is_known, graph.array(np.array([2])))
    held = graph.array(rows if len(rows) else np.zeros((1, rows.shape[1])))
    found = graph.node("Gather", held, place, axis=0)
    return graph.node("ReduceSum", graph.node("Mul", found, known), graph.array(np.array([1])), keepdims=0)
