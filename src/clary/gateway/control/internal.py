"""Paths of the unix socket alone: the edge's questions and the command line's."""

import json
import re

from clary.engine.runs import entry_of
from clary.gateway.control.answers import as_json
from clary.gateway.control.console import ConsoleDoor
from clary.gateway.control.paths import Paths
from clary.gateway.control.platform import Platform
from clary.kernel import ids
from clary.kernel.errors import InternalFailure, ResourceNotFound, ValidationException
from clary.resource.call import Call
from clary.services.s3.bucket import owner_of
from clary.services.sagemaker._notebook_machine import noun_of
from clary.services.sagemaker.training_job import interrupt
from clary.serving import components
from clary.store import identities, records
from clary.store.base import Duplicate
from clary.wire.http import Request, Response

_ACCOUNT_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]{0,62}")


class Internal:
    """Answers below `/internal/`."""

    def __init__(self, platform: Platform, console: ConsoleDoor) -> None:
        self._platform = platform
        self._console = console
        self._world = platform.world
        self.answer = Paths(
            {
                r"GET /internal/credential/(\w+)": self._credential,
                r"GET /internal/bucket/([^/]+)": self._bucket,
                r"GET /internal/route/(\d+)/([\w-]+)/([^/]+)": self._route,
                r"GET /internal/notebook/(\d+)/([\w-]+)/([^/]+)": self._notebook,
                r"POST /internal/usage": platform.meter.answer,
                r"POST /internal/wake": platform.meter.wake,
                r"POST /internal/asynchronous": platform.invocations.answer,
                r"GET /internal/objects": self._objects,
                r"GET /internal/nodes": self._nodes,
                r"GET /internal/store": self._store,
                r"GET /internal/accounts": self._accounts,
                r"POST /internal/accounts": self._create_account,
                r"POST /internal/console/link": self._console_link,
                r"POST /internal/console/password": self._console_password,
                r"POST /internal/jobs/interrupt": self._interrupt,
            }
        ).answer

    def _credential(self, _request: Request, access_key_id: str) -> Response:
        found = self._world.store.read(identities.find, access_key_id)
        if found is None:
            return as_json({"message": "unknown"}, 404)
        return as_json(entry_of(found))

    def _bucket(self, _request: Request, name: str) -> Response:
        owner = self._world.store.read(owner_of, name)
        return as_json({"account": owner.account}) if owner else as_json({"message": "unknown"}, 404)

    def _route(self, _request: Request, account: str, region: str, name: str) -> Response:
        record = self._world.store.read(records.find, account, region, *components.noun_and_key(name))
        route = record.private.get("route") if record else None
        if not route:
            return as_json({"message": "unknown"}, 404)
        return as_json(self._platform.neighbours.routed(route))

    def _notebook(self, _request: Request, account: str, region: str, name: str) -> Response:
        record = self._world.store.read(records.find, account, region, noun_of(name), name)
        route = record.private.get("route") if record else None
        return as_json(route) if route else as_json({"message": "unknown"}, 404)

    def _objects(self, _request: Request) -> Response:
        return as_json(self._world.objects)

    def _nodes(self, _request: Request) -> Response:
        return as_json({"nodes": self._platform.neighbours.nodes.every()})

    def _store(self, _request: Request) -> Response:
        try:
            self._world.store.read(identities.find, "")
        except InternalFailure as fault:
            return as_json({"trouble": fault.message})
        return as_json({"trouble": ""})

    def _accounts(self, _request: Request) -> Response:
        found = self._world.store.read(identities.accounts)
        return as_json({"accounts": [{"name": each.name, "account": each.account_id} for each in found]})

    def _create_account(self, request: Request) -> Response:
        name = str(json.loads(request.body).get("name", ""))
        if not _ACCOUNT_NAME.fullmatch(name):
            raise ValidationException(f"name '{name}': 1 to 63 letters, digits and hyphens are allowed.")
        try:
            return as_json(self._platform.create_account(name))
        except Duplicate:
            raise ValidationException(f"name '{name}': an account of that name exists.") from None

    def _console_link(self, request: Request) -> Response:
        return self._console.link(str(json.loads(request.body).get("account", "default")))

    def _console_password(self, request: Request) -> Response:
        asked = json.loads(request.body)
        return self._console.set_password(
            str(asked.get("account", "default")), str(asked.get("password", ""))
        )

    def _interrupt(self, request: Request) -> Response:
        asked = json.loads(request.body)
        account, region = asked["account"], asked["region"]
        if not self._world.store.read(identities.find_account, account):
            raise ResourceNotFound(f"account {account} is unknown")
        call = Call(
            account=account,
            region=region,
            principal=f"arn:aws:iam::{account}:root",
            service="sagemaker",
            operation="InterruptTrainingJob",
            request_id=ids.request_id(),
            now=self._world.clock(),
            world=self._world,
            resources=self._platform.resources,
        )
        interrupt(call, asked["name"])
        return as_json({"interrupted": asked["name"]})
