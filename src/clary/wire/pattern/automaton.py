"""Position automata (Glushkov): which character of a pattern may follow which."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from clary.wire.pattern.charset import Charset
from clary.wire.pattern.syntax import Alternatives, Chars, Impure, Node, Repeat, Sequence

MAX_POSITIONS = 6000
MAX_STEPS = 20_000
"""Remembered steps of one automaton; then it forgets them all."""


@dataclass
class Automaton:
    """Positions of a pattern as bits of whole numbers; bit 0 is the start."""

    charsets: list[Charset] = field(default_factory=lambda: [Charset(())])
    follow: list[int] = field(default_factory=lambda: [0])
    accepting: int = 0
    has_nested_loops: bool = False
    """Two loops lead from one position to the same next one, as in `(a+)+`."""
    _masks: dict[str, int] = field(default_factory=dict)
    _steps: dict[tuple[int, str], int] = field(default_factory=dict)

    def matches(self, text: str) -> bool:
        """Tell whether `text` as a whole matches; time grows with its length only."""
        state, steps = 1, self._steps
        for char in text:
            key = (state, char)
            after = steps.get(key)
            if after is None:
                if len(steps) >= MAX_STEPS:
                    steps.clear()
                after = steps[key] = self._step(state, char)
            if not after:
                return False
            state = after
        return bool(state & self.accepting)

    def _step(self, state: int, char: str) -> int:
        after = 0
        for position in _bits(state):
            after |= self.follow[position]
        return after & self._mask(char)

    def _mask(self, char: str) -> int:
        mask = self._masks.get(char)
        if mask is None:
            if len(self._masks) >= MAX_STEPS:
                self._masks.clear()
            mask = 0
            for position, chars in enumerate(self.charsets):
                if char in chars:
                    mask |= 1 << position
            self._masks[char] = mask
        return mask

    @property
    def is_deterministic(self) -> bool:
        """Whether a character never leaves two ways open, so that no match ever has to go back."""
        if self.has_nested_loops:
            return False
        for after in self.follow:
            charsets = [self.charsets[position] for position in _bits(after)]
            if any(one.meets(other) for i, one in enumerate(charsets) for other in charsets[:i]):
                return False
        return True


@dataclass(frozen=True)
class _Part:
    """First and last positions of a part of the pattern, and whether it may be empty."""

    first: int
    last: int
    is_nullable: bool


_NOTHING = _Part(0, 0, is_nullable=True)


def build(tree: Node, *, unfolds: bool) -> Automaton:
    """Return the automaton of `tree`.

    Parameters
    ----------
    unfolds : bool
        Whether counts are kept, by repeating what they count. Without, `{2,5}` is as `+`: enough to see
        whether the pattern is deterministic.

    Raises
    ------
    OverflowError
        It has more than `MAX_POSITIONS` positions.
    """
    automaton = Automaton()
    whole = _build(tree, automaton, unfolds=unfolds)
    automaton.follow[0] = whole.first
    automaton.accepting = whole.last | (1 if whole.is_nullable else 0)
    return automaton


def _build(node: Node, automaton: Automaton, *, unfolds: bool) -> _Part:
    match node:
        case Chars(charset=charset):
            if len(automaton.charsets) > MAX_POSITIONS:
                raise OverflowError(f"more than {MAX_POSITIONS} positions")
            bit = 1 << len(automaton.charsets)
            automaton.charsets.append(charset)
            automaton.follow.append(0)
            return _Part(bit, bit, is_nullable=False)
        case Impure():
            return _NOTHING
        case Sequence(items=items):
            whole = _NOTHING
            for item in items:
                whole = _after(whole, _build(item, automaton, unfolds=unfolds), automaton)
            return whole
        case Alternatives(items=items):
            parts = [_build(item, automaton, unfolds=unfolds) for item in items]
            first = last = 0
            for part in parts:
                first, last = first | part.first, last | part.last
            return _Part(first, last, is_nullable=any(part.is_nullable for part in parts))
        case Repeat(item=item, low=low, high=high):
            if unfolds:
                return _unfolded(item, low, high, automaton)
            part = _build(item, automaton, unfolds=False)
            if high is None or high > 1:
                _link(part.last, part.first, automaton)
            return _Part(part.first, part.last, part.is_nullable or low == 0)


def _unfolded(item: Node, low: int, high: int | None, automaton: Automaton) -> _Part:
    """Build `x{2,4}` as `xx(x(x)?)?`, from its end: each repetition then links to the next one only."""
    rest = _NOTHING
    if high is None:
        part = _build(item, automaton, unfolds=True)
        _link(part.last, part.first, automaton)
        rest = _Part(part.first, part.last, is_nullable=True)
    for n_before in reversed(range(low if high is None else high)):
        part = _build(item, automaton, unfolds=True)
        whole = _after(part, rest, automaton)
        rest = _Part(whole.first, whole.last, whole.is_nullable or n_before >= low)
    return rest


def _after(one: _Part, other: _Part, automaton: Automaton) -> _Part:
    _link(one.last, other.first, automaton)
    return _Part(
        one.first | (other.first if one.is_nullable else 0),
        other.last | (one.last if other.is_nullable else 0),
        one.is_nullable and other.is_nullable,
    )


def _link(lasts: int, firsts: int, automaton: Automaton) -> None:
    for position in _bits(lasts):
        if automaton.follow[position] & firsts:
            automaton.has_nested_loops = True
        automaton.follow[position] |= firsts


def _bits(number: int) -> Iterator[int]:
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low
