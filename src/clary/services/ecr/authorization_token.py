"""Authorization tokens: what `docker login`, `podman login` and `skopeo login` are given."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from clary.engine.nodes import LOOPBACK
from clary.engine.world import World
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.services.ecr import _tokens
from clary.services.ecr._records import check_registry
from clary.services.ecr._tokens import LIFETIME, USER, Grant


def password_for(world: World, account: str, region: str) -> tuple[str, datetime]:
    """Return a password of the user `AWS` for an account's registry, and when it expires."""
    expires = world.clock() + LIFETIME
    return _tokens.mint(world.secret, Grant(account, region, expires.timestamp())), expires


def address(world: World) -> str:
    """Return host and port of the registry, as image names begin with it."""
    return world.settings.registry


@operation("GetAuthorizationToken")
def get_authorization_token(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a password for the caller's registry, in the form that HTTP sends it."""
    for registry in request.get("registryIds", ()):
        check_registry(call, registry)
    password, expires = password_for(call.world, call.account, call.region)
    scheme = "http" if call.world.settings.host in LOOPBACK else "https"
    return {
        "authorizationData": [
            {
                "authorizationToken": base64.b64encode(f"{USER}:{password}".encode()).decode(),
                "expiresAt": expires,
                "proxyEndpoint": f"{scheme}://{address(call.world)}",
            }
        ]
    }
