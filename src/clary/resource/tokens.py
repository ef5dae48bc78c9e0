"""Tokens of pages whose place is a plain value: a name, an id, a pair."""

import base64
import json
from typing import Any

MAX_NUMBER = 2**63 - 1
"""Greatest number that any store counts to."""


def encode(value: Any) -> str:
    """Return the token of a place: text, a number, or a list of them."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def decode(token: str, *kinds: type) -> Any:
    """Return the place that a token stands for.

    Parameters
    ----------
    kinds : type
        `str` or `int` for each of its values; a place of one value is no list.

    Raises
    ------
    ValueError
        It is no token of such a place.
    """
    value = json.loads(base64.urlsafe_b64decode(token.encode()))
    values = value if isinstance(value, list) and len(kinds) > 1 else [value]
    if [type(each) for each in values] != list(kinds):
        raise ValueError(f"{token!r} is the token of another place")
    if any(isinstance(each, int) and not 0 <= each <= MAX_NUMBER for each in values):
        raise ValueError(f"{token!r} is out of range")
    return value
