"""An AWS request from bytes to bytes: the architecture is this list.

route ─▶ authenticate ─▶ parse ─▶ validate ─▶ handle ─▶ serialise
"""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clary.gateway.control.audit import AuditLog
from clary.gateway.control.platform import Platform
from clary.kernel import ids
from clary.kernel.errors import AccessDenied, AwsError, InternalFailure, UnknownOperation
from clary.resource.call import Call
from clary.services.sagemaker._refused import PLANNED, reason_of
from clary.store import identities
from clary.store.identities import Credential
from clary.wire import exchange, signature
from clary.wire.http import Request, Response
from clary.wire.route import Route, route
from clary.wire.service import service as service_model
from clary.wire.validate import validate

log = logging.getLogger("clary.chain")


class Chain:
    """Answers AWS's operations."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        platform.world.extras["perform"] = self.perform
        path = platform.world.settings.audit_log
        self._audit = AuditLog(Path(path)) if path else None

    def answer(self, request: Request) -> Response:
        """Answer one request; every failure is an error of AWS's shape."""
        request_id = ids.request_id()
        try:
            target = route(request)
        except AwsError as error:
            return exchange.serialize_error(None, request, error, request_id)
        account, response = self._answer(target, request, request_id)
        if self._audit is not None:
            self._audit.note(
                account=account,
                service=target.service,
                operation=target.operation.name,
                status=response.status,
                client=request.headers.get("user-agent", ""),
                request_id=request_id,
            )
        return response

    def call(
        self, access_key_id: str, region: str, service: str, operation: str, params: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Call an operation from within, for a caller whose key was checked: the console.

        Raises
        ------
        AwsError
            As a client would get it.
        """
        target = Route(service, service_model(service).operations[operation], "json")
        caller = self._credential(access_key_id)
        if caller is None:
            raise AccessDenied("The session is over; sign in again.")
        given = dict(params)
        validate(target.operation, given)
        return self._handle(target, caller, region, given, ids.request_id())

    def perform(
        self,
        owner: tuple[str, str],
        principal: str,
        service: str,
        operation: str,
        params: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """Call an operation on behalf of a role: a schedule of its account.

        Parameters
        ----------
        owner : tuple of str
            Account and region.

        Raises
        ------
        AwsError
            As a client would get it.
        """
        target = Route(service, service_model(service).operations[operation], "json")
        given = dict(params)
        validate(target.operation, given)
        caller = Credential("", "", owner[0], principal, None, None)
        return self._handle(target, caller, owner[1], given, ids.request_id())

    def _answer(self, target: Route, request: Request, request_id: str) -> tuple[str, Response]:
        account = ""
        try:
            caller, region = self._authenticate(target, request)
            account = caller.account
            params = exchange.parse(target, request)
            validate(target.operation, params)
            result = self._handle(target, caller, region, params, request_id)
            return account, exchange.serialize(target, result, request_id)
        except AwsError as error:
            return account, exchange.serialize_error(target, request, error, request_id)
        except Exception:
            log.exception("%s failed (request id %s)", target.operation.name, request_id)
            text = f"An internal error occurred; request id {request_id} names it in the control plane's log."
            return account, exchange.serialize_error(target, request, InternalFailure(text), request_id)

    def _authenticate(self, target: Route, request: Request) -> tuple[Credential, str]:
        verified = signature.verify(
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            body_sha256=hashlib.sha256(request.body).hexdigest(),
            lookup=self._credential,
            now=self._platform.world.clock(),
            service=target.operation.service.signing_name,
        )
        return verified.credential, verified.region

    def _credential(self, access_key_id: str) -> Credential | None:
        found: Credential | None = self._platform.world.store.read(identities.find, access_key_id)
        return found

    def _handle(
        self, target: Route, caller: Credential, region: str, params: Mapping[str, Any], request_id: str
    ) -> Mapping[str, Any]:
        served = self._platform.services.get(target.service)
        name = target.operation.name
        handler = served.handlers.get(name) if served else None
        if handler is None:
            why = reason_of(name) if target.service == "sagemaker" else None
            raise UnknownOperation(f"Clary does not serve {target.service}:{name}: {why or PLANNED}.")
        world = self._platform.world
        call = Call(
            account=caller.account,
            region=region,
            principal=caller.principal,
            service=target.service,
            operation=name,
            request_id=request_id,
            now=world.clock(),
            world=world,
            resources=self._platform.resources,
            access_key_id=caller.access_key_id,
        )
        return handler(call, params) or {}
