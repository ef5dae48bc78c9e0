"""One pattern, ready to match.

Python's engine goes back and tries again, which patterns such as `([a-z]+-?)*` turn into hours. It is used
where that cannot happen: where each character leaves one way open. The others run as automata.
"""

import re
from collections.abc import Callable
from functools import cache

from clary.wire.pattern import automaton
from clary.wire.pattern.syntax import Alternatives, Impure, Node, Repeat, Sequence, read

Matcher = Callable[[str], bool]

MAX_GUESSED = 512
"""Longest text given to Python's engine for a pattern that no automaton can run."""


@cache
def matcher(pattern: str) -> Matcher:
    """Return a function that tells whether a text as a whole matches `pattern`.

    Raises
    ------
    ValueError
        The pattern cannot be read.
    """
    tree = read(pattern)
    if automaton.build(tree, unfolds=False).is_deterministic:
        return _by_engine(tree, None)
    if _is_impure(tree):
        return _by_engine(tree, MAX_GUESSED)
    try:
        return automaton.build(tree, unfolds=True).matches
    except OverflowError:
        return _by_engine(tree, MAX_GUESSED)


def _by_engine(tree: Node, longest: int | None) -> Matcher:
    fullmatch = re.compile(tree.source, re.ASCII).fullmatch
    if longest is None:
        return lambda text: fullmatch(text) is not None
    return lambda text: len(text) <= longest and fullmatch(text) is not None


def _is_impure(node: Node) -> bool:
    match node:
        case Impure():
            return True
        case Sequence(items=items) | Alternatives(items=items):
            return any(_is_impure(item) for item in items)
        case Repeat(item=item):
            return _is_impure(item)
        case _:
            return False
