"""Validation of a model package: a transform job of its containers, whose end is the package's status.

InProgress ──the job completed──▶ Completed
    └──────it did anything else──▶ Failed

A package without a `ValidationSpecification` is Completed from the start, and has no row of this machine.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from clary.engine.machine import Job, Machine, Move
from clary.engine.world import World
from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.resource.families import Prepared, prepared
from clary.services.sagemaker._model_package_containers import BROUGHT
from clary.services.sagemaker.training_job import check_role
from clary.services.sagemaker.transform_job import TRANSFORM_JOB, admitted
from clary.store import records
from clary.store.records import Record

POLL_S = 1.0

MACHINE = Machine(
    noun="ModelPackage",
    start="InProgress",
    edges={"InProgress": frozenset({"Completed", "Failed"})},
)


@MACHINE.step("InProgress")
def watch(job: Job, world: World) -> Move:
    """Look at the transform job once; its end is the package's."""
    arn = job.record.private["validation"]
    found: Record | None = world.store.read(records.find_by_arn, arn)
    if found is not None and found.status in {"InProgress", "Stopping"}:
        return Move("InProgress", after_s=POLL_S)
    [profile] = job["ValidationSpecification"]["ValidationProfiles"]
    if found is not None and found.status == "Completed":
        return Move("Completed", details(profile["ProfileName"], "Completed"))
    why = (
        "was deleted"
        if found is None
        else f"{found.status}: {found.document.get('FailureReason', 'stopped')}"
    )
    return Move("Failed", details(profile["ProfileName"], "Failed", f"Transform job {arn} {why}"[:1024]))


def details(profile: str, status: str, why: str = "") -> dict[str, Any]:
    """Return the members that show how a validation stands."""
    item = {"Name": profile, "Status": status} | ({"FailureReason": why} if why else {})
    return {"ModelPackageStatusDetails": {"ValidationStatuses": [item], "ImageScanStatuses": []}}


def validation(call: Call, package: Mapping[str, Any]) -> Prepared | None:
    """Return the transform job that validates a package; None where nothing is to be run.

    Raises
    ------
    ValidationException
        There is nothing to validate, or the job could not be created.
    """
    given = package.get("ValidationSpecification")
    if given is None or not given["ValidationProfiles"]:
        return None
    if "InferenceSpecification" not in package:
        raise ValidationException("ValidationSpecification: there is no InferenceSpecification to validate.")
    check_role(call, given["ValidationRole"])
    [profile] = given["ValidationProfiles"]
    containers = [
        {key: each[key] for key in (*BROUGHT, "Environment") if key in each}
        for each in package["InferenceSpecification"]["Containers"]
    ]
    model = {"Containers": containers, "ExecutionRoleArn": given["ValidationRole"]}
    digest = hashlib.sha256(f"{call.request_id}:{package['ModelPackageName']}".encode()).hexdigest()[:8]
    name = (
        f"{package['ModelPackageName'][:30].rstrip('-')}-{profile['ProfileName'][:20].rstrip('-')}-{digest}"
    )
    request = {**profile["TransformJobDefinition"], "TransformJobName": name, "ModelName": name}
    kind = replace(TRANSFORM_JOB, admit=partial(admitted, model=model))
    try:
        return prepared(kind, call, request)
    except ValidationException as error:
        raise ValidationException(
            f"ValidationSpecification, profile '{profile['ProfileName']}': {error.message}"
        ) from None
