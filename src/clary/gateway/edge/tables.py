"""The control plane's records in the edge: cached, pushed, kept while it is away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from clary.gateway.edge.relay import Away

V = TypeVar("V")
Fetch = Callable[[str], Awaitable[dict[str, Any] | None]]
"""Asks the control plane for one key; None when it has none; raises `Away`."""
MAX_ENTRIES = 100_000


class Table(Generic[V]):
    """Records of one kind by key.

    An entry is fresh while the control plane's pushes are heard, and old after they were interrupted: an
    old one is asked for again, and serves only as long as the control plane cannot be asked.
    """

    def __init__(self, fetch: Fetch, parse: Callable[[str, dict[str, Any]], V]) -> None:
        self._fetch = fetch
        self._parse = parse
        self._fresh: dict[str, V] = {}
        self._old: dict[str, V] = {}
        self._asking: dict[str, asyncio.Task[V | None]] = {}
        self.get = self._fresh.get
        """Return the fresh entry of a key, or None; never asks."""

    async def find(self, key: str) -> V | None:
        """Return the entry of `key`, asking the control plane when there is no fresh one.

        Raises
        ------
        Away
            It cannot be asked, and there is no old entry either.
        """
        value = self._fresh.get(key)
        if value is not None:
            return value
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def _ask(self, key: str) -> V | None:
        mine = asyncio.current_task()
        try:
            document = await self._fetch(key)
        except Away:
            if key in self._old:
                return self._old[key]
            raise
        finally:
            is_current = self._asking.get(key) is mine
            if is_current:
                del self._asking[key]
        if not is_current:
            # A push, or a break in the pushes, overtook the answer: it may be out of date.
            return await self.find(key)
        self._old.pop(key, None)
        if document is None:
            return None
        return self._keep(key, document)

    def at_hand(self, key: str) -> V | None:
        """Return what `find` returned last: the fresh entry, or the old one where nobody could be asked."""
        value = self._fresh.get(key)
        return self._old.get(key) if value is None else value

    def knows(self, key: str) -> bool:
        """Tell whether an old entry could serve for `key`."""
        return key in self._old

    def push(self, key: str, document: dict[str, Any] | None) -> V | None:
        """Take what the control plane says of `key` now; None drops it."""
        self._asking.pop(key, None)
        self._old.pop(key, None)
        if document is None:
            self._fresh.pop(key, None)
            return None
        return self._keep(key, document)

    def doubt(self, key: str) -> None:
        """Make one entry old: it did not prove right."""
        value = self._fresh.pop(key, None)
        if value is not None:
            self._old[key] = value

    def age(self) -> None:
        """Make every entry old: pushes may have been missed."""
        self._old.update(self._fresh)
        self._fresh.clear()
        self._asking.clear()

    def _keep(self, key: str, document: dict[str, Any]) -> V:
        if len(self._fresh) >= MAX_ENTRIES:
            del self._fresh[next(iter(self._fresh))]
        value = self._fresh[key] = self._parse(key, document)
        return value
