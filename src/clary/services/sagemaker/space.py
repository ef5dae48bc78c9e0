"""Space: a volume and settings in a domain of Studio, of one user or of all; an app runs in it."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.errors import ValidationException
from clary.resource import families
from clary.resource.call import Call
from clary.resource.declare import Resource
from clary.resource.operation import operation
from clary.services.sagemaker import _studio as studio
from clary.services.sagemaker.domain import url_of
from clary.store.records import Record

_SUMMARY = ("AppType", "SpaceStorageSettings")


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateSpace beyond the model, and fill in what Describe always shows."""
    call.find("Domain", request["DomainId"])
    _check(call, request)
    owner = request.get("OwnershipSettings", {}).get("OwnerUserProfileName")
    sharing = request.get("SpaceSharingSettings", {"SharingType": "Shared"})
    if sharing["SharingType"] == "Private" and not owner:
        raise ValidationException(
            "SpaceSharingSettings.SharingType 'Private' needs OwnershipSettings.OwnerUserProfileName."
        )
    if owner:
        studio.within(call, "UserProfile", request["DomainId"], owner)
    name = request["SpaceName"].partition("/")[2]
    return {"SpaceName": name, "SpaceSharingSettings": sharing, "Status": "InService"}


def _check(call: Call, request: Mapping[str, Any]) -> None:
    settings = request.get("SpaceSettings", {})
    kind = settings.get("AppType", studio.LAB)
    if kind != studio.LAB:
        raise ValidationException(f"SpaceSettings.AppType '{kind}' is not served. It must be '{studio.LAB}'.")
    studio.check_settings(call, settings, "SpaceSettings")


SPACE = Resource(
    noun="Space",
    arn="space/{SpaceName}",
    status="Status",
    missing_text="Space '{key}' does not exist.",
    admit=admit,
    view={"Url": lambda call, record: url_of(call, call.find("Domain", record.document["DomainId"]))},
    summary_view={
        "SpaceSettingsSummary": lambda _call, record: {
            name: record.document["SpaceSettings"][name]
            for name in _SUMMARY
            if name in record.document.get("SpaceSettings", {})
        },
        "SpaceSharingSettingsSummary": lambda _call, record: record.document["SpaceSharingSettings"],
        "OwnershipSettingsSummary": lambda _call, record: record.document.get("OwnershipSettings", {}),
    },
)


@operation("CreateSpace")
def create_space(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Create a space; it is in service at once, its volume comes with its first app."""
    return families.create(SPACE, call, _keyed(request))


@operation("DescribeSpace")
def describe_space(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return everything that is known of one."""
    return families.document_of(SPACE, call, _found(call, request))


@operation("UpdateSpace")
def update_space(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change title and settings; the next app takes them. A volume can only grow."""
    _check(call, request)
    given = request.get("SpaceSettings", {})
    record = _found(call, request)
    present, wanted = (_size(each) for each in (record.document.get("SpaceSettings", {}), given))
    if wanted and present and wanted < present:
        raise ValidationException(
            f"SpaceSettings.SpaceStorageSettings.EbsStorageSettings.EbsVolumeSizeInGb {wanted}: a volume can "
            f"only grow; it has {present} GB."
        )
    title = {name: request[name] for name in ("SpaceDisplayName",) if name in request}

    def change(record: Record) -> Record:
        settings = {**record.document.get("SpaceSettings", {}), **given}
        return replace(
            record, document={**record.document, **title, "SpaceSettings": settings}, modified=call.now
        )

    return {"SpaceArn": call.amend(record, change).arn}


def _size(settings: Mapping[str, Any]) -> int:
    storage = settings.get("SpaceStorageSettings", {}).get("EbsStorageSettings", {})
    return int(storage.get("EbsVolumeSizeInGb", 0))


@operation("DeleteSpace")
def delete_space(call: Call, request: Mapping[str, Any]) -> None:
    """Delete a space in which no app is, with its volume."""
    record = _found(call, request)
    domain, name = request["DomainId"], request["SpaceName"]
    studio.refuse_while_any(call, "App", f"Space '{name}'", DomainId=domain, SpaceName=name)
    families.delete(SPACE, call, _keyed(request))
    shutil.rmtree(studio.volume_of(record, call.world), ignore_errors=True)


def _found(call: Call, request: Mapping[str, Any]) -> Record:
    return studio.within(call, "Space", request["DomainId"], request["SpaceName"])


def _keyed(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request with the key that tells spaces of two domains apart in place of the name."""
    return {**request, "SpaceName": f"{request['DomainId']}/{request['SpaceName']}"}
