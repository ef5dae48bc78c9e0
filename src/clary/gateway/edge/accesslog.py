"""The access log: one JSON line per request, off unless CLARY_ACCESS_LOG names a file."""

import json
import time
from pathlib import Path

from clary.gateway.edge.exchange import Exchange

_QUERY_SECRETS = ("X-Amz-Signature", "X-Amz-Security-Token", "Signature=")
FLUSH_LINES = 512


class AccessLog:
    """Appends to one file; lines are written together, at most a sweep late."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        self._lines: list[str] = []

    def note(self, exchange: Exchange, took_s: float) -> None:
        """Note one request; status 0 says that the client left before its answer."""
        head = exchange.head
        secret = any(mark in head.query for mark in _QUERY_SECRETS)
        line = {
            "time": round(time.time(), 3),
            "peer": exchange.peer,
            "kind": exchange.kind,
            "method": head.method,
            "path": head.path,
            "query": "(signed)" if secret else head.query,
            "client": head.fields.get("user-agent", ""),
            "target": head.fields.get("x-amz-target", ""),
            "status": exchange.status,
            "received": exchange.n_received,
            "sent": exchange.n_sent,
            "ms": round(took_s * 1000, 3),
        }
        self._lines.append(json.dumps(line, separators=(",", ":")))
        if len(self._lines) >= FLUSH_LINES:
            self.flush()

    def flush(self) -> None:
        """Write what was noted, as whole lines in one write: several edges append to the file."""
        if self._lines:
            lines, self._lines = self._lines, []
            self._file.write("\n".join(lines) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Write what was noted and close."""
        self.flush()
        self._file.close()
