"""What SQLite lacks, as functions in Python; used where a path meets a list or a text spells a number."""

import json
import math
import re
import sqlite3
from typing import Any

MOST_KNOWN = 200_000
_known: dict[tuple[int, str], float] = {}
"""What documents were read for, by the hash of their text: 64 bits, so two of a million are mistaken for one
another once in ten million times."""
_NUMERAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def register(driver: sqlite3.Connection) -> None:
    """Give a connection the functions."""
    driver.create_function("clary_leaves", 2, leaves, deterministic=True)
    driver.create_function("clary_number", 1, number, deterministic=True)
    driver.create_function("clary_known", 2, known, deterministic=True)
    driver.create_function("clary_learn", 3, learn, deterministic=True)


def leaves(document: str | None, path: str) -> str:
    """Return, as a JSON list, what `path` (a JSON list of names) reaches, walking through lists."""
    found: list[Any] = [] if document is None else [json.loads(document)]
    for name in json.loads(path):
        found = [each[name] for each in _flat(found) if isinstance(each, dict) and name in each]
    return json.dumps(_flat(found))


def number(text: Any) -> float | int | None:
    """Return the number that a text spells, or None."""
    if not isinstance(text, str) or not _NUMERAL.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def known(document: str, asked: str) -> float | None:
    """Return what `learn` was told of this very text, or None."""
    return _known.get((hash(document), asked))


def learn(document: str, asked: str, found: float) -> float:
    """Remember what a text was read for."""
    if len(_known) >= MOST_KNOWN:
        _known.clear()
    _known[hash(document), asked] = found
    return found


def _flat(values: list[Any]) -> list[Any]:
    return [each for value in values for each in (value if isinstance(value, list) else [value])]
