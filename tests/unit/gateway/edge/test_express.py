"""The express way accepts nothing that the careful check of signatures refuses."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.gateway.edge import express as module
from clary.gateway.edge.express import Express
from clary.gateway.edge.head import fields_of
from clary.gateway.edge.inplace import Seat
from clary.gateway.edge.legs import Routing
from clary.gateway.edge.tables import Table
from clary.gateway.edge.tallies import Tallies
from clary.kernel.errors import SignatureFault
from clary.wire import signature
from clary.wire.credential import Credential

ACCOUNT, KEY, SECRET = "111122223333", "AKIATESTTESTTESTTEST", "s3cret/with+signs"
TARGET = b"/endpoints/echo/invocations"
PLAIN = Credential(KEY, SECRET, ACCOUNT, "arn")


async def _nothing(_key: str) -> None:
    return None


def express(credential: Credential = PLAIN) -> Express:
    """Return an express way that knows one credential and one endpoint."""
    routing = Routing(Tallies(), Seat)
    routes: Any = Table(_nothing, routing.parse)
    credentials: Any = Table(_nothing, lambda _key, _document: credential)
    credentials.push(KEY, {"x": 1})
    variant = {"name": "AllTraffic", "weight": 1.0, "replicas": [{"id": "0", "address": "/r.sock"}]}
    routes.push(f"{ACCOUNT}/us-east-1/echo", {"status": "InService", "variants": [variant]})
    control: Any = SimpleNamespace(routes=routes, credentials=credentials)
    nobody: Any = SimpleNamespace()
    return Express(control, nobody, nobody, nobody)


def signed(body: bytes, *, token: str | None = None, **headers: str) -> list[tuple[bytes, bytes]]:
    """Return the headers of a signed invocation as they reach the edge."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    request = AWSRequest("POST", f"http://h:1{TARGET.decode()}", data=body, headers=given)
    SigV4Auth(Credentials(KEY, SECRET, token), "sagemaker", "us-east-1").add_auth(request)
    lines = [("Host", "h:1"), *request.headers.items(), ("Content-Length", str(len(body)))]
    return [(name.encode(), str(value).encode()) for name, value in lines]


def passes(way: Express, lines: list[tuple[bytes, bytes]], body: bytes, target: bytes = TARGET) -> bool:
    if not way.is_target(target):
        return False
    shape = way.shape(tuple(name for name, _ in lines))
    return shape.is_plain and way.leg(shape, target, [value for _, value in lines], body) is not None


def is_valid(lines: list[tuple[bytes, bytes]], body: bytes, credential: Credential = PLAIN) -> bool:
    try:
        signature.verify(
            method="POST",
            path=TARGET.decode(),
            query="",
            headers=fields_of(lines),
            body_sha256=hashlib.sha256(body).hexdigest(),
            lookup={KEY: credential}.get,
            now=datetime.now(UTC),
            service="sagemaker",
        )
    except SignatureFault:
        return False
    return True


@settings(deadline=None)
@given(
    body=st.binary(max_size=50),
    value=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20),
)
def test_what_a_client_signs_goes_the_express_way(body: bytes, value: str) -> None:
    lines = signed(body, Content_Type="text/csv", User_Agent=f"x {value}", X_Amz_Custom=value)
    assert is_valid(lines, body)
    assert passes(express(), lines, body)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_what_is_changed_on_the_way_passes_only_where_the_careful_check_says_so(data: st.DataObject) -> None:
    body = b"1,2"
    lines = signed(body, Content_Type="text/csv", Accept="*/*")
    place = data.draw(st.integers(0, len(lines) - 1))
    name, value = lines[place]
    match data.draw(st.sampled_from(["value", "name", "drop", "double", "add", "body", "space"])):
        case "value" if value:
            at = data.draw(st.integers(0, len(value) - 1))
            byte = data.draw(st.integers(33, 126))
            lines[place] = (name, value[:at] + bytes([byte]) + value[at + 1 :])
        case "name":
            lines[place] = (name + b"x", value)
        case "drop":
            del lines[place]
        case "double":
            lines.insert(data.draw(st.integers(0, len(lines))), (name.upper(), value))
        case "add":
            extra = data.draw(
                st.sampled_from([b"X-Amz-Target", b"X-Amz-Security-Token", b"X-Other", b"Expect"])
            )
            lines.append((extra, b"v"))
        case "body":
            body = b"1,3"
        case "space":
            lines[place] = (name, data.draw(st.sampled_from([b"  ", b" \t"])).join((value, value)))
    if passes(express(), lines, body):
        assert is_valid(lines, body)


def test_another_target_is_not_what_was_signed() -> None:
    lines = signed(b"x")
    assert passes(express(), lines, b"x")
    assert not passes(express(), lines, b"x", b"/endpoints/other/invocations")
    for target in (
        b"/endpoints/echo/invocations?x=1",
        b"/endpoints/e%63ho/invocations",
        b"//endpoints/echo/invocations",
    ):
        assert not express().is_target(target)


def test_times_tokens_and_ends_are_held_to(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = signed(b"x")
    now = datetime.now(UTC)
    for moved_s, holds in ((0, True), (890, True), (-890, True), (905, False), (-905, False)):
        way = express()
        monkeypatch.setattr(
            module, "time", lambda moved_s=moved_s: (now + timedelta(seconds=moved_s)).timestamp()
        )
        assert passes(way, lines, b"x") is holds
    monkeypatch.undo()
    live = Credential(KEY, SECRET, ACCOUNT, "arn", "tok", now + timedelta(hours=1))
    over = Credential(KEY, SECRET, ACCOUNT, "arn", "tok", now - timedelta(seconds=1))
    with_token = signed(b"x", token="tok")
    assert passes(express(live), with_token, b"x")
    assert not passes(express(over), with_token, b"x")
    assert not passes(express(live), lines, b"x")
    assert not passes(express(live), signed(b"x", token="other"), b"x")
    assert not passes(express(), with_token, b"x")


def test_a_replaced_or_dropped_credential_no_longer_passes() -> None:
    way = express()
    lines = signed(b"x")
    assert passes(way, lines, b"x")
    way._credentials.push(KEY, None)
    assert not passes(way, lines, b"x")


def test_many_strange_heads_do_not_fill_the_memory(tmp_path: Path) -> None:
    way = express()
    for n in range(3 * module.MOST_KEPT):
        way.shape((b"Host", b"X-%d" % n))
        way.is_target(b"/endpoints/e%d/invocations" % n)
    assert len(way._shapes) <= module.MOST_KEPT
    assert len(way._targets) <= module.MOST_KEPT
    assert not way.shape(tuple(b"X-%d" % n for n in range(900))).is_plain
