"""Marks of sessions: they lead back to their replica, and nowhere else."""

from types import SimpleNamespace
from typing import Any

import pytest

from clary.gateway.edge import sessions
from clary.gateway.edge.inplace import Seat
from clary.gateway.edge.legs import Routing
from clary.gateway.edge.sessions import Session, SessionError
from clary.gateway.edge.tallies import Tallies

ADDRESSES = [f"/run/{name}/replica.sock" for name in "abc"]


@pytest.fixture
def routed():
    replicas = [{"id": each, "address": each} for each in ADDRESSES]
    variants = [
        {"name": "one", "weight": 1.0, "replicas": replicas[:2]},
        {"name": "two", "weight": 1.0, "replicas": replicas[2:]},
    ]
    document = {"status": "InService", "variants": variants}
    return Routing(Tallies(), Seat).parse("1/us-east-1/ep", document)


def opened(address: str, value: str) -> str:
    one: Any = SimpleNamespace(session=Session("NEW_SESSION", "NEW_SESSION"), tried=(address,))
    return sessions.shown(one, "X-Amzn-SageMaker-New-Session-Id", value)


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_session_leads_back_to_the_replica_that_opened_it(routed, address):
    name, _, rest = opened(address, "own-id; Expires=2100-01-01T00:00:00Z").partition(";")
    assert rest == " Expires=2100-01-01T00:00:00Z"
    leg, session = sessions.found(routed, next(iter(routed.legs.values())), name)
    assert session == Session(name, "own-id", address)
    assert address in [each.address for each in leg.variant.replicas]


def test_a_worker_of_a_replica_opens_sessions_of_that_replica(routed):
    name = opened("/run/b/m7.sock", "x")
    _leg, session = sessions.found(routed, next(iter(routed.legs.values())), name)
    assert session.address == ADDRESSES[1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("unheard-of", "has opened no session"),
        (opened("/run/z/replica.sock", "x"), "the instance that had it is gone"),
        (opened(ADDRESSES[0], "x; Expires=2001-01-01T00:00:00Z").partition(";")[0], "has expired"),
    ],
)
def test_a_session_that_leads_nowhere_says_why(routed, name, text):
    with pytest.raises(SessionError, match=text):
        sessions.found(routed, next(iter(routed.legs.values())), name)


def test_a_closed_session_has_the_clients_name():
    one: Any = SimpleNamespace(session=Session("own-x1", "own", ADDRESSES[0]), tried=(ADDRESSES[0],))
    assert sessions.shown(one, "X-Amzn-SageMaker-Closed-Session-Id", "own") == "own-x1"


def test_an_expiry_that_is_none_never_comes():
    assert opened(ADDRESSES[0], "x; Expires=soon").partition(";")[0].endswith("ffffffff")
