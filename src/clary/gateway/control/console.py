"""The console's place in the control plane: its requests, its keys, its way to the operations."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection

from clary.console.api import Key
from clary.console.app import Console, Server
from clary.console.session import Seal, hash_password
from clary.gateway.control.answers import as_json
from clary.gateway.control.chain import Chain
from clary.gateway.control.platform import ROLE, Platform
from clary.kernel.clock import now
from clary.kernel.errors import ResourceNotFound, ValidationException
from clary.resource.registry import served
from clary.services.sagemaker._refused import PLANNED, reason_of
from clary.store import identities, records
from clary.store.identities import Account, Credential
from clary.store.records import Record
from clary.wire.http import Request, Response

PASSWORD = "ConsolePassword"  # noqa: S105 - a noun, not one
"""Noun of the record that keeps an account's console password, hashed."""
SHORTEST_PASSWORD = 12
PRICES = "InstancePrices"
"""Noun of the record that keeps what an hour costs an account, by instance type."""


@cache
def coverage() -> Mapping[str, Mapping[str, str]]:
    """Return every operation of the services that are served, with why it is refused, or nothing."""
    return {
        name: {
            operation: "" if operation in each.handlers else reason_of(operation) or PLANNED
            for operation in sorted(each.model.operations)
        }
        for name, each in served("clary.services").items()
    }


class ConsoleDoor:
    """Answers below `/_clary/console`, and what the command line asks about it."""

    def __init__(self, platform: Platform, chain: Chain) -> None:
        self._world = platform.world
        self._chain = chain
        self._seal = Seal(platform.world.secret)
        settings = platform.world.settings
        self._console = Console(
            Server(
                transport=self._call,
                key=self._key,
                password=self._password,
                end=self._end,
                prices=self._prices,
                keep_price=self._keep_price,
                clock=platform.world.clock,
                region=settings.region,
                public_url=settings.url,
                data_dir=settings.data_dir,
                coverage=coverage,
            ),
            self._seal,
        )

    def answer(self, request: Request) -> Response:
        """Answer one request of a browser."""
        reply = self._console.answer(
            request.method, request.path, request.query, request.headers, request.body
        )
        return Response(reply.status, dict(reply.headers), reply.body, reply.pieces)

    def link(self, account: str) -> Response:
        """Return a path that signs in as an account, once."""
        owner = self._owner(self._account(account))
        return as_json(
            {"path": f"/_clary/console/sign-in?token={self._seal.link(owner.access_key_id, now())}"}
        )

    def set_password(self, account: str, password: str) -> Response:
        """Keep a console password for an account, hashed.

        Raises
        ------
        ValidationException
            It is too short.
        """
        if len(password) < SHORTEST_PASSWORD:
            raise ValidationException(
                f"The password has {len(password)} characters; it must have at least {SHORTEST_PASSWORD}."
            )
        found, at = self._account(account), self._world.clock()
        private = {"scrypt": hash_password(password)}

        def unit(conn: Connection) -> None:
            records.delete(conn, found.account_id, "", PASSWORD, PASSWORD)
            records.insert(
                conn, Record(found.account_id, "", PASSWORD, PASSWORD, "", "Active", at, at, {}, private)
            )

        self._world.store.write(unit)
        return as_json({"account": found.name})

    def _account(self, name: str) -> Account:
        found: Account | None = self._world.store.read(identities.find_account, name)
        if found is None:
            raise ResourceNotFound(f"account '{name}' is unknown; `clary account list` has them.")
        return found

    def _owner(self, account: Account) -> Credential:
        """Return the account's own access key: the one that its name speaks for."""
        principal = f"arn:aws:sts::{account.account_id}:assumed-role/{ROLE}/{account.name}"
        found = self._world.store.read(identities.of_principal, account.account_id, principal)
        mine = [each for each in found if each.expires is None]
        if not mine:
            raise ResourceNotFound(f"account '{account.name}' has no access key.")
        return mine[0]

    def _password(self, name: str) -> tuple[str, str] | None:
        account = self._world.store.read(identities.find_account, name)
        if account is None:
            return None
        kept = self._world.store.read(records.find, account.account_id, "", PASSWORD, PASSWORD)
        return (kept.private["scrypt"], self._owner(account).access_key_id) if kept else None

    def _prices(self, account: str) -> Mapping[str, float]:
        kept = self._world.store.read(records.find, account, "", PRICES, PRICES)
        return kept.document if kept else {}

    def _keep_price(self, account: str, instance_type: str, dollars: float | None) -> None:
        """Keep what an hour of a type costs an account; None forgets it."""
        at = self._world.clock()

        def unit(conn: Connection) -> None:
            kept = records.find(conn, account, "", PRICES, PRICES)
            prices = {
                name: each for name, each in (kept.document if kept else {}).items() if name != instance_type
            }
            prices |= {} if dollars is None else {instance_type: dollars}
            records.delete(conn, account, "", PRICES, PRICES)
            records.insert(conn, Record(account, "", PRICES, PRICES, "", "Active", at, at, prices))

        self._world.store.write(unit)

    def _key(self, access_key_id: str) -> Key | None:
        found: Credential | None = self._world.store.read(identities.find, access_key_id)
        if found is None or (found.expires is not None and found.expires < datetime.now(UTC)):
            return None
        return Key(
            access_key_id=found.access_key_id,
            secret_access_key=found.secret,
            session_token=found.session_token or "",
            account=found.account,
            principal=found.principal,
        )

    def _end(self, access_key_id: str) -> None:
        """Delete a session's key, and tell the edges."""
        self._world.store.write(identities.delete, access_key_id)
        self._world.publish("credential", access_key_id, None)

    def _call(
        self, key: Key, region: str, service: str, operation: str, members: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        return self._chain.call(key.access_key_id, region, service, operation, members)
