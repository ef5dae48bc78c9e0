"""The audit log: who called which operation, and what came of it; one JSON line per AWS call.

Off unless `CLARY_AUDIT_LOG` names a file. What invocations and objects do is in the edge's access log.
"""

import json
import threading
from pathlib import Path

from clary.kernel.clock import now


class AuditLog:
    """Appends to one file; lines are whole, whichever thread writes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()

    def note(
        self, *, account: str, service: str, operation: str, status: int, client: str, request_id: str
    ) -> None:
        """Note one call.

        Parameters
        ----------
        account : str
            Empty for a caller that could not be told.
        client : str
            The request's User-Agent.
        """
        line = {
            "time": now().isoformat(timespec="milliseconds"),
            "account": account,
            "service": service,
            "operation": operation,
            "status": status,
            "client": client,
            "request_id": request_id,
        }
        text = json.dumps(line, separators=(",", ":")) + "\n"
        with self._lock:
            self._file.write(text)
