"""Pictures drawn on the server: SVG that needs no script and follows the theme."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 420, 220
COLOURS = 4
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 34


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: numbers from `low` to `high`, or names."""

    label: str
    low: float = 0.0
    high: float = 1.0
    is_log: bool = False
    names: Sequence[str] = ()

    @classmethod
    def over(cls, label: str, values: Sequence[float]) -> "Axis":
        """Return an axis that holds all values, logarithmic where they span more than two decades."""
        low, high = min(values), max(values)
        is_log = low > 0 and high / low > 100
        if low == high:
            low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
        return cls(label, low, high, is_log)

    def at(self, value: float | str) -> float:
        """Return where a value lies, in [0, 1]."""
        if self.names:
            return (self.names.index(str(value)) + 0.5) / len(self.names)
        number = float(value)
        if self.is_log:
            return (math.log(number) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (number - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """Return places in [0, 1] with their texts."""
        if self.names:
            return [(self.at(name), name) for name in self.names]
        if self.is_log:
            decades = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            return [(self.at(10.0**each), f"{10.0**each:g}") for each in decades]
        step = _step((self.high - self.low) / 4)
        first = math.ceil(self.low / step)
        marks = [n * step for n in range(first, math.floor(self.high / step) + 1)]
        return [(self.at(each), f"{each:.6g}") for each in marks]


def _step(rough: float) -> float:
    """Return the round number next to `rough`."""
    size = 10.0 ** math.floor(math.log10(rough))
    return float(min((1, 2, 2.5, 5, 10), key=lambda each: abs(each * size - rough)) * size)


@dataclass(frozen=True, slots=True)
class Point:
    """One mark of a picture."""

    x: float | str
    y: float
    title: str
    kind: str = "dot"
    """`dot`, `best` or `ended`: a class of the style sheet."""


def scatter(
    title: str, x: Axis, y: Axis, points: Sequence[Point], line: Sequence[tuple[float, float]] = ()
) -> Markup:
    """Return points, over a line that may rise in steps."""
    inner = [_frame(x, y)]
    if line:
        path = " ".join(
            f"{'L' if n else 'M'}{_px(x.at(a)):.1f} {_py(y.at(b)):.1f}" for n, (a, b) in enumerate(line)
        )
        inner.append(f'<path class="line" d="{path}"/>')
    inner += [
        f'<circle class="{each.kind}" cx="{_px(x.at(each.x)):.1f}" cy="{_py(y.at(each.y)):.1f}" r="4">'
        f"<title>{escape(each.title)}</title></circle>"
        for each in points
    ]
    return _picture(title, inner)


def lines(title: str, x: Axis, y: Axis, curves: Mapping[str, Sequence[tuple[float, float]]]) -> Markup:
    """Return several lines over the same axes, each named in its colour."""
    inner = [_frame(x, y)]
    for n, (name, line) in enumerate(curves.items()):
        path = " ".join(
            f"{'L' if place else 'M'}{_px(x.at(a)):.1f} {_py(y.at(b)):.1f}"
            for place, (a, b) in enumerate(line)
        )
        inner.append(f'<path class="line c{n % COLOURS}" d="{path}"><title>{escape(name)}</title></path>')
        at = HEIGHT - BOTTOM - 8 - 13 * (len(curves) - 1 - n)
        inner.append(
            f'<text class="name c{n % COLOURS}" x="{WIDTH - RIGHT - 6}" y="{at}" text-anchor="end">'
            f"{escape(name)}</text>"
        )
    return _picture(title, inner)


def parallel(
    title: str, axes: Mapping[str, Axis], rows: Sequence[tuple[Mapping[str, float | str], float, str]]
) -> Markup:
    """Return one line a row over parallel axes.

    Parameters
    ----------
    rows : sequence of (values by axis, quality in [0, 1], title)
        Better rows are drawn stronger, and last.
    """
    places = {name: LEFT / 2 + n * (WIDTH - LEFT) / max(1, len(axes) - 1) for n, name in enumerate(axes)}
    inner = []
    for values, quality, text in sorted(rows, key=lambda row: row[1]):
        path = " ".join(
            f"{'L' if n else 'M'}{places[name]:.1f} {_py(axis.at(values[name])):.1f}"
            for n, (name, axis) in enumerate((name, axis) for name, axis in axes.items() if name in values)
        )
        shade = f"{0.15 + 0.85 * quality**2:.2f}"
        inner.append(
            f'<path class="line" d="{path}" stroke-opacity="{shade}"><title>{escape(text)}</title></path>'
        )
    for name, axis in axes.items():
        at = places[name]
        inner.append(f'<path class="axis" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        is_last = at == max(places.values()) and len(places) > 1
        anchor, side = ("end", -4) if is_last else ("start", 4)
        under = f'x="{at + (LEFT / 2 if is_last else 0):.1f}" text-anchor="{"end" if is_last else "middle"}"'
        inner.append(f'<text class="name" {under} y="{HEIGHT - 8}">{escape(name)}</text>')
        inner += [
            f'<text x="{at + side:.1f}" y="{_py(place) + 3:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
            for place, text in axis.ticks()
        ]
    return _picture(title, inner)


def bars(title: str, values: Mapping[str, float]) -> Markup:
    """Return horizontal bars, longest first; values in [0, 1]."""
    shown = sorted(values.items(), key=lambda pair: -pair[1])
    height = 24 * len(shown) + 8
    inner = []
    for n, (name, value) in enumerate(shown):
        y = 4 + 24 * n
        inner.append(f'<text x="128" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
        inner.append(
            f'<rect class="bar" x="134" y="{y + 3}" height="14" width="{max(1.0, value * 230):.1f}" rx="3"/>'
        )
        inner.append(f'<text x="{140 + value * 230:.1f}" y="{y + 14}">{value:.2f}</text>')
    return _picture(title, inner, height)


def _px(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _py(share: float) -> float:
    return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)


def _frame(x: Axis, y: Axis) -> str:
    marks = []
    for place, text in x.ticks():
        marks.append(f'<path class="grid" d="M{_px(place):.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        marks.append(
            f'<text x="{_px(place):.1f}" y="{HEIGHT - 21}" text-anchor="middle">{escape(text)}</text>'
        )
    for place, text in y.ticks():
        marks.append(f'<path class="grid" d="M{LEFT} {_py(place):.1f}H{WIDTH - RIGHT}"/>')
        marks.append(f'<text x="{LEFT - 5}" y="{_py(place) + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    marks.append(
        f'<text class="name" x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x.label)}</text>'
    )
    return "".join(marks)


def _picture(title: str, inner: Sequence[str], height: int = HEIGHT) -> Markup:
    name = escape(title)
    return Markup(  # noqa: S704 - every text in it is escaped where it is put in
        f'<figure class="picture"><figcaption>{name}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{name}">{"".join(inner)}</svg></figure>'
    )
