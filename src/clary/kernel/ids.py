"""Identifiers: short, sortable where it helps, unguessable where it must be."""

import secrets
import string
import uuid

_ALPHABET = string.ascii_uppercase + "234567"


def request_id() -> str:
    """Return a request id as AWS prints it: a UUID."""
    return str(uuid.uuid4())


def token(n_bytes: int = 24) -> str:
    """Return a URL-safe secret of `n_bytes` bytes of entropy."""
    return secrets.token_urlsafe(n_bytes)


def short(n: int = 12) -> str:
    """Return `n` lower-case letters and digits."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(n))


def access_key_id(*, temporary: bool = False) -> str:
    """Return an access key id: `AKIA…`, or `ASIA…` when it comes with a session token."""
    return ("ASIA" if temporary else "AKIA") + "".join(secrets.choice(_ALPHABET) for _ in range(16))


def secret_access_key() -> str:
    """Return a secret access key of 40 characters."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(40))


def account_id() -> str:
    """Return a new account id: 12 digits, not starting with zero."""
    return str(secrets.randbelow(9 * 10**11) + 10**11)
