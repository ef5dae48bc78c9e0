"""What every table promises, and the errors of the store.

    StoreError
    ├── Duplicate   the key or the ARN is taken
    ├── Stale       the row changed, or went, since it was read
    └── Closed      the store was closed

Promises
--------
- A unit of `Store.write` is all or nothing, and durable when `write` returns.
- A unit of `Store.read` sees one snapshot.
- Times go in and come out as aware UTC datetimes, exact to the microsecond.
- Text orders by code point, on every database.
"""


class StoreError(Exception):
    """The store refused a request."""


class Duplicate(StoreError):  # noqa: N818 - named as in kernel.errors
    """The key or the ARN is taken."""


class Stale(StoreError):  # noqa: N818 - named as in kernel.errors
    """The row changed, or went, since it was read."""


class Closed(StoreError):  # noqa: N818 - named as in kernel.errors
    """The store was closed."""
