"""CloudWatch Logs: groups, streams and events, read and written."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from typing import Any

from clary.kernel.clock import epoch_ms
from clary.kernel.errors import AwsError, ValidationException
from clary.resource import tokens
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.store import logs

MAX_EVENTS = 10_000
"""Source: API reference, GetLogEvents and FilterLogEvents."""
MAX_BATCH_BYTES = 1_048_576
MAX_BATCH_SPAN_MS = 24 * 3_600_000
EVENT_OVERHEAD_BYTES = 26
MAX_AHEAD_MS = 2 * 3_600_000
MAX_AGE_MS = 14 * 24 * 3_600_000
"""Source of these five: API reference, PutLogEvents."""


def _arn(call: Call, group: str, stream: str = "") -> str:
    tail = f":log-stream:{stream}" if stream else ":*"
    return f"arn:aws:logs:{call.region}:{call.account}:log-group:{group}{tail}"


def _group_of(request: Mapping[str, Any]) -> str:
    """Return the group's name from `logGroupName` or from the ARN `logGroupIdentifier`."""
    if ("logGroupName" in request) == ("logGroupIdentifier" in request):
        raise _invalid("Give logGroupName or logGroupIdentifier, and not both.")
    return request["logGroupName"] if "logGroupName" in request else name_of(request["logGroupIdentifier"])


def name_of(identifier: str) -> str:
    """Return the name of a group from its name or ARN."""
    if not identifier.startswith("arn:"):
        return identifier
    head, mark, name = identifier.partition(":log-group:")
    if not mark or head.count(":") != 4:
        raise _invalid(f"logGroupIdentifier '{identifier}' is neither a log group's name nor its ARN.")
    return name.removesuffix(":*")


def _group(call: Call, request: Mapping[str, Any]) -> str:
    """Return the name of the caller's group that a request is about.

    Raises
    ------
    AwsError
        `ResourceNotFoundException`: there is none in this account and region.
    """
    name = _group_of(request)
    expect_group(call, name, request.get("logGroupIdentifier", ""))
    return name


def expect_group(call: Call, name: str, identifier: str = "") -> None:
    """Make sure that the caller has a group `name`, and that an ARN given for it is its own.

    Raises
    ------
    AwsError
        `ResourceNotFoundException`: there is none in this account and region.
    """
    if identifier.startswith("arn:") and identifier.removesuffix(":*") != _arn(call, name).removesuffix(":*"):
        raise _not_found("group")
    if not call.read(logs.has_group, call.account, call.region, name):
        raise _not_found("group")


def _stream(call: Call, group: str, stream: str) -> None:
    """Make sure that a group, which the caller has, has a stream.

    Raises
    ------
    AwsError
        `ResourceNotFoundException`: there is none.
    """
    if not call.read(logs.has_stream, call.account, call.region, group, stream):
        raise _not_found("stream")


def _invalid(text: str) -> ValidationException:
    return ValidationException(text, code="InvalidParameterException")


def _not_found(what: str) -> AwsError:
    return AwsError(f"The specified log {what} does not exist.", code="ResourceNotFoundException")


def _place(token: str | None, *kinds: type) -> Any:
    """Return the place that a token stands for; None without one."""
    if not token:
        return None
    try:
        return tokens.decode(token, *kinds)
    except ValueError:
        raise _invalid("The specified nextToken is invalid.") from None


@operation("CreateLogGroup")
def create_log_group(call: Call, request: Mapping[str, Any]) -> None:
    """Create an empty group."""
    if not call.write(
        logs.create_group, call.account, call.region, request["logGroupName"], epoch_ms(call.now)
    ):
        raise AwsError("The specified log group already exists", code="ResourceAlreadyExistsException")


@operation("DeleteLogGroup")
def delete_log_group(call: Call, request: Mapping[str, Any]) -> None:
    """Delete a group with all its streams and events."""
    if not call.write(logs.delete_group, call.account, call.region, request["logGroupName"]):
        raise _not_found("group")


@operation("CreateLogStream")
def create_log_stream(call: Call, request: Mapping[str, Any]) -> None:
    """Create an empty stream."""
    group, stream = _group(call, request), request["logStreamName"]
    if not call.write(logs.create_stream, call.account, call.region, group, stream, epoch_ms(call.now)):
        raise AwsError("The specified log stream already exists", code="ResourceAlreadyExistsException")


@operation("DeleteLogStream")
def delete_log_stream(call: Call, request: Mapping[str, Any]) -> None:
    """Delete a stream with its events."""
    group = _group(call, request)
    if not call.write(logs.delete_stream, call.account, call.region, group, request["logStreamName"]):
        raise _not_found("stream")


@operation("PutLogEvents")
def put_log_events(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Append events to a stream; those too old or too far ahead are left out, and said to be."""
    group, stream = _group(call, request), request["logStreamName"]
    _stream(call, group, stream)
    events = [(int(event["timestamp"]), event["message"]) for event in request["logEvents"]]
    now = epoch_ms(call.now)
    times = [ms for ms, _text in events]
    if times != sorted(times):
        raise _invalid("Log events in a single PutLogEvents request must be in chronological order.")
    size = sum(len(text.encode(errors="replace")) + EVENT_OVERHEAD_BYTES for _ms, text in events)
    if size > MAX_BATCH_BYTES:
        raise _invalid(f"Upload too large: {size} bytes exceed limit of {MAX_BATCH_BYTES}")
    begin, end = bisect_left(times, now - MAX_AGE_MS), bisect_right(times, now + MAX_AHEAD_MS)
    kept = events[begin:end]
    if kept and kept[-1][0] - kept[0][0] > MAX_BATCH_SPAN_MS:
        raise _invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        )
    call.write(logs.append, call.account, call.region, group, stream, kept, now)
    rejected = {"tooOldLogEventEndIndex": begin} if begin else {}
    rejected |= {"tooNewLogEventStartIndex": end} if end < len(events) else {}
    return {"nextSequenceToken": str(now), **({"rejectedLogEventsInfo": rejected} if rejected else {})}


@operation("DescribeLogGroups")
def describe_log_groups(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the groups whose names begin with a prefix or hold a pattern."""
    if "logGroupNamePrefix" in request and "logGroupNamePattern" in request:
        raise _invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
    prefix = request.get("logGroupNamePrefix", "")
    pattern = request.get("logGroupNamePattern", "")
    found = [
        group
        for group in call.read(logs.groups, call.account, call.region, prefix)
        if pattern.lower() in group.name.lower()
    ]
    after = _place(request.get("nextToken"), str) or ""
    found = [group for group in found if group.name > after]
    limit = int(request.get("limit", 50))
    answer: dict[str, Any] = {
        "logGroups": [
            {
                "logGroupName": group.name,
                "arn": _arn(call, group.name),
                "creationTime": group.created_ms,
                "metricFilterCount": 0,
                "storedBytes": 0,
            }
            for group in found[:limit]
        ]
    }
    if limit < len(found):
        answer["nextToken"] = tokens.encode(found[limit - 1].name)
    return answer


@operation("DescribeLogStreams")
def describe_log_streams(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the streams of a group.

    `nextToken` is absent when all fit: SDK v2 asks again for ever while it is there, without sending it.
    """
    group = _group(call, request)
    if request.get("orderBy") == "LastEventTime" and "logStreamNamePrefix" in request:
        raise _invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
    order = "last" if request.get("orderBy") == "LastEventTime" else "name"
    limit = int(request.get("limit", 50))
    after = _place(request.get("nextToken"), *((int, str) if order == "last" else (str,)))
    found = call.read(
        logs.streams,
        call.account,
        call.region,
        group,
        request.get("logStreamNamePrefix", ""),
        order_by=order,
        descending=bool(request.get("descending", False)),
        after=after,
        limit=limit + 1,
    )
    answer: dict[str, Any] = {
        "logStreams": [
            {
                "logStreamName": stream.name,
                "arn": _arn(call, group, stream.name),
                "creationTime": stream.created_ms,
                "storedBytes": 0,
                **(
                    {
                        "firstEventTimestamp": stream.first_ms,
                        "lastEventTimestamp": stream.last_ms,
                        "lastIngestionTime": stream.ingested_ms,
                        "uploadSequenceToken": str(stream.last_ms),
                    }
                    if stream.last_ms
                    else {}
                ),
            }
            for stream in found[:limit]
        ]
    }
    if len(found) > limit:
        last = found[limit - 1]
        answer["nextToken"] = tokens.encode(last.name if order == "name" else [last.last_ms, last.name])
    return answer


@operation("GetLogEvents")
def get_log_events(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return events of one stream, forward from a token; an empty page repeats its token."""
    group, stream = _group(call, request), request["logStreamName"]
    _stream(call, group, stream)
    token = request.get("nextToken")
    is_forward = bool(request.get("startFromHead", False))
    after: int | None = None
    if token:
        direction, _, number = token.partition("/")
        if (
            direction not in {"f", "b"}
            or not re.fullmatch(r"[0-9]{1,56}", number)
            or int(number) > tokens.MAX_NUMBER
        ):
            raise _invalid("The specified nextToken is invalid.")
        is_forward, after = direction == "f", int(number)
    found = call.read(
        logs.events,
        call.account,
        call.region,
        group,
        stream,
        start_ms=request.get("startTime"),
        end_ms=request.get("endTime"),
        after=after,
        limit=int(request.get("limit", MAX_EVENTS)),
        forward=is_forward,
    )
    first = found[0].id if found else (after or 0)
    last = found[-1].id if found else (after or 0)
    return {
        "events": [
            {"timestamp": event.ms, "message": event.message, "ingestionTime": event.ingested_ms}
            for event in found
        ],
        "nextForwardToken": f"f/{last:056d}",
        "nextBackwardToken": f"b/{first:056d}",
    }


@operation("FilterLogEvents")
def filter_log_events(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return events of a group's streams that match a filter pattern."""
    group = _group(call, request)
    if "logStreamNames" in request and "logStreamNamePrefix" in request:
        raise _invalid("Give logStreamNames or logStreamNamePrefix, not both.")
    if request.get("startFromHead") is False:
        raise _invalid("startFromHead false is not served: events come oldest first.")
    for stream in request.get("logStreamNames", ()):
        _stream(call, group, stream)
    limit = int(request.get("limit", MAX_EVENTS))
    found = call.read(
        logs.filter_events,
        call.account,
        call.region,
        group,
        streams=request.get("logStreamNames"),
        prefix=request.get("logStreamNamePrefix", ""),
        start_ms=request.get("startTime"),
        end_ms=request.get("endTime"),
        pattern=request.get("filterPattern", ""),
        after=_place(request.get("nextToken"), int),
        limit=limit + 1,
    )
    answer: dict[str, Any] = {
        "events": [
            {
                "logStreamName": event.stream,
                "timestamp": event.ms,
                "message": event.message,
                "ingestionTime": event.ingested_ms,
                "eventId": str(event.id),
            }
            for event in found[:limit]
        ],
        "searchedLogStreams": [],
    }
    if len(found) > limit:
        answer["nextToken"] = tokens.encode(found[limit - 1].id)
    return answer
