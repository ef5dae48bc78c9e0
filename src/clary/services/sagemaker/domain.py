"""Domain: where a team's users, spaces and apps of Studio stand; and the URL that opens one of them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel import ids
from clary.resource import families
from clary.resource.call import Call
from clary.resource.declare import Resource
from clary.resource.operation import operation
from clary.services.sagemaker import _studio as studio
from clary.store.records import Record

MEMBERS = ("DefaultUserSettings", "DefaultSpaceSettings", "DomainSettings")


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateDomain beyond the model, and fill in what Describe always shows."""
    studio.refuse(request, AuthMode="IAM", AppNetworkAccessType="PublicInternetOnly")
    for member in MEMBERS:
        studio.check_settings(call, request.get(member, {}), member)
    domain = request["DomainId"]
    return {
        "AppNetworkAccessType": "PublicInternetOnly",
        "AppSecurityGroupManagement": request.get("AppSecurityGroupManagement", "Service"),
        "Status": "InService",
        "HomeEfsFileSystemId": f"fs-{domain.removeprefix('d-')}",
    }


def url_of(call: Call, record: Record) -> str:
    """Return where a signed-in person finds the domain: its page of the console."""
    return f"{call.world.settings.url}/_clary/console/studio/{record.key}"


DOMAIN = Resource(
    noun="Domain",
    key="DomainId",
    arn="domain/{DomainId}",
    status="Status",
    missing_text="Domain '{key}' does not exist.",
    admit=admit,
    view={"Url": url_of},
    summary_view={"Url": url_of},
)


@operation("CreateDomain")
def create_domain(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Create a domain; it is in service at once."""
    given = {**request, "DomainId": f"d-{ids.short()}"}
    made = families.create(DOMAIN, call, given)
    record = call.find("Domain", given["DomainId"])
    return {**made, "DomainId": record.key, "Url": url_of(call, record)}


@operation("UpdateDomain")
def update_domain(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change the settings that hold where a user or a space has none; apps take them when they are made."""
    studio.refuse(request, AppNetworkAccessType="PublicInternetOnly")
    given = {name: value for name, value in request.items() if name != "DomainId"}
    if "DomainSettingsForUpdate" in given:
        given["DomainSettings"] = given.pop("DomainSettingsForUpdate")
    for member in MEMBERS:
        studio.check_settings(call, given.get(member, {}), member)

    def change(record: Record) -> Record:
        merged = {
            name: {**record.document.get(name, {}), **value} if isinstance(value, Mapping) else value
            for name, value in given.items()
        }
        return replace(record, document={**record.document, **merged}, modified=call.now)

    return {"DomainArn": call.amend(call.find("Domain", request["DomainId"]), change).arn}


@operation("DeleteDomain")
def delete_domain(call: Call, request: Mapping[str, Any]) -> None:
    """Delete a domain that nobody stands in any more."""
    domain = call.find("Domain", request["DomainId"]).key
    for noun in ("App", "Space", "UserProfile"):
        studio.refuse_while_any(call, noun, f"Domain '{domain}'", DomainId=domain)
    families.delete(DOMAIN, call, request)
