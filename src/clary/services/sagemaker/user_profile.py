"""UserProfile: one person in a domain of Studio."""

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
from clary.store.records import Record


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateUserProfile beyond the model."""
    call.find("Domain", request["DomainId"])
    for member in ("SingleSignOnUserIdentifier", "SingleSignOnUserValue"):
        if request.get(member):
            raise ValidationException(f"{member} is not served: domains are of AuthMode 'IAM'. Leave it out.")
    studio.check_settings(call, request.get("UserSettings", {}), "UserSettings")
    return {"UserProfileName": request["UserProfileName"].partition("/")[2], "Status": "InService"}


USER_PROFILE = Resource(
    noun="UserProfile",
    arn="user-profile/{UserProfileName}",
    status="Status",
    missing_text="UserProfile '{key}' does not exist.",
    admit=admit,
)


@operation("CreateUserProfile")
def create_user_profile(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Create a profile; it is in service at once."""
    return families.create(USER_PROFILE, call, _keyed(request))


@operation("DescribeUserProfile")
def describe_user_profile(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return everything that is known of one."""
    return families.document_of(USER_PROFILE, call, _found(call, request))


@operation("UpdateUserProfile")
def update_user_profile(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change a user's settings; apps take them when they are made."""
    given = request.get("UserSettings", {})
    studio.check_settings(call, given, "UserSettings")

    def change(record: Record) -> Record:
        settings = {**record.document.get("UserSettings", {}), **given}
        return replace(record, document={**record.document, "UserSettings": settings}, modified=call.now)

    return {"UserProfileArn": call.amend(_found(call, request), change).arn}


@operation("DeleteUserProfile")
def delete_user_profile(call: Call, request: Mapping[str, Any]) -> None:
    """Delete a profile that has no apps and owns no spaces, with its files."""
    record = _found(call, request)
    domain, name = request["DomainId"], request["UserProfileName"]
    what = f"UserProfile '{name}'"
    studio.refuse_while_any(call, "App", what, DomainId=domain, UserProfileName=name)
    owned = {"DomainId": domain, "OwnershipSettings.OwnerUserProfileName": name}
    studio.refuse_while_any(call, "Space", what, **owned)
    families.delete(USER_PROFILE, call, _keyed(request))
    shutil.rmtree(studio.volume_of(record, call.world), ignore_errors=True)


def _found(call: Call, request: Mapping[str, Any]) -> Record:
    return studio.within(call, "UserProfile", request["DomainId"], request["UserProfileName"])


def _keyed(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request with the key that tells profiles of two domains apart in place of the name."""
    return {**request, "UserProfileName": f"{request['DomainId']}/{request['UserProfileName']}"}
