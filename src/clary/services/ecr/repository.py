"""Repositories: made, described, deleted; their tags, their policies, and whether image tags may move."""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from clary.engine.world import World
from clary.kernel.arns import Arn
from clary.kernel.errors import AwsError
from clary.resource.call import Call, as_tags, from_tags
from clary.resource.operation import operation
from clary.services.ecr._lifecycle import forget, forget_preview
from clary.services.ecr._records import (
    NAME,
    PAGE,
    REPOSITORY,
    Place,
    check_registry,
    every,
    invalid,
    missing,
    not_served,
    paged,
    place_of,
    query_of,
    repository_of,
)
from clary.services.ecr.authorization_token import address
from clary.store import listing, records, tags
from clary.store.base import Duplicate
from clary.store.records import Record

LIMIT = 100_000
"""Source: Amazon ECR user guide, service quotas, "Registered repositories"."""
_EXCLUSIONS = {"MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"}
_FILTER = re.compile(r"[A-Za-z0-9._*-]{1,128}")


@operation("CreateRepository")
def create_repository(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make a repository."""
    place = place_of(call, request)
    if not NAME.fullmatch(place.name):
        raise invalid(
            "repositoryName", f"'{place.name}' must satisfy the regular expression '{NAME.pattern}'"
        )
    if request.get("imageScanningConfiguration", {}).get("scanOnPush"):
        raise not_served("imageScanningConfiguration.scanOnPush", "a scan of images")
    if request.get("encryptionConfiguration", {}).get("encryptionType", "AES256") != "AES256":
        raise not_served("encryptionConfiguration.encryptionType", "a key of one's own")
    rule = _mutability(request, request.get("imageTagMutability", "MUTABLE"))
    return {"repository": shown(call.world, make(call, place, rule, from_tags(request.get("tags"))))}


def make(call: Call, place: Place, rule: Mapping[str, Any], given: Mapping[str, str]) -> Record:
    """Store a new repository.

    Raises
    ------
    AwsError
        `RepositoryAlreadyExistsException`.
    """

    def unit(conn: Connection) -> Record:
        made = records.insert(conn, _new(place, rule, call.now))
        tags.put(conn, place.arn, given)
        return made

    try:
        made: Record = call.write(unit)
    except Duplicate:
        text = f"The repository with name '{place.name}' already exists in the registry with id "
        raise AwsError(f"{text}'{place.account}'", code="RepositoryAlreadyExistsException") from None
    return made


def _new(place: Place, rule: Mapping[str, Any], now: datetime) -> Record:
    return Record(place.account, place.region, REPOSITORY, place.name, place.arn, "", now, now, rule)


def ensure(conn: Connection, place: Place, now: datetime) -> None:
    """Make a repository, unless it is there."""
    if records.find(conn, place.account, place.region, REPOSITORY, place.name) is None:
        with contextlib.suppress(Duplicate):  # on PostgreSQL, another control plane was as fast
            records.insert(conn, _new(place, {"imageTagMutability": "MUTABLE"}, now))


def _mutability(request: Mapping[str, Any], rule: str) -> dict[str, Any]:
    """Return the members that say which image tags may move."""
    filters = request.get("imageTagMutabilityExclusionFilters") or []
    if bool(filters) != (rule in _EXCLUSIONS):
        text = f"they are given with {' or '.join(sorted(_EXCLUSIONS))}, and only with these"
        raise invalid("imageTagMutabilityExclusionFilters", text)
    for each in filters:
        if not _FILTER.fullmatch(each["filter"]):
            text = f"'{each['filter']}' must be 1 to 128 letters, digits, '.', '_', '-' and '*'"
            raise invalid("imageTagMutabilityExclusionFilters", text)
    kept: dict[str, Any] = {"imageTagMutability": rule}
    return kept | ({"imageTagMutabilityExclusionFilters": filters} if filters else {})


def shown(world: World, record: Record) -> dict[str, Any]:
    """Return a repository as on the wire."""
    return {
        **record.document,
        "repositoryArn": record.arn,
        "registryId": record.account,
        "repositoryName": record.key,
        "repositoryUri": f"{address(world)}/{record.key}",
        "createdAt": record.created,
        "imageScanningConfiguration": {"scanOnPush": False},
        "encryptionConfiguration": {"encryptionType": "AES256"},
    }


@operation("DescribeRepositories")
def describe_repositories(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return repositories by their names, or one page of all."""
    check_registry(call, request.get("registryId"))
    names = request.get("repositoryNames")
    if names:
        if "nextToken" in request or "maxResults" in request:
            raise invalid("repositoryNames", "give names, or nextToken and maxResults, not both")
        places = (Place(call.account, call.region, name) for name in names)
        return {"repositories": [shown(call.world, call.read(repository_of, each)) for each in places]}
    query = query_of(Place(call.account, call.region, ""), REPOSITORY, limit=request.get("maxResults", PAGE))
    found, token = paged(call, query, request.get("nextToken"))
    return {"repositories": [shown(call.world, each) for each in found]} | token


@operation("DeleteRepository")
def delete_repository(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Delete a repository; one with images only where that is forced."""
    place = place_of(call, request)

    def unit(conn: Connection) -> Record:
        record = repository_of(conn, place)
        first = listing.page(conn, query_of(place, place.images, limit=1)).records
        if first and not request.get("force"):
            text = f"The {place.words} cannot be "
            raise AwsError(
                text + "deleted because it still contains images", code="RepositoryNotEmptyException"
            )
        for noun in (place.images, place.tags):
            for each in list(every(conn, query_of(place, noun))):
                records.delete(conn, place.account, place.region, noun, each.key)
        records.delete(conn, place.account, place.region, REPOSITORY, place.name)
        tags.drop(conn, record.arn)
        forget(conn, place)
        forget_preview(conn, place)
        return record

    return {"repository": shown(call.world, call.write(unit))}


@operation("PutImageTagMutability")
def put_image_tag_mutability(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say which image tags of a repository may move from now on."""
    place = place_of(call, request)
    rule = _mutability(request, request["imageTagMutability"])
    call.amend(call.read(repository_of, place), lambda one: replace(one, document=rule, modified=call.now))
    return {"registryId": place.account, "repositoryName": place.name} | rule


@operation("PutImageScanningConfiguration")
def put_image_scanning_configuration(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take that images are not scanned; refuse that they are."""
    place = place_of(call, request)
    call.read(repository_of, place)
    if request["imageScanningConfiguration"].get("scanOnPush"):
        raise not_served("imageScanningConfiguration.scanOnPush", "a scan of images")
    return {
        "registryId": place.account,
        "repositoryName": place.name,
        "imageScanningConfiguration": {"scanOnPush": False},
    }


# Tags.


def _tagged(call: Call, arn: str) -> str:
    """Return the ARN of a repository of the caller's."""
    found = call.own(arn)
    name = found.resource.removeprefix("repository/")
    if (
        str(Arn(service="ecr", region=found.region, account=found.account, resource=f"repository/{name}"))
        != arn
    ):
        raise invalid("resourceArn", f"'{arn}' is not the ARN of a repository")
    place = Place(found.account, found.region, name)
    if call.read(records.find, place.account, place.region, REPOSITORY, place.name) is None:
        raise missing(place)
    return arn


@operation("TagResource")
def tag_resource(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Tag a repository."""
    call.write(tags.put, _tagged(call, request["resourceArn"]), from_tags(request["tags"]))
    return {}


@operation("UntagResource")
def untag_resource(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take tags off a repository."""
    call.write(tags.remove, _tagged(call, request["resourceArn"]), request["tagKeys"])
    return {}


@operation("ListTagsForResource")
def list_tags_for_resource(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the tags of a repository."""
    return {"tags": as_tags(call.read(tags.of, _tagged(call, request["resourceArn"])))}
