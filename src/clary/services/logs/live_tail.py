"""StartLiveTail: what is logged from now on, once a second, for as long as the client listens."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from clary.kernel import ids
from clary.kernel.errors import AwsError, ValidationException
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.services.logs.log_stream import expect_group, name_of
from clary.store import logs, terms
from clary.store.logs import LogEvent

PERIOD_S = 1.0
MAX_EVENTS = 500
SESSION_S = 3 * 3600.0
"""Source of these three: API reference, StartLiveTail."""


@dataclass
class Tail:
    """What a session follows, and how far it has read."""

    groups: tuple[str, ...]
    streams: tuple[str, ...] | None
    """Only these; None means all that begin with one of `prefixes`."""
    prefixes: tuple[str, ...]
    pattern: str
    read_to: dict[str, int] = field(default_factory=dict)
    """Id of the last line of each group that is behind the session."""

    def begin(self, conn: Connection, call: Call) -> None:
        """Put what is logged already behind the session."""
        self.read_to = {group: logs.last_id(conn, call.account, call.region, group) for group in self.groups}

    def advance(self, conn: Connection, call: Call) -> tuple[list[tuple[str, LogEvent]], bool]:
        """Return the lines that came since, and whether there were more than one message may hold."""
        found: list[tuple[str, LogEvent]] = []
        for group, last in self.read_to.items():
            newest = logs.last_id(conn, call.account, call.region, group)
            if newest <= last:
                continue
            lines: dict[int, LogEvent] = {}
            for prefix in self.prefixes:
                for line in logs.filter_events(
                    conn,
                    call.account,
                    call.region,
                    group,
                    streams=self.streams,
                    prefix=prefix,
                    pattern=self.pattern,
                    after=last,
                    limit=MAX_EVENTS + 1,
                ):
                    lines[line.id] = line
            found += [(group, lines[each]) for each in sorted(lines)]
            self.read_to[group] = newest
        return found[:MAX_EVENTS], len(found) > MAX_EVENTS


@operation("StartLiveTail")
def start_live_tail(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow log groups; the answer is a stream of events."""
    identifiers = request["logGroupIdentifiers"]
    names = tuple(dict.fromkeys(name_of(each) for each in identifiers))
    for name, identifier in zip(map(name_of, identifiers), identifiers, strict=True):
        expect_group(call, name, identifier)
    chosen = [each for each in ("logStreamNames", "logStreamNamePrefixes") if each in request]
    if len(chosen) == 2 or (chosen and len(names) > 1):
        raise ValidationException(
            f"{chosen[0]}: give either logStreamNames or logStreamNamePrefixes, and those with one log group "
            "only.",
            code="InvalidParameterException",
        )
    pattern = request.get("logEventFilterPattern", "")
    terms.parse(pattern)
    streams = tuple(request["logStreamNames"]) if "logStreamNames" in request else None
    tail = Tail(names, streams, tuple(request.get("logStreamNamePrefixes", ("",))), pattern)
    call.read(tail.begin, call)
    start = {name: value for name, value in request.items() if name in START_MEMBERS}
    start |= {"requestId": call.request_id, "sessionId": ids.request_id()}
    return {"responseStream": _follow(call, tail, start)}


START_MEMBERS = frozenset(
    {"logGroupIdentifiers", "logStreamNames", "logStreamNamePrefixes", "logEventFilterPattern"}
)
"""Members of the request that the session's start repeats."""


async def _follow(call: Call, tail: Tail, start: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
    yield {"sessionStart": start}
    clock = asyncio.get_running_loop().time
    begun = clock()
    turn = 0
    while clock() - begun < SESSION_S:
        turn += 1
        await asyncio.sleep(max(0.0, begun + turn * PERIOD_S - clock()))
        lines, is_sampled = await asyncio.to_thread(call.read, tail.advance, call)
        results = [
            {
                "logGroupIdentifier": f"{call.account}:{group}",
                "logStreamName": line.stream,
                "message": line.message,
                "timestamp": line.ms,
                "ingestionTime": line.ingested_ms,
            }
            for group, line in lines
        ]
        yield {"sessionUpdate": {"sessionMetadata": {"sampled": is_sampled}, "sessionResults": results}}
    raise AwsError("The session has been open for three hours.", code="SessionTimeoutException")
