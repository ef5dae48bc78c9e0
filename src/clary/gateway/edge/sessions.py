"""Stateful sessions: who opened one with a replica is sent there again.

client ──NEW_SESSION──▶ replica ──new id──▶ edge ──id + mark of the replica──▶ client
client ──id + mark────▶ edge ──id──▶ that replica

The mark says which replica, and when the session ends, so that every edge knows it and none remembers it.
"""

import re
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from clary.gateway.edge.legs import Leg, Routed

if TYPE_CHECKING:
    from clary.gateway.edge.invocation import Invocation

HEADER = "x-amzn-sagemaker-session-id"
NEW = "NEW_SESSION"
CLOSED = "x-amzn-sagemaker-closed-session-id"
SESSIONS = frozenset({"x-amzn-sagemaker-new-session-id", CLOSED})
"""Headers of answers that clients get in other words."""
_MARKED = re.compile(r"(?P<own>.+)-x(?P<tag>[0-9a-f]{8})(?P<end>[0-9a-f]{8})")
_NEVER = 0xFFFFFFFF


class SessionError(ValueError):
    """A session that cannot be gone on with; the text is the client's."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session, as the client names it."""

    name: str
    own: str
    """As the model named it."""
    address: str = ""
    """Of its replica; empty while it is new."""


def _tag(address: str) -> str:
    """Return the mark of a replica: of its folder, where the sockets of its models' processes are, too."""
    return f"{zlib.crc32(bytes(Path(address).parent)):08x}"


def found(routed: Routed, leg: Leg, name: str) -> tuple[Leg, Session]:
    """Return where a session is; a new one is on the leg that was drawn for it.

    Raises
    ------
    SessionError
        It has ended, or its replica is no more, or there never was such a session.
    """
    if name == NEW:
        return leg, Session(NEW, NEW)
    match = _MARKED.fullmatch(name)
    if match is None:
        raise SessionError(f"Session {name} not found: this endpoint has opened no session of that id.")
    if int(match["end"], 16) < time():
        raise SessionError(f"Session {name} has expired; open another with SessionId {NEW}.")
    for each in routed.legs.values():
        for replica in each.variant.replicas:
            if _tag(replica.address) == match["tag"]:
                return each, Session(name, match["own"], replica.address)
    raise SessionError(f"Session {name} not found: {gone()}")


def gone() -> str:
    """Say what became of a session whose replica is no more."""
    return f"the instance that had it is gone, and its state with it; open another with SessionId {NEW}."


def shown(one: "Invocation", name: str, value: str) -> str:
    """Return the value of a session's header as the client gets it."""
    session = one.session
    if session is None:
        return value
    if name.lower() == CLOSED:
        return session.name
    own, semicolon, rest = value.partition(";")
    return f"{own.strip()}-x{_tag(one.tried[-1])}{_end(rest):08x}{semicolon}{rest}"


def _end(attributes: str) -> int:
    """Return when a session expires, in seconds of the epoch, from `Expires=2026-01-31T12:00:00Z`."""
    for each in attributes.split(";"):
        member, _, text = each.strip().partition("=")
        if member.lower() == "expires":
            try:
                moment = datetime.fromisoformat(text.strip())
            except ValueError:
                return _NEVER
            return min(_NEVER, int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()))
    return _NEVER
