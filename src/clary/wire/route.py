"""Which operation of which service a request means; one port serves them all.

    1  X-Amz-Target: <prefix>.<operation>          json
    2  smithy-protocol: rpc-v2-cbor                cbor, not served
    3  credential scope sts, iam, monitoring, …    query
    4  credential scope sagemaker                  rest-json, by method and path
    5  everything else                             S3, by method and path

Beyond the rule: a request signed for a service that is none of these is refused by that name, rather than
taken for S3, whose XML its client could not read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import parse_qsl, unquote

from clary.kernel.errors import UnknownOperation
from clary.wire import templates
from clary.wire.http import Request
from clary.wire.service import Operation, metadata, protocols_of, service, signing_name_of

JSON_SERVICES = (
    "sagemaker", "logs", "cloudwatch", "ecr", "stepfunctions", "sqs", "dynamodb", "events", "secretsmanager",
    "kms", "glue", "athena", "application-autoscaling", "ssm", "emr", "codecommit", "service-quotas",
)  # fmt: skip
QUERY_SERVICES = ("sts", "iam", "sns", "cloudwatch", "cloudformation", "autoscaling", "sqs")
DATA_PLANES = (
    "sagemaker-runtime",
    "sagemaker-featurestore-runtime",
    "sagemaker-metrics",
    "sagemaker-a2i-runtime",
    "sagemaker-edge",
    "sagemakerjobruntime",
    "sagemakertrainingsessionruntime",
    "sagemaker-inference-router-runtime",
)
"""They all sign as `sagemaker`; no two have a method and path in common."""
REST_SCOPES: Mapping[str, tuple[str, ...]] = {
    "sagemaker": DATA_PLANES,
    "sagemaker-geospatial": ("sagemaker-geospatial",),
    "scheduler": ("scheduler",),
}
S3 = "s3"
_S3_SCOPES = frozenset({"s3", "s3express"})
_QUERY_ERRORS = frozenset({"ec2", "elasticloadbalancing", "rds", "redshift"})
"""Scopes of services that are not routed, whose clients read XML errors."""

_SCOPE = re.compile(r"Credential=[^/,\s]+/\d{8}/([^/,\s]*)/([^/,\s]+)/aws4_request")
_PRESIGNED = re.compile(r"(?:^|&)X-Amz-Credential=([^&]*)")
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/x-amz-json-"


@dataclass(frozen=True, slots=True)
class Route:
    """What a request means."""

    service: str
    operation: Operation
    protocol: str
    """`json`, `query`, `rest_json` or `rest_xml`: a module of `wire.protocols`."""
    params: Mapping[str, str] = field(default_factory=dict)
    """Labels of the path, decoded."""
    content_type: str = ""
    """Content type to answer with, where the client chose one."""


def service_names() -> tuple[str, ...]:
    """Return every service that requests are routed to."""
    rest = (name for names in REST_SCOPES.values() for name in names)
    return tuple(dict.fromkeys((*JSON_SERVICES, *QUERY_SERVICES, *rest, S3)))


def route(request: Request) -> Route:
    """Return what `request` means.

    Raises
    ------
    UnknownOperation
        No service has it; the text names it.
    """
    target = request.headers.get("x-amz-target")
    if target is not None:
        return _by_target(request, target)
    if "smithy-protocol" in request.headers:
        raise UnknownOperation(
            f"{request.path}: the protocol {request.headers['smithy-protocol']!r} is not served; "
            "use JSON or query, as botocore does."
        )
    scope = scope_of(request)
    if scope is None:
        return _unsigned(request)
    if scope in _S3_SCOPES:
        return _by_path(request, (S3,), "rest_xml")
    name = _query_scopes().get(scope)
    if name is not None:
        return _by_action(request, name)
    names = REST_SCOPES.get(scope)
    if names is None:
        raise UnknownOperation(
            f"Clary does not serve the service {scope!r}: {request.method} {request.path}."
        )
    return _by_path(request, names, "rest_json")


def scope_of(request: Request) -> str | None:
    """Return the service that the request is signed for, unchecked; None when it is not signed with SigV4."""
    found = _SCOPE.search(request.headers.get("authorization", ""))
    if found is not None:
        return found[2]
    presigned = _PRESIGNED.search(request.query) if request.query else None
    if presigned is None:
        return None
    found = _SCOPE.search(f"Credential={unquote(presigned[1])}")
    return found[2] if found else None


def protocol_of(request: Request) -> str:
    """Return the protocol whose errors the client of a request understands, when the request has no route."""
    if "x-amz-target" in request.headers:
        return "json"
    if "smithy-protocol" in request.headers:
        return "cbor"
    scope = scope_of(request)
    if scope is None:
        return "query" if _is_form(request) else "rest_xml"
    if scope in _S3_SCOPES:
        return "rest_xml"
    return "query" if scope in _query_scopes() or scope in _QUERY_ERRORS else "rest_json"


def content_type_of(request: Request) -> str:
    """Return the content type of a JSON answer: the one that the client sent; empty when it sent none."""
    given = request.headers.get("content-type", "").partition(";")[0].strip()
    return given if given.startswith(_JSON) else ""


@cache
def targets() -> Mapping[str, str]:
    """Return the services by what `X-Amz-Target` begins with, as their models say."""
    return {metadata(name)["targetPrefix"]: name for name in JSON_SERVICES}


@cache
def _query_scopes() -> Mapping[str, str]:
    return {signing_name_of(metadata(name)): name for name in QUERY_SERVICES}


@cache
def _versions() -> Mapping[str, str]:
    own = (name for name in QUERY_SERVICES if protocols_of(metadata(name)) == ("query",))
    return {metadata(name)["apiVersion"]: name for name in own}


def _by_target(request: Request, target: str) -> Route:
    prefix, _, name = target.rpartition(".")
    owner = targets().get(prefix)
    if owner is None:
        raise UnknownOperation(f"Clary does not serve {target!r}: no service has the prefix {prefix!r}.")
    return Route(owner, _operation(owner, name), "json", content_type=content_type_of(request))


def _by_action(request: Request, owner: str) -> Route:
    name = _form_value(request, "Action")
    if not name:
        raise UnknownOperation(f"The request to {owner} names no Action: {request.method} {request.path}.")
    return Route(owner, _operation(owner, name), "query")


def _by_path(request: Request, owners: tuple[str, ...], protocol: str) -> Route:
    found = templates.match(owners, request.method, request.path, request.query, request.headers)
    if found is None:
        whose = S3 if owners == (S3,) else " or ".join(owners)
        raise UnknownOperation(f"No operation of {whose} is reached by {request.method} {request.path}.")
    operation, labels = found
    return Route(operation.service.name, operation, protocol, labels)


def _unsigned(request: Request) -> Route:
    """Route what has no SigV4 scope: S3 by SigV2 or unsigned, and the operations of STS that need no key."""
    if _is_form(request):
        owner = _versions().get(_form_value(request, "Version"))
        if owner is not None:
            return _by_action(request, owner)
    return _by_path(request, (S3,), "rest_xml")


def _is_form(request: Request) -> bool:
    return (
        request.method == "POST"
        and request.path == "/"
        and request.headers.get("content-type", "").startswith(_FORM)
        and b"Action=" in request.body
    )


def _form_value(request: Request, key: str) -> str:
    if request.body and request.headers.get("content-type", _FORM).startswith(_FORM):
        for name, value in parse_qsl(request.body.decode(errors="replace")):
            if name == key:
                return value
    return dict(parse_qsl(request.query)).get(key, "") if request.query else ""


def _operation(owner: str, name: str) -> Operation:
    found = service(owner).operations.get(name)
    if found is None:
        raise UnknownOperation(f"The service {owner} has no operation {name!r}.")
    return found
