"""InvokeEndpoint through boto3: routing, errors, replicas that fail."""

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.gateway.edge.accesslog import AccessLog
from clary.gateway.edge.limits import Limits
from clary.serving.frames import Frame, pack

from .conftest import Site, eventually
from .neighbours import ACCOUNT, KEY, OTHER_KEY, Neighbours, Replica


def invoke(site: Site, endpoint: str, body: bytes = b"1,2", **given: Any) -> dict[str, Any]:
    client = given.pop("client", None) or site.client("sagemaker-runtime")
    answer: dict[str, Any] = client.invoke_endpoint(EndpointName=endpoint, Body=body, **given)
    answer["Body"] = answer["Body"].read()
    return answer


def refused(site: Site, endpoint: str, body: bytes = b"", **given: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        invoke(site, endpoint, body, **given)
    return dict(caught.value.response)


def test_an_invocation_reaches_the_replica_and_its_answer_the_client(
    site: Site, neighbours: Neighbours, replica: Replica
) -> None:
    neighbours.route("echo", replica.path)
    answer = invoke(
        site,
        "echo",
        ContentType="text/csv",
        Accept="application/json",
        CustomAttributes="c=1",
        InferenceId="i7",
    )
    assert answer["Body"] == b"1,2"
    assert answer["ContentType"] == "text/csv"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "c=1"
    header = replica.frames[-1].header
    assert (header["accept"], header["inference_id"]) == ("application/json", "i7")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"TargetModel": "m.tar.gz"}, "'m.tar.gz': endpoint single is not a multi-model endpoint"),
        ({"TargetContainerHostname": "two"}, "'two': endpoint single has a single container"),
    ],
)
def test_a_model_or_container_that_is_named_where_there_is_one_is_refused(
    site: Site, neighbours: Neighbours, replica: Replica, given: dict[str, Any], text: str
) -> None:
    neighbours.route("single", replica.path)
    for _ in range(2):  # once by what the edge learns, once by what it knows
        error = refused(site, "single", **given)
        assert error["Error"]["Code"] == "ValidationError"
        assert text in error["Error"]["Message"]
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize("size", [0, 1, 100_000, 25 * 1024 * 1024])
def test_bodies_of_every_size_pass_both_ways(
    own_site: Callable[..., Any], replica: Replica, size: int
) -> None:
    neighbours = Neighbours()
    neighbours.route(f"size-{size}", replica.path)
    site = own_site(None, neighbours)  # with the service's own time: a loaded machine is slow at 25 MB
    body = bytes(range(256)) * (size // 256 + 1)
    assert invoke(site, f"size-{size}", body[:size])["Body"] == body[:size]


def test_a_body_over_25_mb_is_refused_with_413(site: Site) -> None:
    response = refused(site, "any", bytes(25 * 1024 * 1024 + 1))
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert response["Error"]["Code"] == "ValidationError"
    assert "26214400" in response["Error"]["Message"]


def test_an_unknown_endpoint_is_a_validation_error(site: Site) -> None:
    for name in ("nope", "../../x", "a b"):
        error = refused(site, name)["Error"]
        assert error["Code"] == "ValidationError"
        assert error["Message"] == f"Endpoint {name} of account {ACCOUNT} not found."


def test_another_accounts_endpoint_is_not_found(site: Site, neighbours: Neighbours, replica: Replica) -> None:
    neighbours.route("private", replica.path)
    other = site.client("sagemaker-runtime", key=OTHER_KEY)
    assert "not found" in refused(site, "private", client=other)["Error"]["Message"]


def test_weights_share_the_traffic_and_a_target_variant_wins(
    site: Site, neighbours: Neighbours, replica: Replica
) -> None:
    neighbours.route("shared", A=(3.0, [replica.path]), B=(1.0, [replica.path]), Idle=(0.0, [replica.path]))
    client = site.client("sagemaker-runtime")
    seen = Counter(invoke(site, "shared", client=client)["InvokedProductionVariant"] for _ in range(200))
    assert set(seen) == {"A", "B"}
    assert 110 < seen["A"] < 190
    assert invoke(site, "shared", client=client, TargetVariant="Idle")["InvokedProductionVariant"] == "Idle"
    error = refused(site, "shared", TargetVariant="Nope")["Error"]
    assert (error["Code"], error["Message"]) == (
        "ValidationError",
        "Variant Nope not found for Endpoint shared",
    )


def failing(status: int) -> Callable[..., None]:
    def behave(frame: Frame, write: Callable[[bytes], None], _close: Callable[[], None]) -> None:
        write(
            pack(
                frame.request_id, {"status": status, "content_type": "text/plain"}, b"no such column: \xff z"
            )
        )

    return behave


@pytest.mark.parametrize(
    ("status", "side"), [(400, "client"), (415, "client"), (500, "server"), (503, "server")]
)
def test_a_containers_error_is_a_model_error(
    site: Site, neighbours: Neighbours, replica: Replica, status: int, side: str
) -> None:
    replica.behave = failing(status)
    neighbours.route(f"fails-{status}", replica.path)
    response = refused(site, f"fails-{status}")
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["Error"]["Code"] == "ModelError"
    assert response["Error"]["Message"].startswith(
        f"Received {side} error ({status}) from primary with message"
    )
    assert response["OriginalStatusCode"] == status
    assert response["OriginalMessage"] == "no such column: \ufffd z"
    group = f"/aws/sagemaker/Endpoints/fails-{status}"
    assert response["LogStreamArn"] == f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{group}"


def test_a_container_that_does_not_answer_in_time_is_a_model_error(
    site: Site, neighbours: Neighbours, replica: Replica
) -> None:
    late: list[Callable[[], None]] = []

    def hold(frame: Frame, write: Callable[[bytes], None], _close: Callable[[], None]) -> None:
        late.append(lambda: write(pack(frame.request_id, {"status": 200}, b"late")))

    replica.behave = hold
    neighbours.route("slow", replica.path)
    response = refused(site, "slow")
    assert response["Error"]["Code"] == "ModelError"
    assert "timed out while waiting for a response from container" in response["Error"]["Message"]
    replica._loop.call_soon_threadsafe(late[0])
    replica.behave = lambda frame, write, _close: write(pack(frame.request_id, {"status": 200}, b"new"))
    assert invoke(site, "slow")["Body"] == b"new"


def test_another_replica_answers_when_one_goes_away(
    site: Site, neighbours: Neighbours, tmp_path: Path
) -> None:
    dying, living = Replica(tmp_path / "dying"), Replica(tmp_path / "living")
    dying.behave = lambda _frame, _write, close: close()
    for each in (dying, living):
        each.start()
    neighbours.route("pair", dying.path, living.path, tmp_path / "never-there")
    client = site.client("sagemaker-runtime")
    assert all(invoke(site, "pair", client=client)["Body"] == b"1,2" for _ in range(12))
    assert dying.frames
    for each in (dying, living):
        each.stop()


def test_without_a_replica_the_endpoint_is_unavailable(
    site: Site, neighbours: Neighbours, tmp_path: Path
) -> None:
    neighbours.route("hollow", tmp_path / "nobody")
    response = refused(site, "hollow")
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (
        "ServiceUnavailable",
        503,
    )
    neighbours.route("empty")
    assert refused(site, "empty")["Error"]["Code"] == "ServiceUnavailable"


def test_many_invocations_share_one_connection_and_each_gets_its_own_answer(
    site: Site, neighbours: Neighbours, replica: Replica
) -> None:
    held: list[tuple[int, bytes]] = []

    def backwards(frame: Frame, write: Callable[[bytes], None], _close: Callable[[], None]) -> None:
        held.append((frame.request_id, frame.body))
        if len(held) == 8:
            for request_id, body in reversed(held):
                write(pack(request_id, {"status": 200}, body))
            held.clear()

    replica.behave = backwards
    neighbours.route("many", replica.path)
    client = site.client("sagemaker-runtime")
    with ThreadPoolExecutor(8) as threads:
        bodies = [b"%d" % n for n in range(8)]
        assert (
            list(threads.map(lambda body: invoke(site, "many", body, client=client)["Body"], bodies))
            == bodies
        )
    assert replica.n_connections == 1


def test_a_model_cannot_write_headers_of_its_own(
    site: Site, neighbours: Neighbours, replica: Replica
) -> None:
    header = {
        "status": 200,
        "content_type": "text/plain\r\nX-Evil: 1",
        "headers": {"X-Fine": "a\r\nX-Evil: 2", "X-Bad Name": "b", "Content-Length": "7"},
    }
    replica.behave = lambda frame, write, _close: write(pack(frame.request_id, header, b"ok"))
    neighbours.route("evil", replica.path)
    answer = invoke(site, "evil")
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert answer["Body"] == b"ok"
    assert "x-evil" not in headers
    assert headers["x-fine"] == "a  X-Evil: 2"


def test_an_asynchronous_invocation_of_a_plain_endpoint_is_refused(
    site: Site, neighbours: Neighbours, replica: Replica
) -> None:
    neighbours.route("plain", replica.path)
    runtime = site.client("sagemaker-runtime")
    with pytest.raises(ClientError, match="AsyncInferenceConfig") as caught:
        runtime.invoke_endpoint_async(EndpointName="plain", InputLocation="s3://b/k")
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    assert not replica.frames


def test_bad_signatures_get_awss_own_codes(site: Site, neighbours: Neighbours) -> None:
    live = {"secret": "s", "account": ACCOUNT, "session_token": "t"}
    neighbours.credentials["ASIALIVELIVELIVELIVE"] = live
    neighbours.credentials["ASIAEXPIREDEXPIREDEX"] = {**live, "expires_ms": 1}

    def code(**given: Any) -> str:
        return str(refused(site, "x", client=site.client("sagemaker-runtime", **given))["Error"]["Code"])

    assert code(secret="wrong") == "InvalidSignatureException"
    assert code(key="AKIANOBODYNOBODYNOBO") == "UnrecognizedClientException"
    assert code(key="..") == "UnrecognizedClientException"
    assert code(key="ASIAEXPIREDEXPIREDEX", secret="s", aws_session_token="t") == "ExpiredTokenException"
    assert (
        code(key="ASIALIVELIVELIVELIVE", secret="s", aws_session_token="u") == "UnrecognizedClientException"
    )
    assert code(key="ASIALIVELIVELIVELIVE", secret="s", aws_session_token="t") == "ValidationError"


def test_a_tampered_body_is_refused(site: Site, neighbours: Neighbours, replica: Replica) -> None:
    neighbours.route("tampered", replica.path)
    client = site.client("sagemaker-runtime")
    client.meta.events.register("before-send", lambda request, **_: setattr(request, "body", b"9,9"))
    assert refused(site, "tampered", b"1,2", client=client)["Error"]["Code"] == "InvalidSignatureException"
    assert not replica.frames


def test_pushes_replace_and_drop_what_the_edge_knows(
    site: Site, neighbours: Neighbours, tmp_path: Path
) -> None:
    old, new = Replica(tmp_path / "old"), Replica(tmp_path / "new")
    for each in (old, new):
        each.start()
    key = f"{ACCOUNT}/us-east-1/pushed"
    neighbours.route("pushed", old.path)
    invoke(site, "pushed")
    invoke(site, "pushed")
    assert site.control.asked.count(f"/internal/route/{key}") == 1
    neighbours.route("pushed", new.path)
    site.control.push("route", key, neighbours.routes[key])
    eventually(lambda: invoke(site, "pushed") and new.frames)
    del neighbours.routes[key]
    site.control.push("route", key, None)
    eventually(lambda: _is_gone(site, "pushed"))
    neighbours.credentials["AKIAPUSHEDPUSHEDPUSH"] = {"secret": "s", "account": ACCOUNT}
    known = site.client("sagemaker-runtime", key="AKIAPUSHEDPUSHEDPUSH", secret="s")
    assert refused(site, "x", client=known)["Error"]["Code"] == "ValidationError"
    del neighbours.credentials["AKIAPUSHEDPUSHEDPUSH"]
    site.control.push("credential", "AKIAPUSHEDPUSHEDPUSH", None)
    eventually(lambda: refused(site, "x", client=known)["Error"]["Code"] == "UnrecognizedClientException")
    for each in (old, new):
        each.stop()


def _is_gone(site: Site, endpoint: str) -> bool:
    try:
        invoke(site, endpoint)
    except ClientError as error:
        return "not found" in str(error)
    return False


def test_invocations_go_on_while_the_control_plane_is_away(
    own_site: Callable[..., Any], replica: Replica
) -> None:
    neighbours = Neighbours()
    neighbours.route("e", replica.path)
    site = own_site(Limits(sweep_s=0.05, drain_s=0.1, away_s=0.4), neighbours)
    client = site.client("sagemaker-runtime")
    eventually(lambda: site.control.n_watchers)
    invoke(site, "e", client=client)
    site.control.stop()
    started = time.monotonic()
    assert all(invoke(site, "e", client=client)["Body"] == b"1,2" for _ in range(20))
    assert time.monotonic() - started < 5
    with pytest.raises(ClientError) as caught:
        site.client("sts").get_caller_identity()
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (
        "ServiceUnavailable",
        503,
    )
    assert answer["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
    site.control.start()
    eventually(lambda: site.control.n_watchers > 1)
    n_asked = len(site.control.asked)
    assert invoke(site, "e", client=client)["Body"] == b"1,2"
    assert f"/internal/credential/{KEY}" in site.control.asked[n_asked:]


def test_what_was_dropped_while_pushes_were_not_heard_is_forgotten(
    own_site: Callable[..., Any], replica: Replica
) -> None:
    neighbours = Neighbours()
    neighbours.route("e", replica.path)
    site = own_site(neighbours=neighbours)
    eventually(lambda: site.control.n_watchers)
    invoke(site, "e")
    site.control.stop()
    neighbours.routes.clear()
    site.control.start()
    eventually(lambda: site.control.n_watchers > 1)
    assert "not found" in refused(site, "e")["Error"]["Message"]


def test_a_request_waits_for_a_control_plane_that_restarts(own_site: Callable[..., Any]) -> None:
    site = own_site()
    site.control.stop()
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(lambda: site.client("sts").get_caller_identity()["Account"])
        time.sleep(0.3)
        assert not waiting.done()
        site.control.start()
        assert waiting.result(10) == ACCOUNT


def test_the_access_log_has_a_line_for_each_request_and_no_secret(
    own_site: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "log" / "access.log"
    site = own_site(access_log=AccessLog(path))
    refused(site, "x")
    site.exchange(b"GET /_clary/x?X-Amz-Signature=abc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    eventually(lambda: path.exists() and path.read_text().count("\n") == 2)
    first, second = map(json.loads, path.read_text().splitlines())
    assert (first["kind"], first["status"], first["path"]) == ("invoke", 400, "/endpoints/x/invocations")
    assert second["query"] == "(signed)"
