"""Who answers a request: decided from its head alone.

    CONNECT                                               proxy
    /_clary/metrics/edge                                  the edge
    GET / of a browser                                    the edge: on to the console
    /_clary/notebook/…                                    a notebook instance
    /_clary/…                                             control plane
    /v2/…, unsigned, not of a bucket's host               the registry of images
    POST /endpoints/{name}/invocations, scope sagemaker   replica
    X-Amz-Target, or a credential scope other than s3     control plane
    everything else                                       object store

Source: reference/sdk-compat, section 1.
"""

import re
from enum import StrEnum
from urllib.parse import unquote

from clary.gateway.edge.head import Head

_HEADER_SCOPE = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/,\s]*)/([^/,\s]+)/aws4_request")
_QUERY_SCOPE = re.compile(r"(?:^|&)X-Amz-Credential=([^&]*)")
_FULL_SCOPE = re.compile(r"([^/]+)/\d{8}/([^/]*)/([^/]+)/aws4_request$")
_INVOCATION = re.compile(r"^/endpoints/([^/]+)/(invocations|async-invocations|invocations-response-stream)$")
_UNSIGNED_STS = re.compile(r"^sts\.(?:[a-z0-9-]+\.)?amazonaws\.com(?:\.cn)?(?::\d+)?$")
_REGISTRY = re.compile(r"^/v2(?:/|$)")
_BUCKET_HOST = re.compile(r"\.s3[.-][a-z0-9.-]*amazonaws\.com")
METRICS_PATH = "/_clary/metrics/edge"
NOTEBOOKS = "/_clary/notebook/"


class Kind(StrEnum):
    """Who answers."""

    EDGE = "edge"
    CONTROL = "control"
    INVOKE = "invoke"
    OBJECTS = "objects"
    CONNECT = "connect"
    TELEMETRY = "telemetry"
    NOTEBOOK = "notebook"
    REGISTRY = "registry"
    HOME = "home"
    """A browser at the address itself."""
    HIDDEN = "hidden"
    """A path of the control plane's own, never served to clients."""


class Scope:
    """What a signed request says of its signer, not yet checked."""

    __slots__ = ("access_key_id", "region", "service")

    def __init__(self, access_key_id: str, region: str, service: str) -> None:
        self.access_key_id = access_key_id
        self.region = region
        self.service = service


def scope(head: Head) -> Scope | None:
    """Return the credential scope of a request signed with SigV4, in its headers or its query."""
    match = _HEADER_SCOPE.search(head.fields.get("authorization", ""))
    if match is None:
        query = _QUERY_SCOPE.search(head.query)
        match = query and _FULL_SCOPE.match(unquote(query[1]))
    return Scope(*match.groups()) if match else None


def classify(head: Head, signer: Scope | None) -> Kind:  # noqa: PLR0911 - the rule, one line each
    """Return who answers a request."""
    if signer is not None and signer.service == "sagemaker" and head.method == "POST":
        if head.path.startswith("/endpoints/") and _INVOCATION.match(head.path):
            return Kind.INVOKE
    elif head.method == "CONNECT":
        return Kind.CONNECT
    path = head.path
    if path.startswith("/_clary/"):
        if path == METRICS_PATH:
            return Kind.EDGE
        if path.startswith(NOTEBOOKS):
            return Kind.NOTEBOOK
        return Kind.HIDDEN if is_internal(path) else Kind.CONTROL
    host = head.fields.get("host", "")
    if host.startswith("sm-pysdk-t-"):
        return Kind.TELEMETRY
    if "x-amz-target" in head.fields or (signer is not None and signer.service != "s3"):
        return Kind.HIDDEN if is_internal(path) else Kind.CONTROL
    if signer is None and head.method == "POST" and path == "/" and _UNSIGNED_STS.match(host):
        return Kind.CONTROL  # AssumeRoleWithWebIdentity and AssumeRoleWithSAML carry no signature
    if signer is None and _REGISTRY.match(path) and not _BUCKET_HOST.search(host):
        return Kind.REGISTRY  # no bucket has a name of two characters
    is_plain_get = signer is None and path == "/" and head.method == "GET"
    if is_plain_get and "text/html" in head.fields.get("accept", ""):
        return Kind.HOME
    return Kind.OBJECTS


def invocation(path: str) -> tuple[str, str]:
    """Return the endpoint's name and the operation's last path segment."""
    match = _INVOCATION.match(path)
    assert match is not None, path
    return unquote(match[1]), match[2]


def is_internal(path: str) -> bool:
    """Tell whether any reading of `path` leads below `/internal/`."""
    for _ in range(3):
        parts: list[str] = []
        for part in path.replace("\\", "/").split("/"):
            if part == "..":
                del parts[-1:]
            elif part not in {"", "."}:
                parts.append(part)
        if parts and parts[0].lower() == "internal":
            return True
        path = unquote(path)
    return False
