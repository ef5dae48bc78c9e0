"""Sets of characters, as sorted ranges of code points; Java's named classes."""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable
from functools import cache, cached_property

LAST = 0x10FFFF
_ASSIGNED = (range(0x32400), range(0xE0000, 0xE0200))
"""Where assigned code points lie (Unicode 15); private use, which no category in use names, is left out."""


class Charset:
    """A set of characters."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        merged: list[tuple[int, int]] = []
        for low, high in sorted(ranges):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        self.ranges = tuple(merged)

    @cached_property
    def _lows(self) -> list[int]:
        return [low for low, _ in self.ranges]

    def __contains__(self, char: str) -> bool:
        code = ord(char)
        at = bisect_right(self._lows, code) - 1
        return at >= 0 and code <= self.ranges[at][1]

    def __or__(self, other: "Charset") -> "Charset":
        return Charset((*self.ranges, *other.ranges))

    def inverted(self) -> "Charset":
        """Return every other character."""
        gaps, start = [], 0
        for low, high in self.ranges:
            if low > start:
                gaps.append((start, low - 1))
            start = high + 1
        if start <= LAST:
            gaps.append((start, LAST))
        return Charset(gaps)

    def meets(self, other: "Charset") -> bool:
        """Tell whether the two share a character."""
        i = j = 0
        while i < len(self.ranges) and j < len(other.ranges):
            (low, high), (other_low, other_high) = self.ranges[i], other.ranges[j]
            if low <= other_high and other_low <= high:
                return True
            if high < other_high:
                i += 1
            else:
                j += 1
        return False

    @cached_property
    def source(self) -> str:
        """A class in Python's syntax."""
        if not self.ranges:
            return r"[^\x00-\U0010ffff]"
        parts = (
            _escape(low) if low == high else f"{_escape(low)}-{_escape(high)}" for low, high in self.ranges
        )
        return f"[{''.join(parts)}]"


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\U{code:08x}"


def of(text: str) -> Charset:
    """Return the set of the characters of `text`; `a-z` is three of them."""
    return Charset((ord(char), ord(char)) for char in text)


ANY = Charset([(0, LAST)])
DIGIT = Charset([(0x30, 0x39)])
WORD = Charset([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
SPACE = of(" \t\n\x0b\f\r")
DOT = of("\n\r\x85\u2028\u2029").inverted()
"""Source: java.util.regex.Pattern, line terminators."""

_POSIX = {
    "ASCII": Charset([(0, 0x7F)]),
    "Lower": Charset([(0x61, 0x7A)]),
    "Upper": Charset([(0x41, 0x5A)]),
    "Alpha": Charset([(0x41, 0x5A), (0x61, 0x7A)]),
    "Digit": DIGIT,
    "Alnum": Charset([(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)]),
    "Punct": of("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
    "Graph": Charset([(0x21, 0x7E)]),
    "Print": Charset([(0x20, 0x7E)]),
    "Blank": of(" \t"),
    "Cntrl": Charset([(0, 0x1F), (0x7F, 0x7F)]),
    "XDigit": Charset([(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)]),
    "Space": SPACE,
}


@cache
def _categories() -> dict[str, Charset]:
    found: dict[str, list[tuple[int, int]]] = {}
    for span in _ASSIGNED:
        start, last = span.start, ""
        for code in (*span, span.stop):
            name = unicodedata.category(chr(code)) if code in span else ""
            if name != last:
                if last:
                    found.setdefault(last, []).append((start, code - 1))
                start, last = code, name
    return {name: Charset(ranges) for name, ranges in found.items()}


@cache
def named(name: str) -> Charset:
    r"""Return the set of `\p{name}`: a POSIX class or a Unicode category.

    Raises
    ------
    ValueError
        There is no such class.
    """
    plain = name.removeprefix("Is")
    if plain in _POSIX:
        return _POSIX[plain]
    ranges = [span for key, chars in _categories().items() if key.startswith(plain) for span in chars.ranges]
    if not ranges:
        raise ValueError(f"no class of characters is called {name!r}")
    return Charset(ranges)
