"""One request, one answer: the protocol that a route names, found in its folder."""

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from clary.kernel.errors import AwsError
from clary.kernel.registry import member
from clary.wire.http import Request, Response
from clary.wire.protocols.base import WireProtocol
from clary.wire.route import Route, content_type_of, protocol_of


@cache
def protocol(name: str) -> WireProtocol:
    """Return a protocol by the name of its module."""
    return cast("WireProtocol", member("clary.wire.protocols", name))


def parse(route: Route, request: Request) -> dict[str, Any]:
    """Return the request's members by wire name.

    Raises
    ------
    ValidationException
        A value is of another type than the model's; code `SerializationException`.
    """
    return protocol(route.protocol).parse(route.operation, request, route.params)


def serialize(route: Route, result: Mapping[str, Any], request_id: str) -> Response:
    """Return the answer that says `result`; members that the output does not know are left out."""
    response = protocol(route.protocol).serialize(route.operation, result, request_id)
    if route.content_type and route.operation.output.event_stream is None:
        response.headers["content-type"] = route.content_type
    return response


def serialize_error(route: Route | None, request: Request, error: AwsError, request_id: str) -> Response:
    """Return the answer that says `error`, in the protocol of the route, or else of the request."""
    name = route.protocol if route is not None else protocol_of(request)
    response = protocol(name).serialize_error(
        error, route.operation if route is not None else None, request_id
    )
    if name == "json":
        response.headers["content-type"] = content_type_of(request) or response.headers["content-type"]
    if request.method == "HEAD":
        response.body = b""
    return response
