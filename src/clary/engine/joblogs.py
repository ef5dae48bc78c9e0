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
    """Append an agent's lines to its stream; create group and stream with the first."""
    events = [(int(ms), str(text)) for ms, text in lines]
    if not events or not document.get("log_group"):
        return
    stream = stream_of(document, host)
    logs.append(
        conn, document["account"], document["region"], document["log_group"], stream, events, epoch_ms()
    )


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
