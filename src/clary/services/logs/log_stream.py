"""CloudWatch Logs: groups, streams and events, read and written."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from clary.kernel.clock import epoch_ms
from clary.kernel.errors import AwsError, ValidationException
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.store import logs

MAX_EVENTS = 10_000
"""Source: API reference, GetLogEvents and FilterLogEvents."""


def _arn(call: Call, group: str, stream: str = "") -> str:
    tail = f":log-stream:{stream}" if stream else ":*"
    return f"arn:aws:logs:{call.region}:{call.account}:log-group:{group}{tail}"


def _group_of(request: Mapping[str, Any]) -> str:
    """Return the group's name from `logGroupName` or from the ARN `logGroupIdentifier`."""
    name: str = request.get("logGroupName") or request.get("logGroupIdentifier", "")
    if name.startswith("arn:"):
        name = name.split(":log-group:")[1].removesuffix(":*")
    if not name:
        raise ValidationException(
            "Give logGroupName or logGroupIdentifier.", code="InvalidParameterException"
        )
    return name


def _not_found(what: str) -> AwsError:
    return AwsError(f"The specified log {what} does not exist.", code="ResourceNotFoundException")


def _encode(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def _decode(token: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(token.encode()))
    except ValueError:
        raise ValidationException(
            "The specified nextToken is invalid.", code="InvalidParameterException"
        ) from None


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
    group, stream = request["logGroupName"], request["logStreamName"]
    if not call.read(logs.has_group, call.account, call.region, group):
        raise _not_found("group")
    if not call.write(logs.create_stream, call.account, call.region, group, stream, epoch_ms(call.now)):
        raise AwsError("The specified log stream already exists", code="ResourceAlreadyExistsException")


@operation("DeleteLogStream")
def delete_log_stream(call: Call, request: Mapping[str, Any]) -> None:
    """Delete a stream with its events."""
    if not call.write(
        logs.delete_stream, call.account, call.region, request["logGroupName"], request["logStreamName"]
    ):
        raise _not_found("stream")


@operation("PutLogEvents")
def put_log_events(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Append events to a stream."""
    group, stream = request["logGroupName"], request["logStreamName"]
    if not call.read(logs.has_stream, call.account, call.region, group, stream):
        raise _not_found("stream")
    events = [(int(event["timestamp"]), event["message"]) for event in request["logEvents"]]
    call.write(logs.append, call.account, call.region, group, stream, events, epoch_ms(call.now))
    return {"nextSequenceToken": str(epoch_ms(call.now))}


@operation("DescribeLogGroups")
def describe_log_groups(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the groups whose names begin with a prefix or hold a pattern."""
    prefix = request.get("logGroupNamePrefix", "")
    pattern = request.get("logGroupNamePattern", "")
    found = [
        group
        for group in call.read(logs.groups, call.account, call.region, prefix)
        if pattern.lower() in group.name.lower()
    ]
    begin = int(_decode(request["nextToken"])) if request.get("nextToken") else 0
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
            for group in found[begin : begin + limit]
        ]
    }
    if begin + limit < len(found):
        answer["nextToken"] = _encode(begin + limit)
    return answer


@operation("DescribeLogStreams")
def describe_log_streams(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the streams of a group.

    `nextToken` is absent when all fit: SDK v2 asks again for ever while it is there, without sending it.
    """
    group = _group_of(request)
    if not call.read(logs.has_group, call.account, call.region, group):
        raise _not_found("group")
    order = "last" if request.get("orderBy") == "LastEventTime" else "name"
    limit = int(request.get("limit", 50))
    after = _decode(request["nextToken"]) if request.get("nextToken") else None
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
        answer["nextToken"] = _encode(last.name if order == "name" else [last.last_ms, last.name])
    return answer


@operation("GetLogEvents")
def get_log_events(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return events of one stream, forward from a token; an empty page repeats its token."""
    group, stream = _group_of(request), request["logStreamName"]
    if not call.read(logs.has_stream, call.account, call.region, group, stream):
        raise _not_found("stream")
    token = request.get("nextToken")
    is_forward = bool(request.get("startFromHead", False))
    after: int | None = None
    if token:
        direction, _, number = token.partition("/")
        if direction not in {"f", "b"} or not number.isdigit():
            raise ValidationException("The specified nextToken is invalid.", code="InvalidParameterException")
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
    group = _group_of(request)
    if not call.read(logs.has_group, call.account, call.region, group):
        raise _not_found("group")
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
        after=_decode(request["nextToken"]) if request.get("nextToken") else None,
        limit=limit,
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
            for event in found
        ],
        "searchedLogStreams": [],
    }
    if len(found) == limit:
        answer["nextToken"] = _encode(found[-1].id)
    return answer
