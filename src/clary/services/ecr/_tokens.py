"""Passwords of the user `AWS`: who they speak for and until when, under a seal that only Clary can make."""

import base64
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

USER = "AWS"
LIFETIME = timedelta(hours=12)
"""Source: API reference, GetAuthorizationToken."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a password opens."""

    account: str
    region: str
    expires: float
    """Seconds of the epoch."""
    only: str = ""
    """Path of the one thing that may be read with it; empty opens the whole registry."""


def mint(secret: bytes, grant: Grant) -> str:
    """Return the password of a grant."""
    text = json.dumps(asdict(grant), separators=(",", ":")).encode()
    return f"{_plain(text)}.{_plain(_seal(secret, text))}"


def read(secret: bytes, password: str, now: datetime) -> Grant | None:
    """Return what a password grants; None where it is none of ours, or has expired."""
    text, dot, seal = password.partition(".")
    try:
        document, given = _raw(text), _raw(seal)
    except ValueError:
        return None
    if not dot or not hmac.compare_digest(given, _seal(secret, document)):
        return None
    grant = Grant(**json.loads(document))
    return grant if now.timestamp() < grant.expires else None


def _seal(secret: bytes, text: bytes) -> bytes:
    return hmac.digest(secret, b"registry:" + text, hashlib.sha256)


def _plain(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
