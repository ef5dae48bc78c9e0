"""Log lines of jobs, under the names the clients look for.

Source
------
`/aws/sagemaker/TrainingJobs`, stream `<job>/algo-<n>-<epoch>`: reference "CloudWatch Logs names".
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from clary.kernel.clock import epoch_ms
from clary.store import logs


def stream_of(document: Mapping[str, Any], host: str) -> str:
    """Return the name of the host's log stream."""
    pattern: str = document["log_stream"]
    return pattern.format(name=document["name"], host=host, epoch=document["opened_ms"] // 1000)


def append(conn: Connection, document: Mapping[str, Any], host: str, lines: Iterable[Any]) -> None:
    """Append an agent's lines to its stream, or those below it; create group and streams with the first."""
    events: dict[str, list[tuple[int, str]]] = {}
    for ms, text, *below in lines:
        events.setdefault(below[0] if below else "", []).append((int(ms), str(text)))
    group = document.get("log_group")
    if not group:
        return
    for below, each in events.items():
        stream = "/".join(filter(None, [stream_of(document, host), below]))
        logs.append(conn, document["account"], document["region"], group, stream, each, epoch_ms())


def tail(conn: Connection, document: Mapping[str, Any], host: str, n: int) -> list[str]:
    """Return the last `n` lines of the host's stream, oldest first."""
    page = logs.events(
        conn,
        document["account"],
        document["region"],
        document["log_group"],
        stream_of(document, host),
        start_ms=None,
        end_ms=None,
        after=None,
        limit=n,
        forward=False,
    )
    return [event.message for event in page]
