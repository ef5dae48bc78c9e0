"""Studio from the inside: what its nouns have in common, and what of their settings is not built.

Domain ──▶ UserProfile ──owns──▶ Space ──▶ App: JupyterLab, on the machinery of notebook instances
              └──▶ App: JupyterServer
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.engine.world import World
from clary.kernel.errors import ResourceInUse, ResourceNotFound, ValidationException
from clary.resource.call import Call
from clary.services.sagemaker._notebook_machine import APP_PREFIX
from clary.services.sagemaker.training_job import check_role
from clary.store import listing
from clary.store.conditions import Condition
from clary.store.listing import Query
from clary.store.records import Record

LAB, SERVER = "JupyterLab", "JupyterServer"
SPACE_GB = 5
"""Source: API reference, DefaultEbsStorageSettings, the default of JupyterLab's spaces."""
PROFILE_GB = 100
"""What a user's home holds; AWS has it on a file system without a limit."""
INSTANCE_TYPE = "ml.t3.medium"
"""Source: developer guide, "Create a space": what JupyterLab runs on unless told otherwise."""
_UNBUILT = frozenset(
    {
        "CanvasAppSettings",
        "CodeEditorAppSettings",
        "CustomFileSystemConfigs",
        "CustomFileSystems",
        "CustomPosixUserConfig",
        "EmrSettings",
        "KernelGatewayAppSettings",
        "RSessionAppSettings",
        "RStudioServerProAppSettings",
        "RStudioServerProDomainSettings",
        "RemoteAccess",
        "TensorBoardAppSettings",
        "BuiltInLifecycleConfigArn",
        "CustomImages",
        "LifecycleConfigArn",
        "LifecycleConfigArns",
        "SageMakerImageArn",
        "SageMakerImageVersionAlias",
        "SageMakerImageVersionArn",
        "TrainingPlanArn",
        "TrustedIdentityPropagationSettings",
        "DockerSettings",
        "UnifiedStudioSettings",
    }
)
"""Members, at any depth, that would have to change what runs: refused where they say something."""


def check_settings(call: Call, settings: Any, path: str) -> None:
    """Refuse settings that nothing follows, and roles of others.

    Raises
    ------
    ValidationException
        Names the member.
    """
    if isinstance(settings, Mapping):
        for name, value in settings.items():
            if name in _UNBUILT and value:
                raise ValidationException(
                    f"{path}.{name} is not served: apps are {LAB} and {SERVER}, in Clary's own environment "
                    "for notebooks. Leave it out."
                )
            if name == "ExecutionRole":
                check_role(call, value)
            check_settings(call, value, f"{path}.{name}")
    elif isinstance(settings, list):
        for n, each in enumerate(settings):
            check_settings(call, each, f"{path}[{n}]")


def refuse(request: Mapping[str, Any], **allowed: str) -> None:
    """Refuse members whose value is another than the one that is built.

    Raises
    ------
    ValidationException
        Names member, value and the one that is allowed.
    """
    for member, only in allowed.items():
        if request.get(member, only) != only:
            raise ValidationException(f"{member} '{request[member]}' is not served. It must be '{only}'.")


def within(call: Call, noun: str, domain: str, name: str) -> Record:
    """Return a user profile or a space of a domain.

    Raises
    ------
    ResourceNotFound
        The domain, or what is named in it, is not there.
    """
    call.find("Domain", domain)
    record = call.seek(noun, f"{domain}/{name}")
    if record is None:
        raise ResourceNotFound(f"{noun} '{name}' does not exist in domain '{domain}'.")
    return record


def refuse_while_any(call: Call, noun: str, what: str, **members: str) -> None:
    """Refuse to delete what others still stand in.

    Raises
    ------
    ResourceInUse
        Names one that is there.
    """
    where = tuple(Condition(name, "eq", value) for name, value in members.items())
    if noun == "App":
        where += (Condition("status", "in", ("Pending", "InService", "Deleting", "Failed")),)
    found = call.read(listing.page, Query(call.account, call.region, noun, where, limit=1)).records
    if found:
        name = found[0].document.get(f"{noun}Name", found[0].key)
        raise ResourceInUse(f"{what} cannot be deleted: {noun} '{name}' is in it. Delete that first.")


def key_of(domain: str, owner: str, kind: str, name: str) -> str:
    """Return the key of an app: the last part of its path, not to be mistaken for an instance's name."""
    text = "\n".join((domain, owner, kind, name))
    return f"{APP_PREFIX}app-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def volume_of(owner: Record, world: World) -> Path:
    """Return the folder of a space's, or a user's, files: it outlives every app."""
    mark = hashlib.sha256(f"{owner.arn}/{owner.created.isoformat()}".encode()).hexdigest()[:16]
    return world.settings.data_dir / "notebooks" / owner.account / mark


@dataclass(frozen=True, slots=True)
class Means:
    """What an app runs with, from its space, its user and its domain, the nearest first."""

    role_arn: str
    instance_type: str
    volume_gb: int
    idle_minutes: int
    repositories: tuple[Mapping[str, Any], ...]


def means_of(call: Call, request: Mapping[str, Any], owner: Record) -> Means:
    """Put together what an app runs with.

    Raises
    ------
    ValidationException
        Nobody named a role.
    """
    layers, is_lab = _layers(call, request["DomainId"], owner), request["AppType"] == LAB
    role = next((each["ExecutionRole"] for each in layers if each.get("ExecutionRole")), "")
    if not role:
        raise ValidationException(
            "No ExecutionRole: neither the user profile's UserSettings nor the domain's settings name one."
        )
    settings = [each.get(f"{LAB if is_lab else SERVER}AppSettings", {}) for each in layers]
    types = [request.get("ResourceSpec", {}), *(each.get("DefaultResourceSpec", {}) for each in settings)]
    given = next((each["InstanceType"] for each in types if each.get("InstanceType")), INSTANCE_TYPE)
    storage = [each.get("SpaceStorageSettings", {}) for each in layers]
    sizes = [
        each["EbsStorageSettings"]["EbsVolumeSizeInGb"] for each in storage if "EbsStorageSettings" in each
    ]
    sizes += [
        each["DefaultEbsStorageSettings"]["DefaultEbsVolumeSizeInGb"]
        for each in storage
        if "DefaultEbsStorageSettings" in each
    ]
    return Means(
        role_arn=role,
        instance_type=INSTANCE_TYPE if given == "system" else given,
        volume_gb=next(iter(sizes), SPACE_GB) if owner.noun == "Space" else PROFILE_GB,
        idle_minutes=_idle_minutes(settings),
        repositories=tuple(each for layer in settings for each in layer.get("CodeRepositories", ())),
    )


def _layers(call: Call, domain_id: str, owner: Record) -> list[Mapping[str, Any]]:
    """Return the settings that hold for an owner, the nearest first."""
    domain = call.find("Domain", domain_id).document
    if owner.noun == "UserProfile":
        return [owner.document.get("UserSettings", {}), domain["DefaultUserSettings"]]
    space = owner.document.get("SpaceSettings", {})
    person = owner.document.get("OwnershipSettings", {}).get("OwnerUserProfileName")
    if person and owner.document.get("SpaceSharingSettings", {}).get("SharingType") == "Private":
        profile = within(call, "UserProfile", domain_id, person)
        return [space, profile.document.get("UserSettings", {}), domain["DefaultUserSettings"]]
    return [space, domain.get("DefaultSpaceSettings", {})]


def _idle_minutes(settings: list[Mapping[str, Any]]) -> int:
    for each in settings:
        idle = each.get("AppLifecycleManagement", {}).get("IdleSettings", {})
        if idle.get("LifecycleManagement") == "ENABLED" or "IdleTimeoutInMinutes" in idle:
            return int(idle.get("IdleTimeoutInMinutes", 60))
    return 0
