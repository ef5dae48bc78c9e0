"""Connections to the object store, wherever it is now."""

from collections.abc import Callable
from urllib.parse import urlsplit

from clary.gateway.edge.control import ObjectStore
from clary.gateway.edge.upstream import Address, Pool, Upstream

REST_S = 30.0
"""That an unused connection to the store is kept."""


class StorePool:
    """The pool of the store in use; those of a former place are closed."""

    def __init__(self, loop_time: Callable[[], float]) -> None:
        self._loop_time = loop_time
        self._pool: Pool | None = None
        self._endpoint = ""

    def of(self, store: ObjectStore) -> Pool:
        """Return the pool of a store."""
        if self._pool is None or self._endpoint != store.endpoint:
            self.close()
            parts = urlsplit(store.endpoint)
            is_tls = parts.scheme == "https"
            host, port = parts.hostname or "127.0.0.1", parts.port or (443 if is_tls else 80)
            self._pool = Pool(Address(host=host, port=port, is_tls=is_tls), self._loop_time, rest_s=REST_S)
            self._endpoint = store.endpoint
        return self._pool

    def give(self, upstream: Upstream) -> None:
        """Take a connection back; that to a store which is gone is lost, and no pool keeps it."""
        if self._pool is not None:
            self._pool.give(upstream)
        else:
            upstream.abort()

    def sweep(self) -> None:
        """Close connections that rested too long."""
        if self._pool is not None:
            self._pool.sweep()

    def close(self) -> None:
        """Close every connection at rest."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None
