"""What the edge asks about bytes: where they are, where they go, and that they are stored."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from clary.engine.world import World
from clary.gateway.control.answers import as_json
from clary.gateway.control.platform import Platform
from clary.gateway.registry import blobs, uploads
from clary.gateway.registry.callers import caller, place
from clary.gateway.registry.errors import OciError, of_aws
from clary.gateway.registry.visit import Visit
from clary.kernel.errors import AwsError
from clary.services.ecr._records import Place
from clary.wire.http import Request, Response

Verb = Callable[[World, Mapping[str, Any]], Response | dict[str, Any]]
_BLOB = re.compile(r"/v2/(.+)/blobs/([^/]+)")
_UPLOADS = re.compile(r"/v2/(.+)/blobs/uploads/?")
_UPLOAD = re.compile(r"/v2/(.+)/blobs/uploads/([^/]+)")


class Door:
    """Answers below `/internal/registry/`: `{"answer": …}` for the client, or `{"plan": …}` for the edge."""

    def __init__(self, platform: Platform) -> None:
        self._world = platform.world

    def answer(self, request: Request) -> Response:
        """Answer one question."""
        verb = _VERBS[request.path.rpartition("/")[2]]
        try:
            found = verb(self._world, json.loads(request.body))
        except OciError as error:
            found = error.response
        except AwsError as error:
            found = of_aws(error).response
        if isinstance(found, Response):
            body = found.body.decode()
            return as_json({"answer": {"status": found.status, "headers": found.headers, "body": body}})
        return as_json({"plan": found})


def _visit(world: World, asked: Mapping[str, Any], pattern: re.Pattern[str]) -> tuple[Visit, list[str]]:
    request = Request(asked["method"], asked["path"], asked["query"], asked["headers"])
    grant = caller(world.secret, request, world.clock())
    match = pattern.fullmatch(request.path)
    if match is None:
        raise OciError("UNSUPPORTED", f"{request.method} {request.path} is not of this protocol", 404)
    name, *rest = match.groups()
    return Visit(world, place(grant, name), request), rest


def _read(world: World, asked: Mapping[str, Any]) -> dict[str, Any]:
    visit, (digest,) = _visit(world, asked, _BLOB)
    return blobs.read(visit, digest)


def _write(world: World, asked: Mapping[str, Any]) -> Response | dict[str, Any]:
    if asked["method"] == "POST":
        return uploads.begin(_visit(world, asked, _UPLOADS)[0])
    visit, (upload,) = _visit(world, asked, _UPLOAD)
    return uploads.continued(visit, upload)


def _of_plan(world: World, plan: Mapping[str, Any]) -> Visit:
    return Visit(world, Place(plan["account"], plan["region"], plan["name"]), Request("PATCH", ""))


def _stored(world: World, asked: Mapping[str, Any]) -> Response:
    plan = asked["plan"]
    return uploads.stored(_of_plan(world, plan), plan["upload"], asked["at"], asked["segments"])


def _finish(world: World, asked: Mapping[str, Any]) -> Response:
    plan = asked["plan"]
    visit = _of_plan(world, plan)
    return uploads.finish(visit, plan["upload"], asked["size"], plan["digest"], asked["computed"])


_VERBS: Mapping[str, Verb] = {"read": _read, "write": _write, "stored": _stored, "finish": _finish}
