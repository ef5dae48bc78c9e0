"""Accounts, and the access keys that may sign for them; secrets are encrypted at rest."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet, InvalidToken

from clary.kernel import clock
from clary.kernel.errors import SetupError
from clary.store import dialect
from clary.store.base import Duplicate, one_statement
from clary.store.schema import account as account_table
from clary.store.schema import credential as table
from clary.store.times import from_micros, to_micros

CIPHER = "clary.cipher"
"""Where `Store` leaves the cipher in a connection's `info`."""

_ACCOUNT_ID = re.compile(r"\d{12}")


@dataclass(frozen=True, slots=True)
class Credential:
    """One access key."""

    access_key_id: str
    secret: str
    account: str
    principal: str
    """ARN of whom the key speaks for."""
    session_token: str | None = None
    expires: datetime | None = None
    """None lasts until deleted."""


@dataclass(frozen=True, slots=True)
class Account:
    """One tenant."""

    account_id: str
    name: str
    created: datetime


def insert(conn: sa.Connection, credential: Credential) -> None:
    """Store a new access key.

    Raises
    ------
    Duplicate
        The access key id is taken.
    """
    cipher = _cipher(conn)
    session = credential.session_token
    row = {
        "access_key_id": credential.access_key_id,
        "secret": cipher.encrypt(credential.secret.encode()).decode(),
        "account": credential.account,
        "principal": credential.principal,
        "session_token": None if session is None else cipher.encrypt(session.encode()).decode(),
        "expires": None if credential.expires is None else to_micros(credential.expires),
    }
    if not dialect.insert_new(conn, table, row):
        raise Duplicate(f"access key {credential.access_key_id!r} exists already")


@one_statement
def find(conn: sa.Connection, access_key_id: str) -> Credential | None:
    """Return an access key, expired or not, or None."""
    row = conn.execute(_FIND, {"of": access_key_id}).first()
    return _from_row(_cipher(conn), row) if row else None


def of_principal(conn: sa.Connection, account: str, principal: str) -> list[Credential]:
    """Return the access keys of a principal, by id."""
    rows = conn.execute(
        sa.select(*_COLUMNS)
        .where(table.c.account == account, table.c.principal == principal)
        .order_by(table.c.access_key_id)
    )
    return [_from_row(_cipher(conn), row) for row in rows]


def delete(conn: sa.Connection, access_key_id: str) -> bool:
    """Delete an access key; False when there is none."""
    return conn.execute(sa.delete(table).where(table.c.access_key_id == access_key_id)).rowcount == 1


def expire(conn: sa.Connection, now: datetime) -> int:
    """Delete the access keys that expired by `now`; return how many."""
    return conn.execute(sa.delete(table).where(table.c.expires <= to_micros(now))).rowcount


def create_account(
    conn: sa.Connection, name: str, account_id: str, created: datetime | None = None
) -> Account:
    """Store a new account.

    Raises
    ------
    Duplicate
        The name or the id is taken.
    ValueError
        The id is not twelve digits, or the name is empty or looks like an id.
    """
    if not _ACCOUNT_ID.fullmatch(account_id):
        raise ValueError(f"account id {account_id!r} must be twelve digits")
    if not name or _ACCOUNT_ID.fullmatch(name):
        raise ValueError(f"account name {name!r} must not be empty, nor twelve digits")
    account = Account(account_id, name, created or clock.now())
    row = {"account_id": account_id, "name": name, "created": to_micros(account.created)}
    if not dialect.insert_new(conn, account_table, row):
        raise Duplicate(f"account {name!r} or {account_id} exists already")
    return account


def accounts(conn: sa.Connection) -> list[Account]:
    """Return every account, by name."""
    rows = conn.execute(sa.select(account_table).order_by(account_table.c.name))
    return [Account(row.account_id, row.name, from_micros(row.created)) for row in rows]


@one_statement
def find_account(conn: sa.Connection, name_or_id: str) -> Account | None:
    """Return the account with this name or this id, or None."""
    column = account_table.c.account_id if _ACCOUNT_ID.fullmatch(name_or_id) else account_table.c.name
    row = conn.execute(sa.select(account_table).where(column == name_or_id)).first()
    return Account(row.account_id, row.name, from_micros(row.created)) if row else None


def seal(conn: sa.Connection, secret: bytes) -> str:
    """Return a secret encrypted, for the private part of a record."""
    return _cipher(conn).encrypt(secret).decode()


def unseal(conn: sa.Connection, sealed: str) -> bytes:
    """Return what `seal` encrypted.

    Raises
    ------
    SetupError
        It was encrypted with another key file.
    """
    try:
        return _cipher(conn).decrypt(sealed.encode())
    except InvalidToken:
        raise SetupError("a secret was encrypted with another key file") from None


_COLUMNS = (
    table.c.access_key_id,
    table.c.secret,
    table.c.account,
    table.c.principal,
    table.c.session_token,
    table.c.expires,
)
_FIND = sa.select(*_COLUMNS).where(table.c.access_key_id == sa.bindparam("of"))


def _cipher(conn: sa.Connection) -> Fernet:
    cipher = conn.info.get(CIPHER)
    if not isinstance(cipher, Fernet):
        raise SetupError("secrets need a key file: open the store with key_path")
    return cipher


@lru_cache(maxsize=1024)
def _opened(cipher: Fernet, sealed: str) -> str:
    """Decrypt, once for the many requests that a key signs."""
    return cipher.decrypt(sealed.encode()).decode()


def _from_row(cipher: Fernet, row: Any) -> Credential:
    access_key_id, secret, account, principal, session_token, expires = row
    try:
        return Credential(
            access_key_id,
            _opened(cipher, secret),
            account,
            principal,
            None if session_token is None else _opened(cipher, session_token),
            None if expires is None else from_micros(expires),
        )
    except InvalidToken:
        raise SetupError(f"the secret of {access_key_id} was encrypted with another key file") from None
