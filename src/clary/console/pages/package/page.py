"""One model of the registry: what it is, what it is worth, whether it is approved; decide, and deploy it."""

from collections.abc import Mapping
from typing import Any

from clary.console import packages, snippets
from clary.console.pages.group.page import STATUSES
from clary.console.visit import Answer, Context, Missing, Page, Redirect, Visit
from clary.kernel.errors import AwsError

PAGE = Page(path=r"/packages/([^/]+)", title="Registered model", live_s=3.0)
DECIDED = {
    "Approved": "Approved: it can be deployed.",
    "Rejected": "Rejected: nothing can be made of it.",
    "PendingManualApproval": "It waits for a decision again.",
}


def view(visit: Visit) -> Context:
    """Describe one."""
    package = packages.described(visit, visit.arguments[0])
    group = package.get("ModelPackageGroupName", "")
    title = f"{group} {package['ModelPackageVersion']}" if group else package["ModelPackageName"]
    specification = package.get("InferenceSpecification", {})
    numbers = packages.figures(visit, package)
    properties = package.get("CustomerMetadataProperties", {})
    return {
        "package": package,
        "slug": visit.arguments[0],
        "group": group,
        "title": title,
        "here": "/registry",
        "approval": package.get("ModelApprovalStatus", ""),
        "statuses": STATUSES,
        "figures": numbers,
        "properties": {name: value for name, value in properties.items() if name not in numbers},
        "files": [
            (f"{part}, {member}", source["S3Uri"])
            for part, members in package.get("ModelMetrics", {}).items()
            for member, source in members.items()
        ],
        "containers": specification.get("Containers", ()),
        "specification": specification,
        "by": packages.who(package.get("CreatedBy")),
        "decided_by": packages.who(package.get("LastModifiedBy")),
        "problems": package.get("ModelPackageStatusDetails", {}).get("ValidationStatuses", ()),
        "boto3": _boto3(package),
        "sdk": _sdk(package, visit.role),
    }


def act(visit: Visit) -> Answer:
    """Decide on it, or delete it."""
    package = packages.described(visit, visit.arguments[0])
    form, group = visit.form, package.get("ModelPackageGroupName", "")
    try:
        match form.get("do"):
            case "decide":
                decision = form.get("status", "")
                visit.api.call(
                    "UpdateModelPackage",
                    ModelPackageArn=package["ModelPackageArn"],
                    ModelApprovalStatus=decision,
                    ApprovalDescription=form.get("why", "").strip(),
                )
                return Redirect(visit.path, DECIDED[decision])
            case "delete":
                visit.api.call("DeleteModelPackage", ModelPackageName=package["ModelPackageArn"])
                return Redirect(f"/registry/{group}" if group else "/registry", "It was deleted.")
    except AwsError as error:
        return Redirect(visit.path, error.message)
    raise Missing("There is no such action.")


def _boto3(package: Mapping[str, Any]) -> str:
    arn, name = package["ModelPackageArn"], "my-model"
    approve = (
        f"sagemaker.update_model_package(\n    ModelPackageArn={arn!r},\n"
        '    ModelApprovalStatus="Approved",\n    ApprovalDescription="why",\n)\n'
    )
    request = {
        "ModelName": name,
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/MyRole",
        "PrimaryContainer": {"ModelPackageName": arn},
    }
    model = snippets.boto3("Model", request)
    head, blank, call = model.partition("\n\n")
    is_versioned = "ModelPackageVersion" in package
    first, _, rest = call.partition("\n")
    return f"{head}{blank}{first}\n{approve if is_versioned else ''}{rest}"


def _sdk(package: Mapping[str, Any], role: str) -> str:
    return (
        "from sagemaker import ModelPackage\n\n"
        f"model = ModelPackage(role={role!r}, model_package_arn={package['ModelPackageArn']!r})\n"
        'model.deploy(initial_instance_count=1, instance_type="ml.m5.large", endpoint_name="my-endpoint")\n'
    )
