"""The one writer of an SQLite file: units from many threads, committed in groups.

    write() ─┐                    ┌─ savepoint, unit, release ─┐
    write() ─┼─▶ queue ─▶ BEGIN ──┼─ savepoint, unit, release ─┼── COMMIT (one fdatasync) ─▶ all return
    write() ─┘                    └─ savepoint, unit, rollback ┘

A group is whatever queued up while the last commit waited for the disk: no timer, so that a lone write pays
for its own fdatasync only, and many share one.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from clary.kernel.errors import InternalFailure
from clary.store import faults
from clary.store.base import Closed

MAX_GROUP = 256
"""Units of one commit; bounds how long the first of them waits for the last."""


class _Unit:
    """One write, and where its caller waits for the answer."""

    __slots__ = ("args", "done", "error", "function", "kwargs", "result")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = threading.Lock()  # held until answered: the cheapest thing a thread can wait for
        self.done.acquire()


class Writer:
    """Runs units one after another on one connection; started by the first of them."""

    def __init__(self, engine: sa.Engine, where: str) -> None:
        self._engine = engine
        self._where = where
        self._queue: queue.SimpleQueue[_Unit | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def submit(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run `function(conn, …)` in a group and return what it returned, once that is durable."""
        unit = _Unit(function, args, kwargs)
        with self._gate:
            if self._is_closed:
                raise Closed(f"the store {self._where} is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
                self._thread.start()
            elif threading.current_thread() is self._thread:
                raise RuntimeError("a write inside a write would wait for itself: use the connection at hand")
            self._queue.put(unit)
        unit.done.acquire()
        if unit.error is not None:
            raise unit.error
        return unit.result

    def close(self) -> None:
        """Commit what is queued and end the thread; later units are refused."""
        with self._gate:
            self._is_closed = True
            thread, self._thread = self._thread, None
            if thread is not None:
                self._queue.put(None)
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        with self._engine.connect() as conn:
            is_open = True
            while is_open:
                first = self._queue.get()
                if first is None:
                    break
                group = [first]
                while len(group) < MAX_GROUP:
                    try:
                        unit = self._queue.get_nowait()
                    except queue.Empty:
                        break
                    if unit is None:
                        is_open = False
                        break
                    group.append(unit)
                self._commit(conn, group)

    def _commit(self, conn: sa.Connection, group: list[_Unit]) -> None:
        """Run and commit a group; whatever happens, every unit is answered and the thread lives on."""
        try:
            driver = conn.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            conn.begin()
            for unit in group:
                self._attempt(conn, driver, unit)
            conn.commit()
        except BaseException as fault:
            self._abandon(conn, group, fault)
        finally:
            for unit in group:
                unit.done.release()

    def _attempt(self, conn: sa.Connection, driver: sqlite3.Connection, unit: _Unit) -> None:
        driver.execute("SAVEPOINT unit")
        try:
            unit.result = unit.function(conn, *unit.args, **unit.kwargs)
        except BaseException as fault:
            if not driver.in_transaction:
                raise  # a full disk or a broken one undoes the whole transaction, not just this statement
            driver.execute("ROLLBACK TO unit")
            unit.error = self._translate(fault)
        driver.execute("RELEASE unit")

    def _abandon(self, conn: sa.Connection, group: list[_Unit], fault: BaseException) -> None:
        """Answer a group whose transaction is lost."""
        error = self._translate(fault)
        for unit in group:
            unit.result = None
            unit.error = unit.error or error
        try:
            conn.rollback()
        except SQLAlchemyError:
            conn.invalidate()

    def _translate(self, fault: BaseException) -> BaseException:
        if isinstance(fault, SQLAlchemyError):
            failure: BaseException = faults.as_failure(fault, self._where)
        elif isinstance(fault, sqlite3.Error):
            failure = InternalFailure(faults.explain(fault, self._where))
        else:
            return fault
        failure.__cause__ = fault
        return failure
