"""Texts that satisfy a pattern of the service model, and texts that do not."""

import random
import string
from collections.abc import Iterator

from clary.wire.pattern import matcher
from clary.wire.pattern.charset import Charset
from clary.wire.pattern.syntax import Alternatives, Chars, Impure, Node, Repeat, Sequence, read
from clary.wire.shape import Shape

_TRIES = 400
_PLAIN = string.ascii_lowercase + string.digits
_LIKED = (_PLAIN, string.ascii_uppercase, "-_./:=", string.punctuation, " ")
"""Characters to draw from, if a set has any of them; the first that it has are used."""
_ODD = ("!", "é", " ", "-", "{", "\\", "0", "A", "/", "\u2028", "a", "::")


def valid_text(shape: Shape, rng: random.Random) -> str:
    """Return a text that `shape` admits: its enum, pattern, and length.

    Raises
    ------
    LookupError
        None was found.
    """
    if shape.enum:
        return rng.choice(shape.enum)
    low, high = int(shape.min or 0), shape.max
    if shape.pattern is None:
        length = max(low, 1) if high is None else min(max(low, 8), int(high))
        return "".join(rng.choices(_PLAIN, k=length))
    tree, match = read(shape.pattern), matcher(shape.pattern)
    for attempt in range(_TRIES):
        text = _sample(tree, rng, more=1 + attempt // 4)
        if low <= len(text) and (high is None or len(text) <= high) and match(text):
            return text
    raise LookupError(f"no text found for {shape}: {shape.pattern!r}, length {low} to {high}")


def invalid_texts(shape: Shape, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Yield texts that `shape` does not admit, each with the reason."""
    low, high = int(shape.min or 0), shape.max
    if shape.enum:
        yield "NotOneOfThem", "enum"
        return
    if high is not None and high <= 5000:
        yield "a" * (int(high) + 1), "too long"
    if low > 0:
        yield "a" * (low - 1), "too short"
    if shape.pattern is None:
        return
    match = matcher(shape.pattern)
    for odd in rng.sample(_ODD, len(_ODD)):
        text = odd * max(low, 1)
        if (high is None or len(text) <= high) and not match(text):
            yield text, "pattern"
            return


def _sample(node: Node, rng: random.Random, more: int) -> str:
    """Return a text that `node` matches, look-around aside; `more` is how far repetition goes."""
    match node:
        case Chars(charset=charset):
            return _char(charset, rng)
        case Impure():
            return ""
        case Sequence(items=items):
            return "".join(_sample(item, rng, more) for item in items)
        case Alternatives(items=items):
            return _sample(rng.choice(items), rng, more)
        case Repeat(item=item, low=low, high=high):
            most = low + more if high is None else min(high, low + more)
            return "".join(_sample(item, rng, more) for _ in range(rng.randint(low, most)))


def _char(charset: Charset, rng: random.Random) -> str:
    for liked in _LIKED:
        found = [char for char in liked if char in charset]
        if found:
            return rng.choice(found)
    low, high = charset.ranges[0]
    return chr(rng.randint(low, high))
