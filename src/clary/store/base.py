"""What every table promises, and the errors of the store.

    StoreError
    ├── Duplicate   the key or the ARN is taken
    ├── Stale       the row changed, or went, since it was read
    └── Closed      the store was closed

Promises
--------
- A unit of `Store.write` is all or nothing, and durable when `write` returns.
- A unit of `Store.read` sees one snapshot; one of a single statement needs no transaction for that.
- Times go in and come out as aware UTC datetimes, exact to the microsecond.
- Text orders by code point, on every database.
"""

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
_SINGLE: set[Any] = set()


def one_statement(fn: F) -> F:
    """Mark a function that reads by one statement: it costs PostgreSQL one round trip instead of three."""
    _SINGLE.add(fn)
    return fn


def is_one_statement(fn: Callable[..., Any]) -> bool:
    """Say whether a function was marked so."""
    return fn in _SINGLE


class StoreError(Exception):
    """The store refused a request."""


class Duplicate(StoreError):  # noqa: N818 - named as in kernel.errors
    """The key or the ARN is taken."""


class Stale(StoreError):  # noqa: N818 - named as in kernel.errors
    """The row changed, or went, since it was read."""


class Closed(StoreError):  # noqa: N818 - named as in kernel.errors
    """The store was closed."""
