"""The compiled half of `pairs`: what an entity's vector and an address's network say of each other.

Every number is carried with a bound of how far off another order of adding up may be, as `_linear` has it.
"""

from typing import Any

import numpy as np

from clary.toolkit.kernels._linear import ROUNDING, WEIGHTS, certain
from clary.toolkit.kernels._numba import kernel, types
from clary.toolkit.kernels.pairs import LENGTHS

VALUES = types.Array(types.float64, 2, "C")
KEYS = types.Array(types.int64, 1, "C", readonly=True)
LAYERS = types.Array(types.float64, 3, "C", readonly=True)
VECTORS = types.Array(types.float32, 2, "C", readonly=True)
SPREAD = 2.0**-48
"""What libraries make of a hyperbolic tangent differs by a few units of 2^-53."""


@kernel(types.int64(KEYS, types.int64))
def place(keys: Any, key: Any) -> Any:
    """Return where a key lies among sorted ones; -1 where it does not."""
    low, high = 0, keys.shape[0]
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < keys.shape[0] and keys[low] == key else -1


@kernel(types.int64(types.int64, WEIGHTS, KEYS, WEIGHTS, VALUES))
def enter(address: Any, bits: Any, prefixes: Any, vectors: Any, found: Any) -> Any:
    """Write an address's sums, and what they would be if nothing cancelled out; return the summands."""
    found[:] = 0.0
    n_columns = bits.shape[1]
    for bit in range(32):
        sign = 1.0 if (address >> (31 - bit)) & 1 else -1.0
        for column in range(n_columns):
            found[0, column] += sign * bits[bit, column]
            found[1, column] += abs(bits[bit, column])
    for length in LENGTHS:
        row = place(prefixes, (address >> (32 - length)) | (length << 32))
        if row >= 0:
            for column in range(n_columns):
                found[0, column] += vectors[row, column]
                found[1, column] += abs(vectors[row, column])
    return 32 + len(LENGTHS)


@kernel(
    types.float32(VECTORS, types.int64, types.int64, WEIGHTS, KEYS, WEIGHTS, LAYERS, WEIGHTS, VALUES, VALUES)
)
def score(
    entities: Any,
    row: Any,
    address: Any,
    bits: Any,
    prefixes: Any,
    vectors: Any,
    weights: Any,
    biases: Any,
    one: Any,
    other: Any,
) -> Any:
    """Return the product of an entity's vector and an address's; NaN where it is not certain."""
    n_columns = bits.shape[1]
    n_terms = enter(address, bits, prefixes, vectors, one)
    for column in range(n_columns):
        one[1, column] *= (n_terms + 4) * ROUNDING
    for layer in range(weights.shape[0]):
        rounding = (n_columns + 4) * ROUNDING
        for column in range(n_columns):
            other[0, column] = biases[layer, column]
            other[1, column] = abs(biases[layer, column]) * rounding
        for source in range(n_columns):
            value = np.tanh(one[0, source])
            slack = one[1, source] + SPREAD + abs(value) * rounding
            for column in range(n_columns):
                weight = weights[layer, source, column]
                other[0, column] += value * weight
                other[1, column] += slack * abs(weight)
        one[:] = other
    total, slack = 0.0, 0.0
    for column in range(n_columns):
        value = np.float64(entities[row, column])
        term = value * one[0, column]
        total += term
        slack += abs(value) * one[1, column] + abs(term) * (n_columns + 4) * ROUNDING
    return certain(total - slack, total + slack)
