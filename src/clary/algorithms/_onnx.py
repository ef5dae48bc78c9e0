"""ONNX files of networks that NumPy trains, written without a library.

    graph = Graph()
    rows = graph.input("rows", ("n", 12))
    graph.output(graph.node("MatMul", rows, graph.array(weights)), "scores", ("n", 3))
    graph.write(path)

Source: github.com/onnx/onnx, `onnx/onnx.proto3`, for the numbers of members.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms._log import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FILE = "model.onnx"
MOST_BYTES = 1 << 30
"""Of a file; protobuf ends at twice as much, and so large a table is not written twice."""
_INT, _STRING, _INTS = 2, 3, 7
_TYPES = {"float32": 1, "int32": 6, "int64": 7, "bool": 9}
_IR_VERSION, _OPSET = 8, 17


def _number(value: int) -> bytes:
    found, value = b"", value & 0xFFFF_FFFF_FFFF_FFFF
    while value > 0x7F:
        found, value = found + bytes((value & 0x7F | 0x80,)), value >> 7
    return found + bytes((value,))


def _member(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    content = value.encode() if isinstance(value, str) else value
    return _number(number << 3 | 2) + _number(len(content)) + content


class Graph:
    """A graph of operators; values have names, and methods return those of what they make."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._arrays: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []

    def input(self, name: str, shape: Sequence[int | str], kind: str = "float32") -> str:
        """Declare an input; words in a shape are sizes that stay open."""
        self._inputs.append(_declared(name, shape, kind))
        return name

    def output(self, value: str, name: str, shape: Sequence[int | str]) -> None:
        """Call a value one of the outputs."""
        self._outputs.append(_declared(name, shape, "float32"))
        self.node("Identity", value, name=name)

    def array(self, values: NDArray[Any]) -> str:
        """Hold an array: of integers as int64, of numbers as float32."""
        kind = "int64" if values.dtype.kind in "iu" else "float32"
        held = np.ascontiguousarray(values, kind)
        name = f"array_{len(self._arrays)}"
        dims = b"".join(_member(1, each) for each in held.shape)
        raw = held.astype(held.dtype.newbyteorder("<")).tobytes()
        self._arrays.append(dims + _member(2, _TYPES[kind]) + _member(8, name) + _member(9, raw))
        return name

    def node(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Apply an operator; `""` among the inputs is one that is left out."""
        made = name or f"value_{len(self._nodes)}"
        content = b"".join(_member(1, each) for each in inputs) + _member(2, made) + _member(4, operator)
        self._nodes.append(content + b"".join(_member(5, each) for each in _attributes(attributes)))
        return made

    def cast(self, value: str, kind: str) -> str:
        """Return a value as another type."""
        return self.node("Cast", value, to=_TYPES[kind])

    def write(self, path: Path) -> None:
        """Write the file, unless it would be too large: the log then says so."""
        if sum(map(len, self._arrays)) > MOST_BYTES:
            say(f"There is no {path.name}: it would have more than a gigabyte")
            return
        members = ((1, self._nodes), (5, self._arrays), (11, self._inputs), (12, self._outputs))
        graph = b"".join(_member(number, each) for number, several in members for each in several)
        operators = _member(1, "") + _member(2, _OPSET)
        path.write_bytes(
            _member(1, _IR_VERSION) + _member(2, "clary") + _member(7, graph + _member(2, "network"))
            + _member(8, operators)
        )  # fmt: skip


def _declared(name: str, shape: Sequence[int | str], kind: str) -> bytes:
    sizes = b"".join(_member(1, _member(2 if isinstance(each, str) else 1, each)) for each in shape)
    tensor = _member(1, _TYPES[kind]) + _member(2, sizes)
    return _member(1, name) + _member(2, _member(1, tensor))


def _attributes(given: Mapping[str, Any]) -> list[bytes]:
    found = []
    for name, value in given.items():
        content = _member(1, name)
        if isinstance(value, str):
            content += _member(4, value) + _member(20, _STRING)
        elif isinstance(value, int):
            content += _member(3, value) + _member(20, _INT)
        else:
            content += b"".join(_member(8, each) for each in value) + _member(20, _INTS)
        found.append(content)
    return found
