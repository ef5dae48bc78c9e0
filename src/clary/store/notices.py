"""Notices: what one control plane tells the others over one PostgreSQL, by LISTEN and NOTIFY.

tell(conn, …) ──commit──▶ PostgreSQL ──▶ every listener ──▶ heard(document)
Listener ──connection lost──▶ connects again ──▶ lapsed(): something may have been missed
"""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from clary.store import dialect
from clary.store.nodes import own

CHANNEL = "clary"
MOST_BYTES = 7_000
"""Of one notice; PostgreSQL takes up to 8000."""
LOOK_S = 0.5
AGAIN_S = 0.5

log = logging.getLogger("clary.store")


def tell(conn: sa.Connection, document: Mapping[str, Any]) -> None:
    """Tell the other control planes when this transaction commits; nobody, where there are none."""
    if dialect.is_sqlite(conn):
        return
    text = json.dumps({"from": own(conn), **document}, separators=(",", ":"))
    conn.execute(_TELL, {"text": text})


class Listener:
    """Hears the notices of others, on a connection and in a thread of its own.

    Parameters
    ----------
    url : str
        SQLAlchemy URL of the PostgreSQL.
    node : str
        Own id: what it told itself is not heard.
    heard : callable
        Gets each notice.
    lapsed : callable
        Called whenever it listens again after a break.
    """

    def __init__(
        self, url: str, node: str, heard: Callable[[Mapping[str, Any]], None], lapsed: Callable[[], None]
    ) -> None:
        self._address = sa.make_url(url).set(drivername="postgresql")
        self._node, self._heard, self._lapsed = node, heard, lapsed
        self._closing = threading.Event()
        self.is_listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    def start(self) -> "Listener":
        """Begin to listen."""
        self._thread.start()
        return self

    def close(self) -> None:
        """End."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._listen()
            except Exception as fault:
                log.warning("notices of other control planes are not heard: %s", fault)
                self.is_listening.clear()
                self._closing.wait(AGAIN_S)

    def _listen(self) -> None:
        import psycopg  # noqa: PLC0415 - an extra

        text = self._address.render_as_string(hide_password=False)
        with psycopg.connect(text, autocommit=True) as conn:
            conn.execute(f"LISTEN {CHANNEL}")
            self._lapsed()
            self.is_listening.set()
            while not self._closing.is_set():
                for notice in conn.notifies(timeout=LOOK_S):
                    self._take(notice.payload)

    def _take(self, text: str) -> None:
        try:
            document = json.loads(text)
            if document.get("from") != self._node:
                self._heard(document)
        except Exception:
            log.exception("a notice could not be taken: %.200s", text)


_TELL = sa.select(sa.func.pg_notify(CHANNEL, sa.bindparam("text")))
