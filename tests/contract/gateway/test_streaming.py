"""InvokeEndpointWithResponseStream through boto3; overload; the size of payloads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from clary.gateway.edge import replicas as module
from clary.serving.frames import Frame, pack

from .conftest import Site, eventually
from .neighbours import Neighbours, Replica
from .test_invoke import invoke, refused

Write = Callable[[bytes], None]
Close = Callable[[], None]


def streamed(site: Site, endpoint: str, **given: Any) -> dict[str, Any]:
    client = site.client("sagemaker-runtime")
    found: dict[str, Any] = client.invoke_endpoint_with_response_stream(
        EndpointName=endpoint, Body=b"1,2", **given
    )
    return found


def test_parts_reach_the_client_as_they_come(site: Site, neighbours: Neighbours, replica: Replica) -> None:
    more: list[Callable[[], None]] = []

    def behave(frame: Frame, write: Write, _close: Close) -> None:
        header = {"status": 200, "content_type": "text/plain", "attributes": "a=1", "more": True}
        more.append(lambda: write(pack(frame.request_id, {"more": True}, b"two ")))
        more.append(lambda: write(pack(frame.request_id, {}, b"x" * 300_000)))
        write(pack(frame.request_id, header, b"one "))  # last: it sets the test going

    replica.behave = behave
    neighbours.route("parts", replica.path)
    found = streamed(site, "parts", Accept="text/plain", ContentType="text/csv")
    assert (found["ContentType"], found["InvokedProductionVariant"], found["CustomAttributes"]) == (
        "text/plain",
        "AllTraffic",
        "a=1",
    )
    events = iter(found["Body"])
    assert next(events)["PayloadPart"]["Bytes"] == b"one "
    replica._loop.call_soon_threadsafe(more[0])
    assert next(events)["PayloadPart"]["Bytes"] == b"two "
    replica._loop.call_soon_threadsafe(more[1])
    rest = [event["PayloadPart"]["Bytes"] for event in events]
    assert len(rest) > 1
    assert b"".join(rest) == b"x" * 300_000
    header = replica.frames[-1].header
    assert (header["stream"], header["accept"], header["content_type"]) == (True, "text/plain", "text/csv")


def test_a_whole_answer_is_one_part(site: Site, neighbours: Neighbours, replica: Replica) -> None:
    neighbours.route("whole", replica.path)
    found = streamed(site, "whole", ContentType="text/csv")
    assert [event["PayloadPart"]["Bytes"] for event in found["Body"]] == [b"1,2"]


def test_an_error_before_the_first_part_is_a_model_error(
    site: Site, neighbours: Neighbours, replica: Replica
) -> None:
    replica.behave = lambda frame, write, _close: write(pack(frame.request_id, {"status": 400}, b"bad"))
    neighbours.route("refusing", replica.path)
    with pytest.raises(ClientError) as caught:
        streamed(site, "refusing")
    response: Any = caught.value.response
    assert response["Error"]["Code"] == "ModelError"
    assert response["OriginalStatusCode"] == 400


@pytest.mark.parametrize("how", ["dies", "fails", "stalls"])
def test_a_stream_that_breaks_ends_with_its_exception(
    site: Site, neighbours: Neighbours, replica: Replica, how: str
) -> None:
    def behave(frame: Frame, write: Write, close: Close) -> None:
        write(pack(frame.request_id, {"status": 200, "more": True}, b"one"))
        if how == "fails":
            write(pack(frame.request_id, {"error": True}, b"ValueError: no more"))
        elif how == "dies":
            replica._loop.call_later(0.05, close)

    replica.behave = behave
    neighbours.route(f"breaking-{how}", replica.path)
    events = iter(streamed(site, f"breaking-{how}")["Body"])
    assert next(events)["PayloadPart"]["Bytes"] == b"one"
    with pytest.raises(EventStreamError) as caught:
        next(events)
    assert caught.value.response["Error"]["Code"] == "ModelStreamError"
    wanted = "ModelInvocationTimeExceeded" if how == "stalls" else "StreamBroken"
    assert (
        wanted in str(caught.value.response) or "timed out" in str(caught.value.response) or how != "stalls"
    )


def test_more_invocations_than_a_replica_can_take_are_refused_with_retry_after(
    site: Site, neighbours: Neighbours, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ASKED", 2)
    held: list[tuple[Frame, Write]] = []
    replica.behave = lambda frame, write, _close: held.append((frame, write))
    neighbours.route("full", replica.path)
    client = site.client("sagemaker-runtime")
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(invoke, site, "full", client=client) for _ in range(2)]
        eventually(lambda: len(held) == 2)
        response = refused(site, "full")
        assert response["Error"]["Code"] == "ServiceUnavailable"
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
        for frame, write in held:
            answer = pack(frame.request_id, {"status": 200}, b"ok")
            replica._loop.call_soon_threadsafe(write, answer)
        assert [each.result()["Body"] for each in waiting] == [b"ok", b"ok"]


def test_a_payload_of_25_mb_passes_and_a_longer_one_does_not(
    own_site: Callable[..., Any], replica: Replica
) -> None:
    neighbours = Neighbours()
    neighbours.route("large", replica.path)
    site = own_site(neighbours=neighbours)
    body = b"x" * (25 << 20)
    assert len(invoke(site, "large", body)["Body"]) == 25 << 20
    response = refused(site, "large", body + b"x")
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 413
