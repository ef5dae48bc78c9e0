"""NotebookInstance: a JupyterLab of one's own, and its verbs; states are in `_notebook_machine`."""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clary.compute import machine
from clary.kernel.errors import ResourceLimitExceeded, ValidationException
from clary.kernel.settings import Settings
from clary.resource.call import Call
from clary.resource.declare import NotFound, Resource
from clary.resource.operation import operation
from clary.services.sagemaker import _instances
from clary.services.sagemaker._notebook_machine import MACHINE, path_of
from clary.services.sagemaker.training_job import check_role
from clary.store import listing
from clary.store.listing import Query
from clary.store.records import Record
from clary.toolkit import requirements

LINK_S = 300
"""How long a presigned URL can be used. Source: API reference, CreatePresignedNotebookInstanceUrl."""
SESSION_S = 43_200
"""Source: the same, `SessionExpirationDurationInSeconds`."""
DEFAULTS = {
    "VolumeSizeInGB": 5,
    "DirectInternetAccess": "Enabled",
    "RootAccess": "Enabled",
    "PlatformIdentifier": "notebook-al2023-v1",
    "InstanceMetadataServiceConfiguration": {"MinimumInstanceMetadataServiceVersion": "2"},
}
"""What Describe shows of a request that is silent. Source: API reference, CreateNotebookInstance."""


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateNotebookInstance beyond the model, and fill in what Describe always shows."""
    check_role(call, request["RoleArn"])
    _check_members(call, request)
    _check_quota(call)
    check_environment(call.world.settings)
    shown = {member: value for member, value in DEFAULTS.items() if member not in request}
    if "SecurityGroupIds" in request:
        shown["SecurityGroups"] = request["SecurityGroupIds"]
    if "LifecycleConfigName" in request:
        shown["NotebookInstanceLifecycleConfigName"] = request["LifecycleConfigName"]
    return shown


def _check_members(call: Call, request: Mapping[str, Any]) -> None:
    """Check what Create and Update have in common."""
    if "InstanceType" in request:
        _instances.check(request["InstanceType"], "notebook instance")
        machine.size_of(request["InstanceType"])
    if request.get("DirectInternetAccess") == "Disabled":
        raise ValidationException(
            "DirectInternetAccess 'Disabled' is not served: an instance without a network could not reach "
            "Clary either. It must be 'Enabled'."
        )
    if request.get("AcceleratorTypes"):
        raise ValidationException(
            "AcceleratorTypes: notebook instances have no elastic inference accelerators; leave it out."
        )
    if "LifecycleConfigName" in request:
        call.find("NotebookInstanceLifecycleConfig", request["LifecycleConfigName"])
    for each in (request.get("DefaultCodeRepository"), *request.get("AdditionalCodeRepositories", ())):
        if each and not each.startswith("https://"):
            call.find("CodeRepository", each)


def _check_quota(call: Call) -> None:
    limit = call.world.settings.notebook_limit
    query = Query(account=call.account, region=call.region, noun="NotebookInstance")
    n_present = call.read(listing.count, query)
    if n_present >= limit:
        raise ResourceLimitExceeded(
            f"The account-level service limit 'Total number of notebook instances' is {limit} Instances, "
            f"with current utilization of {n_present} Instances and a request delta of 1 Instances. Delete "
            "one, or have CLARY_NOTEBOOK_LIMIT raised."
        )


def check_environment(settings: Settings) -> None:
    """Refuse what could not start: without JupyterLab there is nothing to open.

    Raises
    ------
    ValidationException
        The environment of the notebooks has no JupyterLab.
    """
    try:
        found = requirements.interpreter(settings.notebook_python)
    except (OSError, ValueError) as error:
        raise ValidationException(
            f"CLARY_NOTEBOOK_PYTHON, {settings.notebook_python!r}, cannot be used: {error}"
        ) from None
    if not any((Path(folder) / "jupyterlab").is_dir() for folder in found.packages):
        raise ValidationException(
            f"Notebook instances need JupyterLab, which the environment of {found.executable} does not have. "
            "Install it with: pip install 'clary[notebooks]', or have CLARY_NOTEBOOK_PYTHON name another one."
        )


def url(call: Call, record: Record) -> str:
    """Return where the instance is, without a scheme, as AWS has it."""
    settings = call.world.settings
    mark = hashlib.sha256(record.arn.encode()).hexdigest()[:10]
    host = settings.notebook_domain.replace("*", mark)
    return f"{host}:{settings.port}{path_of(record)}" if host else ""


NOTEBOOK_INSTANCE = Resource(
    noun="NotebookInstance",
    arn="notebook-instance/{NotebookInstanceName}",
    status="NotebookInstanceStatus",
    machine=MACHINE,
    missing=NotFound.VALIDATION,  # the waiter NotebookInstanceDeleted succeeds on this code alone
    missing_text="RecordNotFound",
    taken="ValidationException",
    taken_text="Cannot create a duplicate Notebook Instance ({arn})",
    admit=admit,
    view={"Url": url},
    summary_view={"Url": url},
    filters={
        "AdditionalCodeRepositoryEquals": "AdditionalCodeRepositories contains",
        "NotebookInstanceLifecycleConfigNameContains": "NotebookInstanceLifecycleConfigName contains",
        "DefaultCodeRepositoryContains": "DefaultCodeRepository contains",
    },
    id_case="Notebook Instance",
)


@operation("StartNotebookInstance")
def start_notebook_instance(call: Call, request: Mapping[str, Any]) -> None:
    """Start a stopped instance; its volume is as it was."""
    _ask(call, request, "start", "Pending", allowed=("Stopped", "Failed"))


@operation("StopNotebookInstance")
def stop_notebook_instance(call: Call, request: Mapping[str, Any]) -> None:
    """Stop an instance; what is not below `SageMaker/` is lost."""
    _ask(call, request, "stop", "Stopping", allowed=("InService",))


@operation("DeleteNotebookInstance")
def delete_notebook_instance(call: Call, request: Mapping[str, Any]) -> None:
    """Delete a stopped instance with its volume."""
    _ask(call, request, "delete", "Deleting", allowed=("Stopped", "Failed"))


@operation("UpdateNotebookInstance")
def update_notebook_instance(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change a stopped instance; what is new holds from its next start on."""
    _check_members(call, request)
    if "RoleArn" in request:
        check_role(call, request["RoleArn"])
    for member, plain in (
        ("DisassociateLifecycleConfig", "LifecycleConfigName"),
        ("DisassociateDefaultCodeRepository", "DefaultCodeRepository"),
        ("DisassociateAdditionalCodeRepositories", "AdditionalCodeRepositories"),
    ):
        if request.get(member) and plain in request:
            raise ValidationException(f"Give {plain} or {member}, not both.")
    record = call.find("NotebookInstance", request["NotebookInstanceName"])
    size, present = request.get("VolumeSizeInGB"), record.document["VolumeSizeInGB"]
    if size is not None and size < present:
        raise ValidationException(f"VolumeSizeInGB {size}: a volume can only grow; it has {present} GB.")
    _ask(call, request, "update", "Updating", allowed=("Stopped", "Failed"), members=_changed)
    return {}


def _changed(document: dict[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document after an update."""
    kept = {
        name: value
        for name, value in request.items()
        if not name.startswith("Disassociate") and name not in {"NotebookInstanceName", "AcceleratorTypes"}
    }
    document = {**document, **kept}
    if "LifecycleConfigName" in request:
        document["NotebookInstanceLifecycleConfigName"] = request["LifecycleConfigName"]
    if request.get("DisassociateLifecycleConfig"):
        document.pop("NotebookInstanceLifecycleConfigName", None)
    if request.get("DisassociateDefaultCodeRepository"):
        document.pop("DefaultCodeRepository", None)
    if request.get("DisassociateAdditionalCodeRepositories"):
        document.pop("AdditionalCodeRepositories", None)
    return document


def _ask(
    call: Call,
    request: Mapping[str, Any],
    intent: str,
    status: str,
    *,
    allowed: tuple[str, ...],
    members: Any = lambda document, _request: document,
) -> None:
    """Write what is asked of an instance in one of these states, and wake its machine."""

    def change(record: Record) -> Record:
        if record.status not in allowed:
            raise ValidationException(
                f"Status ({record.status}) not in ([{', '.join(allowed)}]). Unable to transition to "
                f"({status}) for Notebook Instance ({record.arn})."
            )
        document = members(dict(record.document), request)
        document.pop("FailureReason", None)
        private = {**record.private, "intent": {intent: True}}
        return replace(record, document=document, private=private, status=status, modified=call.now)

    call.amend(call.find("NotebookInstance", request["NotebookInstanceName"]), change, is_waking=True)


@operation("CreatePresignedNotebookInstanceUrl")
def create_presigned_url(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a URL that opens the instance in a browser, once, within five minutes."""
    record = call.find("NotebookInstance", request["NotebookInstanceName"])
    where = url(call, record)
    if not where:
        raise ValidationException(
            "Notebooks need a host name of their own, another than the console's: set CLARY_NOTEBOOK_HOST."
        )
    token, add = links_with(
        call.now.timestamp(),
        life_s=LINK_S,
        session_s=request.get("SessionExpirationDurationInSeconds", SESSION_S),
    )

    def change(current: Record) -> Record:
        if current.status != "InService":
            raise ValidationException(
                f"Status ({current.status}) not in ([InService]). Unable to create a presigned URL for "
                f"Notebook Instance ({current.arn})."
            )
        return add(current)

    call.amend(record, change)
    return {"AuthorizedUrl": f"{urlsplit(call.world.settings.url).scheme}://{where}/?authToken={token}"}


def links_with(now_s: float, *, life_s: int, session_s: int) -> tuple[str, Callable[[Record], Record]]:
    """Return the token of a new presigned URL, and what notes it in a record."""
    token = secrets.token_urlsafe(32)
    link = {"until": now_s + life_s, "session_s": session_s}

    def change(current: Record) -> Record:
        links = {mark: each for mark, each in _links(current).items() if each["until"] > now_s}
        return replace(current, private={**current.private, "links": {**links, mark_of(token): link}})

    return token, change


def mark_of(token: str) -> str:
    """Return what is kept of a presigned URL's token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _links(record: Record) -> dict[str, Any]:
    links: dict[str, Any] = record.private.get("links", {})
    return links


def is_awaited(record: Record, token: str, now_s: float) -> bool:
    """Tell whether a token is good, and opens as soon as what it opens is in service."""
    link = _links(record).get(mark_of(token))
    return link is not None and link["until"] > now_s and record.status == "Pending"


def redeemed(record: Record, token: str, now_s: float) -> tuple[Record, int] | None:
    """Return the record without the token's link, and the seconds of the session; None for a wrong one."""
    links = dict(_links(record))
    link = links.pop(mark_of(token), None)
    if link is None or link["until"] <= now_s or record.status != "InService":
        return None
    return replace(record, private={**record.private, "links": links}), int(link["session_s"])
