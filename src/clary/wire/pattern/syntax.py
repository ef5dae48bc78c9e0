"""Java's regular expressions, read into a tree.

    Alternatives ── Sequence ── Repeat ── Chars | Group of Alternatives | Assertion

Groups vanish in the tree; `impure` ones (look-around, back references, word boundaries) keep their source.
"""

import re
from collections.abc import Sequence as Items
from dataclasses import dataclass, field

from clary.wire.pattern import charset
from clary.wire.pattern.charset import Charset

_COUNTS = re.compile(r"\{(\d+)(,?)(\d*)\}")
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b", "v": "\x0b", "0": "\0"}
_CLASSES = {"d": charset.DIGIT, "w": charset.WORD, "s": charset.SPACE}
_LOOKS = ("?=", "?!", "?<=", "?<!")
_HEX = {"x": 2, "u": 4}


@dataclass(frozen=True)
class Chars:
    """One character out of a set."""

    charset: Charset

    @property
    def source(self) -> str:
        """Python's spelling."""
        return self.charset.source


@dataclass(frozen=True)
class Impure:
    """What an automaton does not know: look-around, back reference, boundary, an anchor inside."""

    text: str
    inside: "Node | None" = None

    @property
    def source(self) -> str:
        """Python's spelling."""
        return f"({self.text}{self.inside.source})" if self.inside is not None else self.text


@dataclass(frozen=True)
class Sequence:
    """One after the other."""

    items: tuple["Node", ...]

    @property
    def source(self) -> str:
        """Python's spelling."""
        return "".join(item.source for item in self.items)


@dataclass(frozen=True)
class Alternatives:
    """One of several; `is_captured` when it was a group that back references count."""

    items: tuple["Node", ...]
    is_captured: bool = False

    @property
    def source(self) -> str:
        """Python's spelling."""
        return f"({'' if self.is_captured else '?:'}{'|'.join(item.source for item in self.items)})"


@dataclass(frozen=True)
class Repeat:
    """Again and again; `high` None is without end."""

    item: "Node"
    low: int
    high: int | None

    @property
    def source(self) -> str:
        """Python's spelling; greed does not matter to a whole match."""
        return f"(?:{self.item.source}){{{self.low},{'' if self.high is None else self.high}}}"


Node = Chars | Impure | Sequence | Alternatives | Repeat
EMPTY = Sequence(())


def read(pattern: str) -> Node:
    """Return the tree of `pattern`, its outer anchors left out.

    Raises
    ------
    ValueError
        The pattern is malformed, or uses what no model uses.
    """
    reader = _Reader(pattern)
    tree = reader.alternatives()
    if reader.at < len(pattern):
        raise ValueError(f"unbalanced parenthesis at {reader.at} in {pattern!r}")
    return _unanchored(tree, left=True, right=True)


@dataclass
class _Reader:
    text: str
    at: int = 0
    depth: int = field(default=0)

    def peek(self, n: int = 1) -> str:
        return self.text[self.at : self.at + n]

    def take(self, n: int = 1) -> str:
        taken = self.text[self.at : self.at + n]
        if len(taken) < n:
            raise ValueError(f"{self.text!r} ends too early")
        self.at += n
        return taken

    def alternatives(self, *, is_captured: bool = False) -> Node:
        items = [self.sequence()]
        while self.peek() == "|":
            self.take()
            items.append(self.sequence())
        return items[0] if len(items) == 1 and not is_captured else Alternatives(tuple(items), is_captured)

    def sequence(self) -> Node:
        items: list[Node] = []
        while (char := self.peek()) and char not in "|)":
            items.append(self.repeated(self.atom()))
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def repeated(self, item: Node) -> Node:
        while True:
            counts = _COUNTS.match(self.text, self.at)
            char = self.peek()
            if counts:
                self.at = counts.end()
                low, comma, high = counts.groups()
                bounds = (int(low), int(high) if high else None if comma else int(low))
            elif char and char in "*+?":
                self.take()
                bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
            else:
                return item
            if self.peek() and self.peek() in "?+":  # lazy and possessive: no matter to a whole match
                self.take()
            if not isinstance(item, Impure):  # an anchor repeated is an anchor
                item = Repeat(item, *bounds)

    def atom(self) -> Node:
        char = self.take()
        if char == "(":
            return self.group()
        if char == "[":
            return Chars(self.members())
        if char == ".":
            return Chars(charset.DOT)
        if char in "^$":
            return Impure(char)
        if char == "\\":
            return self.escape()
        return Chars(charset.of(char))

    def group(self) -> Node:
        self.depth += 1
        if self.depth > 100:
            raise ValueError(f"groups lie too deep in {self.text!r}")
        look = next((look for look in _LOOKS if self.peek(len(look)) == look), "")
        if look:
            self.take(len(look))
            found: Node = Impure(look, self.alternatives())
        elif self.peek(2) == "?:":
            self.take(2)
            found = self.alternatives()
        elif self.peek() == "?":
            raise ValueError(f"unknown kind of group at {self.at} in {self.text!r}")
        else:
            found = self.alternatives(is_captured=True)
        if self.take() != ")":
            raise ValueError(f"missing ) in {self.text!r}")
        self.depth -= 1
        return found

    def escape(self) -> Node:
        char = self.take()
        if char in "AzZ":
            return Impure("^" if char == "A" else "$")
        if char in "bB" or char in "123456789":
            return Impure(f"\\{char}")
        return Chars(self.escaped(char))

    def escaped(self, char: str) -> Charset:
        if char.lower() in _CLASSES:
            found = _CLASSES[char.lower()]
            return found.inverted() if char.isupper() else found
        if char in "pP":
            if self.peek() == "{":
                end = self.text.index("}", self.at)
                name, self.at = self.text[self.at + 1 : end], end + 1
            else:
                name = self.take()
            return charset.named(name).inverted() if char == "P" else charset.named(name)
        if char in _HEX:
            return Charset([(code := self.hex(_HEX[char]), code)])
        if char.isalpha() and char not in _ESCAPES:
            raise ValueError(f"unknown escape \\{char} in {self.text!r}")
        return charset.of(_ESCAPES.get(char, char))

    def hex(self, digits: int) -> int:
        code = int(self.take(digits), 16)
        if 0xD800 <= code < 0xDC00 and self.peek(2) == "\\u":  # a surrogate pair is one character
            self.take(2)
            code = 0x10000 + ((code - 0xD800) << 10) + int(self.take(4), 16) - 0xDC00
        return code

    def members(self) -> Charset:
        is_inverted = self.peek() == "^"
        if is_inverted:
            self.take()
        found = Charset(())
        is_first = True
        while is_first or self.peek() != "]":
            is_first = False
            item = self.member()
            ends = self.peek(2)
            if len(ends) == 2 and ends[0] == "-" and ends[1] != "]" and _is_single(item):
                mark = self.at
                self.take()
                last = self.member()
                if _is_single(last):
                    if last.ranges[0] < item.ranges[0]:
                        raise ValueError(f"a range runs backwards before {self.at} in {self.text!r}")
                    item = Charset([(item.ranges[0][0], last.ranges[0][0])])
                else:  # `a-\w`: the hyphen stands for itself
                    self.at = mark
            found = found | item
        self.take()
        return found.inverted() if is_inverted else found

    def member(self) -> Charset:
        char = self.take()
        if char == "\\":
            return self.escaped(self.take())
        return charset.of(char)


def _is_single(chars: Charset) -> bool:
    return len(chars.ranges) == 1 and chars.ranges[0][0] == chars.ranges[0][1]


def _unanchored(node: Node, *, left: bool, right: bool) -> Node:
    """Return `node` without the anchors that a whole match implies."""
    match node:
        case Impure(text="^", inside=None) if left:
            return EMPTY
        case Impure(text="$", inside=None) if right:
            return EMPTY
        case Alternatives(items=items, is_captured=is_captured):
            return Alternatives(
                tuple(_unanchored(item, left=left, right=right) for item in items), is_captured
            )
        case Sequence(items=items):
            return Sequence(_trimmed(items, left=left, right=right))
        case _:
            return node


def _trimmed(items: Items[Node], *, left: bool, right: bool) -> tuple[Node, ...]:
    kept = list(items)
    start, end = 0, len(kept)
    while left and start < end and kept[start] in (Impure("^"), EMPTY):
        start += 1
    while right and end > start and kept[end - 1] in (Impure("$"), EMPTY):
        end -= 1
    kept = kept[start:end]
    if kept:
        kept[0] = _unanchored(kept[0], left=left, right=right and len(kept) == 1)
        kept[-1] = _unanchored(kept[-1], left=left and len(kept) == 1, right=right)
    return tuple(kept)
