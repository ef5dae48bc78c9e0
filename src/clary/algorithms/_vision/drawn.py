"""Drawn pictures of shapes, for examples, tests and benchmarks: what they show is known to the pixel."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DISC, SQUARE, CROSS = 0, 1, 2
N_KINDS = 3
_NOISE = 40


@dataclass(frozen=True)
class Scene:
    """A picture with shapes on a noisy ground."""

    pixels: NDArray[np.uint8]
    """Shape (height, width, 3)."""
    mask: NDArray[np.uint8]
    """Shape (height, width): 0 is the ground, a kind plus 1 its shapes."""
    boxes: tuple[tuple[int, float, float, float, float], ...]
    """Kind, left, top, right, bottom, in pixels."""


def scene(
    draw: np.random.Generator,
    side: int,
    n_shapes: int = 1,
    kinds: int = N_KINDS,
    share: tuple[float, float] = (0.3, 0.6),
) -> Scene:
    """Draw a square picture.

    Parameters
    ----------
    share : tuple of float
        Least and largest size of a shape, of the side.
    """
    pixels = draw.integers(0, _NOISE, (side, side, 3)).astype(np.uint8) + draw.integers(0, 60, 3).astype(
        np.uint8
    )
    mask = np.zeros((side, side), np.uint8)
    boxes = []
    rows, columns = np.mgrid[:side, :side] + 0.5
    for _ in range(n_shapes):
        kind, size = int(draw.integers(kinds)), side * draw.uniform(*share)
        top, left = draw.uniform(0, side - size, 2)
        y, x = (rows - top) / size - 0.5, (columns - left) / size - 0.5
        inside = {
            DISC: x**2 + y**2 < 0.25,
            SQUARE: (abs(x) < 0.5) & (abs(y) < 0.5),
            CROSS: ((abs(x) < 0.17) & (abs(y) < 0.5)) | ((abs(y) < 0.17) & (abs(x) < 0.5)),
        }[kind]
        if mask[(abs(x) < 0.5) & (abs(y) < 0.5)].any():
            continue  # one that hid another would leave a box of what is not seen
        colour = draw.integers(130, 255 - _NOISE, 3).astype(np.uint8)
        pixels[inside] = colour + draw.integers(0, _NOISE, (int(inside.sum()), 3)).astype(np.uint8)
        mask[inside] = kind + 1
        boxes.append((kind, float(left), float(top), float(left + size), float(top + size)))
    return Scene(pixels, mask, tuple(boxes))


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a PNG file of colours, shape (height, width, 3), or of greys, shape (height, width)."""
    height, width = pixels.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    lines = np.zeros((height, pixels[0].size + 1), np.uint8)  # each begins with its filter, none
    lines[:, 1:] = pixels.reshape(height, -1)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
