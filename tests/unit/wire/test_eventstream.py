from datetime import UTC, datetime
from typing import Any, cast

import pytest
from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import EventStreamError

from clary.kernel.errors import AwsError
from clary.testing.inprocess import client
from clary.wire import eventstream, exchange
from clary.wire.http import Request, Response
from clary.wire.route import route
from clary.wire.service import service

INVOKE = service("sagemaker-runtime").operations["InvokeEndpointWithResponseStream"]
TAIL = service("logs").operations["StartLiveTail"]


def test_a_client_reads_the_parts_of_a_streamed_invocation():
    parts = [b"one", b"\x00two", b""]

    def answer(request: Request) -> Response:
        result = {"Body": [{"PayloadPart": {"Bytes": part}} for part in parts], "ContentType": "text/plain"}
        return exchange.serialize(route(request), result, "r")

    read = client("sagemaker-runtime", answer).invoke_endpoint_with_response_stream(
        EndpointName="a", Body=b""
    )
    assert read["ContentType"] == "text/plain"
    assert [event["PayloadPart"]["Bytes"] for event in read["Body"]] == parts


def test_a_stream_ends_with_the_error_that_stopped_it():
    error = AwsError(
        "the model died", code="ModelStreamError", members={"ErrorCode": "ModelInvocationTimeExceeded"}
    )

    def answer(request: Request) -> Response:
        body = eventstream.event(INVOKE, "PayloadPart", {"Bytes": b"one"}) + eventstream.exception(
            INVOKE, error
        )
        return Response(headers=eventstream.headers("r"), body=body)

    read = client("sagemaker-runtime", answer).invoke_endpoint_with_response_stream(
        EndpointName="a", Body=b""
    )
    with pytest.raises(EventStreamError, match="the model died") as caught:
        list(read["Body"])
    assert caught.value.response["Error"]["Code"] == "ModelStreamError"


def test_an_error_that_the_stream_does_not_declare_is_told_too():
    def answer(request: Request) -> Response:
        return Response(
            headers=eventstream.headers("r"),
            body=eventstream.exception(INVOKE, AwsError("why", code="Other")),
        )

    read = client("sagemaker-runtime", answer).invoke_endpoint_with_response_stream(
        EndpointName="a", Body=b""
    )
    with pytest.raises(EventStreamError, match="why"):
        list(read["Body"])


def test_a_json_service_begins_its_stream_with_the_other_members():
    started = {"requestId": "a", "sessionId": "b"}
    line = {"message": "hello", "timestamp": 1}

    def answer(request: Request) -> Response:
        target = route(request)
        assert target.operation is TAIL
        events = [{"sessionStart": started}, {"sessionUpdate": {"sessionResults": [line]}}]
        return exchange.serialize(target, {"responseStream": events}, "r")

    made = client("logs", answer, inject_host_prefix=False)
    read = made.start_live_tail(logGroupIdentifiers=["arn:aws:logs:us-east-1:111122223333:log-group:a"])
    assert list(read["responseStream"]) == [
        {"sessionStart": started},
        {"sessionUpdate": {"sessionResults": [line]}},
    ]


def test_headers_of_every_type_are_framed():
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    fields: dict[str, Any] = {
        "text": "é",
        "bytes": b"\x00",
        "number": -7,
        "yes": True,
        "no": False,
        "time": moment,
    }
    buffer = EventStreamBuffer()
    buffer.add_data(eventstream.message(fields, b"body"))
    (message,) = buffer
    assert message.payload == b"body"
    assert cast("Any", message).headers == {**fields, "time": int(moment.timestamp() * 1000)}
