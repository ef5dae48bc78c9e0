"""What targets, policies, actions and activities share: their names, their records, their refusals."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.kernel.arns import Arn
from clary.kernel.errors import AwsError, ValidationException
from clary.resource import tokens
from clary.resource.call import Call
from clary.serving import components
from clary.store import listing, records
from clary.store.listing import Query
from clary.store.records import Record

NAMESPACE = "sagemaker"
VARIANT = "sagemaker:variant:DesiredInstanceCount"
COPIES = "sagemaker:inference-component:DesiredCopyCount"
PAGE = 50
"""Source: API reference, `MaxResults`: "The default value is 50"."""


def check_namespace(request: Mapping[str, Any]) -> None:
    """Refuse what is not SageMaker's.

    Raises
    ------
    ValidationException
        Names the namespace.
    """
    if request["ServiceNamespace"] != NAMESPACE:
        raise ValidationException(
            f"ServiceNamespace '{request['ServiceNamespace']}' is not served; it must be {NAMESPACE}."
        )


def variant_of(request: Mapping[str, Any]) -> tuple[str, str]:
    """Return endpoint and variant of a request's resource; an inference component stands as an endpoint.

    Raises
    ------
    ValidationException
        The resource, or its dimension, is none that is scaled.
    """
    check_namespace(request)
    dimension = request["ScalableDimension"]
    if dimension not in {VARIANT, COPIES}:
        raise ValidationException(
            f"ScalableDimension '{dimension}' is not served; it must be {VARIANT} or {COPIES}."
        )
    parts = request["ResourceId"].split("/")
    if dimension == COPIES:
        if len(parts) != 2 or parts[0] != "inference-component" or not parts[1]:
            raise ValidationException(
                f"ResourceId '{request['ResourceId']}' must be inference-component/<inference component>."
            )
        return components.place_of(parts[1]), ""
    if len(parts) != 4 or parts[0] != "endpoint" or parts[2] != "variant" or not all(parts):
        raise ValidationException(
            f"ResourceId '{request['ResourceId']}' must be endpoint/<endpoint>/variant/<variant>."
        )
    return parts[1], parts[3]


def resource_of(conn: Connection, account: str, region: str, place: str) -> Record | None:
    """Return the record of the endpoint or inference component that is scaled."""
    return records.find(conn, account, region, *components.noun_and_key(place))


def key_of(request: Mapping[str, Any], name: str = "") -> str:
    """Return the key of a target's record, or of one of its policies or actions."""
    key = f"{request['ResourceId']}:{request['ScalableDimension']}"
    return f"{key}:{name}" if name else key


def arn_of(call: Call, service: str, resource: str) -> str:
    """Return an ARN of the caller's account."""
    return str(Arn(service=service, region=call.region, account=call.account, resource=resource))


def missing(text: str) -> AwsError:
    """Return the error of something that is not there."""
    return AwsError(text, code="ObjectNotFoundException")


def target_of(call: Call, request: Mapping[str, Any]) -> Record:
    """Return the record of the target that a request names.

    Raises
    ------
    AwsError
        `ObjectNotFoundException`: it is not registered.
    """
    record: Record | None = call.read(
        records.find, call.account, call.region, "ScalableTarget", key_of(request)
    )
    if record is None:
        raise missing(
            f"No scalable target registered for service namespace: {request['ServiceNamespace']}, resource "
            f"ID: {request['ResourceId']}, scalable dimension: {request['ScalableDimension']}"
        )
    return record


def every(conn: Connection, account: str, region: str, noun: str) -> list[Record]:
    """Return every record of a noun, oldest first."""
    found: list[Record] = []
    query = Query(account=account, region=region, noun=noun, sort="created", descending=False, limit=1000)
    while True:
        page = listing.page(conn, query)
        found += page.records
        if page.next is None:
            return found
        query = replace(query, after=page.next)


def of_target(conn: Connection, target: Record, noun: str) -> list[Record]:
    """Return the policies or actions of one target."""
    prefix = f"{target.key}:"
    return [each for each in every(conn, target.account, target.region, noun) if each.key.startswith(prefix)]


def page_of(
    call: Call, request: Mapping[str, Any], items: list[dict[str, Any]], member: str
) -> dict[str, Any]:
    """Return one page of an answer.

    Raises
    ------
    AwsError
        `InvalidNextTokenException`: the token is none of ours.
    """
    try:
        begin = int(tokens.decode(request["NextToken"], int)) if request.get("NextToken") else 0
    except ValueError:
        raise AwsError("The next token is invalid.", code="InvalidNextTokenException") from None
    end = begin + int(request.get("MaxResults", PAGE))
    answer: dict[str, Any] = {member: items[begin:end]}
    return answer | ({"NextToken": tokens.encode(end)} if end < len(items) else {})


def is_wanted(record: Record, request: Mapping[str, Any]) -> bool:
    """Say whether a record is of the resource and dimension that a Describe names, if it names them."""
    return all(
        request.get(member) in {None, record.document[member]}
        for member in ("ResourceId", "ScalableDimension")
    )


def put(call: Call, noun: str, key: str, arn: str, document: Mapping[str, Any]) -> Record:
    """Insert a record, or overwrite the one of that key; return it as it is now."""

    def unit(conn: Connection) -> Record:
        known = records.find(conn, call.account, call.region, noun, key)
        if known is not None:
            return records.update(
                conn, replace(known, document={**known.document, **document}, modified=call.now)
            )
        record = Record(
            account=call.account,
            region=call.region,
            noun=noun,
            key=key,
            arn=arn,
            status="",
            created=call.now,
            modified=call.now,
            document=document,
        )
        return records.insert(conn, record)

    written: Record = call.write(unit)
    return written
