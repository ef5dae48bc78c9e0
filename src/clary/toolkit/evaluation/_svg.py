"""Charts as inline SVG: lines, areas, bars, points, in the page's own colours and type.

Coordinates are those of the data until they are written; colours are the page's CSS variables, so that one
picture serves light and dark.
"""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

WIDE, NARROW = (880, 300), (430, 300)
"""Widths and height of a picture in its own units; type is 13 units, and shrinks with the picture."""
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 14, 44
Range = tuple[float, float]
Values = Sequence[float] | NDArray[Any]


def ticks(low: float, high: float, n: int = 5) -> list[float]:
    """Return round numbers from `low` to `high`, about `n` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / n
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * each for each in (1, 2, 2.5, 5, 10) if unit * each >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    found = []
    while (value := first * step) <= high + step * 1e-9:
        found.append(round(value, 12))
        first += 1
    return found


def label(value: float) -> str:
    """Return a tick's text: 1,200, 0.25, 3M."""
    size = abs(value)
    for limit, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            return f"{value / {'G': 1e9, 'M': 1e6, 'k': 1e3}[sign]:g}{sign}"
    return f"{value:,.6g}"


@dataclass
class Chart:
    """One picture."""

    title: str
    x: str
    y: str
    x_range: Range
    y_range: Range
    is_wide: bool = False
    is_log: bool = False
    """The vertical axis counts tens."""
    _body: list[str] = field(default_factory=list)
    _keys: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return WIDE if self.is_wide else NARROW

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the data lies."""
        width, height = self.size
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        if self.is_log:
            y, y0, y1 = (math.log10(max(each, 1e-12)) for each in (y, y0, y1))
        across = (x - x0) / (x1 - x0) if x1 > x0 else 0.5
        up = (y - y0) / (y1 - y0) if y1 > y0 else 0.5
        across, up = min(max(across, -0.02), 1.02), min(max(up, -0.02), 1.02)
        return (
            round(LEFT + across * (width - LEFT - RIGHT), 1),
            round(height - BOTTOM - up * (height - TOP - BOTTOM), 1),
        )

    def _path(self, points: Iterable[tuple[float, float]]) -> str:
        return "M" + "L".join(f"{x},{y}" for x, y in (self.place(*each) for each in points))

    def line(self, xs: Values, ys: Values, colour: str, name: str = "", *, dashes: str = "") -> "Chart":
        """Draw a line through points."""
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        path = self._path(zip(xs, ys, strict=True))
        self._body.append(f'<path d="{path}" fill="none" stroke="var(--{colour})" stroke-width="2.2"{dash}/>')
        if name:
            self._keys.append((name, colour, "line"))
        return self

    def area(self, xs: Values, lower: Values, upper: Values, colour: str) -> "Chart":
        """Fill between two lines."""
        points = [*zip(xs, upper, strict=True), *reversed(list(zip(xs, lower, strict=True)))]
        self._body.append(f'<path d="{self._path(points)}Z" fill="var(--{colour})" fill-opacity=".14"/>')
        return self

    def bars(self, edges: Values, heights: Values, colour: str, name: str = "") -> "Chart":
        """Draw bars between edges, from the bottom."""
        floor = self.y_range[0]
        for low, high, height in zip(edges[:-1], edges[1:], heights, strict=True):
            if height <= floor:
                continue
            (x0, y0), (x1, y1) = self.place(low, floor), self.place(high, height)
            self._body.append(
                f'<rect x="{x0 + 0.6:.1f}" y="{y1}" width="{max(x1 - x0 - 1.2, 0.8):.1f}" '
                f'height="{max(y0 - y1, 0):.1f}" fill="var(--{colour})" fill-opacity=".62"/>'
            )
        if name:
            self._keys.append((name, colour, "box"))
        return self

    def points(self, xs: Values, ys: Values, colour: str, name: str = "", *, radius: float = 4.5) -> "Chart":
        """Draw dots."""
        for x, y in zip(xs, ys, strict=True):
            cx, cy = self.place(x, y)
            self._body.append(
                f'<circle cx="{cx}" cy="{cy}" r="{radius}" fill="var(--{colour})" stroke="var(--card)" '
                'stroke-width="1.5"/>'
            )
        if name:
            self._keys.append((name, colour, "dot"))
        return self

    def cells(self, rows: Sequence[Sequence[float]], colour: str) -> "Chart":
        """Shade a grid over the whole picture by shares in [0, 1]; row 0 is at the bottom."""
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        n_rows, n_columns = len(rows), len(rows[0])
        for n, row in enumerate(rows):
            for k, value in enumerate(row):
                if value <= 0:
                    continue
                left, top = self.place(x0 + (x1 - x0) * k / n_columns, y0 + (y1 - y0) * (n + 1) / n_rows)
                right, bottom = self.place(x0 + (x1 - x0) * (k + 1) / n_columns, y0 + (y1 - y0) * n / n_rows)
                self._body.append(
                    f'<rect x="{left}" y="{top}" width="{right - left + 0.4:.1f}" '
                    f'height="{bottom - top + 0.4:.1f}" fill="var(--{colour})" '
                    f'fill-opacity="{0.08 + 0.9 * value:.2f}"/>'
                )
        return self

    def upright(self, x: float, colour: str, name: str = "") -> "Chart":
        """Draw a dashed line from bottom to top."""
        (x0, y0), (_, y1) = self.place(x, self.y_range[0]), self.place(x, self.y_range[1])
        self._body.append(
            f'<path d="M{x0},{y0}V{y1}" stroke="var(--{colour})" stroke-width="1.4" stroke-dasharray="5 4"/>'
        )
        if name:
            self._keys.append((name, colour, "line"))
        return self

    def note(self, x: float, lines: Sequence[str], colour: str, *, rung: int = 0) -> "Chart":
        """Write words beside an upright line, at its top, on the side that has room."""
        px, _ = self.place(x, self.y_range[1])
        is_left = px > self.size[0] * 0.62
        anchor, tx = ("end", px - 8) if is_left else ("start", px + 8)
        ty = TOP + 12 + rung * (15 * len(lines) + 8)
        width = max(map(len, lines)) * 7.0
        left = tx - width if is_left else tx
        self._body.append(
            f'<rect x="{left - 3:.1f}" y="{ty - 13}" width="{width + 6:.1f}" height="{15 * len(lines) + 3}" '
            'rx="4" fill="var(--card)" fill-opacity=".85"/>'
        )
        for n, text in enumerate(lines):
            weight = ' font-weight="600"' if not n else ""
            self._body.append(
                f'<text x="{tx:.1f}" y="{ty + 15 * n}" text-anchor="{anchor}" '
                f'style="fill:var(--{colour})"{weight}>{html.escape(text)}</text>'
            )
        return self

    def svg(self) -> str:
        """Return the picture; its key stands below it, in the page's type."""
        width, height = self.size
        title = html.escape(self.title)
        return (
            f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{title}">{self._axes()}'
            f"{''.join(self._body)}</svg>{self._key()}"
        )

    def _key(self) -> str:
        items = "".join(
            f'<li><i class="{shape}" style="--c:var(--{colour})"></i>{html.escape(name)}</li>'
            for name, colour, shape in self._keys
        )
        return f'<ul class="key">{items}</ul>' if items else ""

    def _axes(self) -> str:
        width, height = self.size
        floor = height - BOTTOM
        parts = []
        for value in ticks(*self.x_range, 8 if self.is_wide else 5):
            x, _ = self.place(value, self.y_range[0])
            parts.append(f'<path d="M{x},{floor}v4" class="axis"/>')
            parts.append(
                f'<text x="{x}" y="{floor + 18}" text-anchor="middle" class="tick">{label(value)}</text>'
            )
        for value in self._rungs():
            _, y = self.place(self.x_range[0], value)
            parts.append(f'<path d="M{LEFT},{y}H{width - RIGHT}" class="grid"/>')
            parts.append(
                f'<text x="{LEFT - 7}" y="{y + 4}" text-anchor="end" class="tick">{label(value)}</text>'
            )
        parts.append(f'<path d="M{LEFT},{floor}H{width - RIGHT}" class="axis"/>')
        middle = (LEFT + width - RIGHT) / 2
        parts.append(f'<text x="{middle}" y="{height - 6}" text-anchor="middle">{html.escape(self.x)}</text>')
        up = (TOP + floor) / 2
        parts.append(
            f'<text transform="translate(12 {up}) rotate(-90)" text-anchor="middle">'
            f"{html.escape(self.y)}</text>"
        )
        return "".join(parts)

    def _rungs(self) -> list[float]:
        if not self.is_log:
            return ticks(*self.y_range, 5)
        low, high = (math.log10(max(each, 1e-12)) for each in self.y_range)
        return [10.0**n for n in range(math.ceil(low), math.floor(high) + 1)]
