"""Log lines of a group, oldest first, with a position to go on from."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clary.console.api import Api

FIRST_LINES = 1000
"""Of a log's end, when a page opens."""
STEP_LINES = 1000


def streams(api: Api, group: str, prefix: str) -> list[str]:
    """Return the names of a group's streams that begin with `prefix`."""
    answer = api.seek("DescribeLogStreams", "logs", logGroupName=group, logStreamNamePrefix=prefix)
    return [each["logStreamName"] for each in (answer or {}).get("logStreams", ())]


def follow(api: Api, group: str, prefix: str, position: str) -> tuple[list[str], str]:
    """Return the lines after a position and the position behind them.

    Parameters
    ----------
    position : str
        As this function returned it: `token` of each stream in the order of their names, joined by commas.
    """
    names = streams(api, group, prefix)
    tokens = dict(zip(names, position.split(","), strict=False)) if position else {}
    lines: list[tuple[int, str]] = []
    after: list[str] = []
    for name in names:
        events, token = _after(api, group, name, tokens.get(name, ""))
        label = f"{name.partition('/')[2].rpartition('-')[0]}  " if len(names) > 1 else ""
        lines += [(event["timestamp"], f"{label}{event['message']}") for event in events]
        after.append(token)
    return [text for _ms, text in sorted(lines, key=lambda line: line[0])], ",".join(after)


def _after(api: Api, group: str, stream: str, token: str) -> tuple[Sequence[Mapping[str, Any]], str]:
    """Return one stream's lines after its token; without one, its end."""
    asked: dict[str, Any] = {"logGroupName": group, "logStreamName": stream}
    asked |= (
        {"nextToken": token, "startFromHead": True, "limit": STEP_LINES}
        if token
        else {"startFromHead": False, "limit": FIRST_LINES}
    )
    answer = api.seek("GetLogEvents", "logs", **asked)
    if answer is None:
        return (), token
    return answer["events"], answer["nextForwardToken"]


def text(lines: Iterable[str]) -> bytes:
    """Return lines as a file."""
    return "".join(f"{line}\n" for line in lines).encode()
