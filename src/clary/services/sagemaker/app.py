"""App: the JupyterLab of a space, or of a user of Studio; states are in `_app_machine`."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection

from clary.compute import machine
from clary.kernel.arns import Arn
from clary.kernel.errors import (
    ResourceInUse,
    ResourceLimitExceeded,
    ResourceNotFound,
    ValidationException,
)
from clary.resource import families
from clary.resource.call import Call, from_tags
from clary.resource.declare import Resource
from clary.resource.operation import operation
from clary.services.sagemaker import _instances
from clary.services.sagemaker import _studio as studio
from clary.services.sagemaker._app_machine import MACHINE
from clary.services.sagemaker.notebook_instance import check_environment, links_with, url
from clary.store import listing, records, work
from clary.store.base import Duplicate
from clary.store.conditions import Condition
from clary.store.listing import Query
from clary.store.records import Record
from clary.store.work import Work

APP_NAME = "default"
"""The one app of its kind that a space or a user has. Source: API reference, CreateApp."""
LINK_S = 300
"""Source: API reference, CreatePresignedDomainUrl, `ExpiresInSeconds`."""
SESSION_S = 43_200
"""Source: the same, `SessionExpirationDurationInSeconds`."""
LIVE = ("Pending", "InService")

APP = Resource(
    noun="App",
    arn="app/{AppName}",
    status="Status",
    machine=MACHINE,
    missing_text="App '{key}' does not exist.",
    filters={"UserProfileNameEquals": "UserProfileName eq", "SpaceNameEquals": "SpaceName eq"},
)


@operation("CreateApp")
def create_app(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Start JupyterLab for a space or a user; its files are those of the last time."""
    return {"AppArn": _created(call, request).arn}


def _created(call: Call, request: Mapping[str, Any]) -> Record:
    owner = _owner(call, request)
    _check(call, request)
    means = studio.means_of(call, request, owner)
    _instances.check(means.instance_type, "JupyterLab app")
    machine.size_of(means.instance_type)
    _check_quota(call)
    check_environment(call.world.settings)
    record = _record(call, request, owner, means)

    def unit(conn: Connection) -> None:
        old = records.find(conn, call.account, call.region, "App", record.key)
        if old is not None and old.status == "Deleted":
            records.delete(conn, old.account, old.region, old.noun, old.key)
            work.drop(conn, old.arn)
        row = Work(arn=record.arn, noun="App", state=MACHINE.start, due=call.now)
        families.insert(conn, families.Prepared(record, from_tags(request.get("Tags")), row))

    try:
        call.write(unit)
    except Duplicate:
        raise ResourceInUse(
            f"App '{request['AppName']}' of {owner.noun} exists already ({record.arn})."
        ) from None
    call.world.nudge(record.arn)
    return record


def _record(call: Call, request: Mapping[str, Any], owner: Record, means: studio.Means) -> Record:
    names = (request["DomainId"], owner.key.partition("/")[2], request["AppType"], request["AppName"])
    arn = str(Arn("sagemaker", call.region, call.account, f"app/{'/'.join(names)}"))
    spec = {**request.get("ResourceSpec", {}), "InstanceType": means.instance_type}
    document = {name: value for name, value in request.items() if name != "Tags"}
    volume = str(studio.volume_of(owner, call.world))
    return Record(
        account=call.account,
        region=call.region,
        noun="App",
        key=studio.key_of(*names),
        arn=arn,
        status=MACHINE.status(MACHINE.start),
        created=call.now,
        modified=call.now,
        document={**document, "ResourceSpec": spec, "AppArn": arn},
        private={"means": {**asdict(means), "volume": volume}},
        version=1,
    )


def _owner(call: Call, request: Mapping[str, Any]) -> Record:
    """Return the space or the user profile that an app is of.

    Raises
    ------
    ValidationException
        Neither or both are named.
    """
    named = [noun for noun in ("Space", "UserProfile") if request.get(f"{noun}Name")]
    if len(named) != 1:
        raise ValidationException("Give one of UserProfileName and SpaceName.")
    return studio.within(call, named[0], request["DomainId"], request[f"{named[0]}Name"])


def _check(call: Call, request: Mapping[str, Any]) -> None:
    kind, name = request["AppType"], request["AppName"]
    noun = {studio.LAB: "SpaceName", studio.SERVER: "UserProfileName"}.get(kind)
    if noun is None:
        raise ValidationException(
            f"AppType '{kind}' is not served. It must be '{studio.LAB}' (of a space) or "
            f"'{studio.SERVER}' (of a user profile)."
        )
    if not request.get(noun):
        raise ValidationException(f"AppType '{kind}' needs {noun}.")
    if name != APP_NAME:
        raise ValidationException(f"AppName '{name}': an app of type {kind} is named '{APP_NAME}'.")
    if request.get("RecoveryMode"):
        raise ValidationException("RecoveryMode is not served: every app starts from a fresh environment.")
    studio.check_settings(call, request.get("ResourceSpec", {}), "ResourceSpec")


def _check_quota(call: Call) -> None:
    limit = call.world.settings.notebook_limit
    where = (Condition("status", "in", LIVE),)
    n_present = call.read(listing.count, Query(call.account, call.region, "App", where))
    if n_present >= limit:
        raise ResourceLimitExceeded(
            f"The account-level service limit 'Total number of Studio apps' is {limit} Instances, with "
            f"current utilization of {n_present} Instances and a request delta of 1 Instances. Delete "
            "one, or have CLARY_NOTEBOOK_LIMIT raised."
        )


@operation("DescribeApp")
def describe_app(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return everything that is known of one; a deleted one for a day."""
    return families.document_of(APP, call, _found(call, request))


@operation("DeleteApp")
def delete_app(call: Call, request: Mapping[str, Any]) -> None:
    """End an app; the files of its space, or its user, stay."""

    def change(record: Record) -> Record:
        if record.status == "Deleted":
            raise _missing(request)
        private = {**record.private, "intent": {"delete": True}, "links": {}}
        return replace(record, private=private, modified=call.now)

    call.amend(_found(call, request), change, is_waking=True)


def _found(call: Call, request: Mapping[str, Any]) -> Record:
    owner = request.get("SpaceName") or request.get("UserProfileName") or ""
    key = studio.key_of(request["DomainId"], owner, request["AppType"], request["AppName"])
    found: Record | None = call.read(records.find, call.account, call.region, "App", key)
    if found is None:
        raise _missing(request)
    return found


def _missing(request: Mapping[str, Any]) -> ResourceNotFound:
    return ResourceNotFound(
        f"App '{request['AppName']}' of type {request['AppType']} does not exist in domain "
        f"'{request['DomainId']}'."
    )


@operation("CreatePresignedDomainUrl")
def create_presigned_domain_url(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a URL that opens the JupyterLab of a space, or of the user, once; start it if need be."""
    domain, person, space = request["DomainId"], request["UserProfileName"], request.get("SpaceName")
    studio.within(call, "UserProfile", domain, person)
    if space:
        _expect_access(studio.within(call, "Space", domain, space), person)
    wanted = {"DomainId": domain, "AppName": APP_NAME} | (
        {"AppType": studio.LAB, "SpaceName": space}
        if space
        else {"AppType": studio.SERVER, "UserProfileName": person}
    )
    try:
        record = _found(call, wanted)
        if record.status not in LIVE:
            record = _created(call, wanted)
    except ResourceNotFound:
        record = _created(call, wanted)
    where = url(call, record)
    if not where:
        raise ValidationException(
            "Notebooks need a host name of their own, another than the console's: set CLARY_NOTEBOOK_HOST."
        )
    token, change = links_with(
        call.now.timestamp(),
        life_s=request.get("ExpiresInSeconds", LINK_S),
        session_s=request.get("SessionExpirationDurationInSeconds", SESSION_S),
    )
    call.amend(record, change)
    return {"AuthorizedUrl": f"{urlsplit(call.world.settings.url).scheme}://{where}/?authToken={token}"}


def _expect_access(space: Record, person: str) -> None:
    owner = space.document.get("OwnershipSettings", {}).get("OwnerUserProfileName")
    if space.document["SpaceSharingSettings"]["SharingType"] == "Private" and owner != person:
        raise ValidationException(
            f"SpaceName '{space.document['SpaceName']}' is private to another user profile."
        )
