"""Register: make a job's model, or a model, a version of a group of the registry."""

import re
from collections.abc import Mapping
from typing import Any

from clary.console import catalog, servable
from clary.console.pages.group.page import STATUSES
from clary.console.servable import Servable
from clary.console.visit import Answer, Context, Page, Redirect, Visit
from clary.kernel.errors import AwsError

PAGE = Page(path=r"/register/(job|model)/([^/]+)", title="Register", live_s=3600.0)
CSV = "text/csv"
CONTENT_TYPES = (CSV, "application/json", "application/jsonlines", "text/libsvm", "image/jpeg")
PACKED = ("ContainerHostname", "Environment", "Image", "ModelDataUrl", "ModelDataSource")
"""Members that a model's container and a package's share. Source: shape `ModelPackageContainerDefinition`."""
_PROPERTY = re.compile(r"[\w.:/=+\-@ ]{1,128}")
"""What is allowed as a name. Source: shape `CustomerMetadataKey`."""


def view(visit: Visit) -> Context:
    """Show the form."""
    found = Servable.find(visit, *visit.arguments)
    asked = {"takes": CSV, "answers": CSV, "status": STATUSES[0], "metrics": "on"}
    return _form(visit, found, asked)


def act(visit: Visit) -> Answer:
    """Create the group, where it is not there, and its next version."""
    form, found = visit.form, Servable.find(visit, *visit.arguments)
    group, undo = form.get("group", "").strip(), list[tuple[str, str]]()
    try:
        if visit.api.seek("DescribeModelPackageGroup", ModelPackageGroupName=group) is None:
            visit.api.call("CreateModelPackageGroup", ModelPackageGroupName=group)
            undo.append(("ModelPackageGroup", group))
        made = visit.api.call("CreateModelPackage", **_request(form, group, found))
    except AwsError as error:
        servable.take_back(visit, undo)
        return _form(visit, found, form, error.message)
    name = made["ModelPackageArn"].partition(":model-package/")[2].replace("/", ":")
    return Redirect(f"/packages/{name}", "The model was registered.")


def _request(form: Mapping[str, str], group: str, found: Servable) -> dict[str, Any]:
    document = found.document
    specification = {
        "Containers": [{name: each[name] for name in PACKED if each.get(name)} for each in found.containers],
        "SupportedContentTypes": _listed(form.get("takes", "")),
        "SupportedResponseMIMETypes": _listed(form.get("answers", "")),
    }
    statistics = form.get("figures", "").strip()
    metrics = {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": statistics}}}
    is_job = found.kind == "job"
    return {
        "ModelPackageGroupName": group,
        "ModelPackageDescription": form.get("about", "").strip(),
        "ModelApprovalStatus": form.get("status", STATUSES[0]),
        "InferenceSpecification": {name: value for name, value in specification.items() if value},
        "ModelMetrics": metrics if statistics else None,
        "CustomerMetadataProperties": (figures(document) or None) if form.get("metrics") else None,
        "MetadataProperties": {"GeneratedBy": document["TrainingJobArn"]} if is_job else None,
    }


def figures(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the last metrics of a training job, as a version keeps them."""
    return {
        each["MetricName"]: f"{each['Value']:.6g}"
        for each in document.get("FinalMetricDataList", ())
        if _PROPERTY.fullmatch(each["MetricName"])
    }


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _form(visit: Visit, found: Servable, asked: Mapping[str, str], error: str = "") -> Context:
    groups = visit.api.seek("ListModelPackageGroups", MaxResults=100) or {}
    names = [each["ModelPackageGroupName"] for each in groups.get("ModelPackageGroupSummaryList", ())]
    return {
        "found": found,
        "title": f"Register {found.name}",
        "here": "/registry",
        "groups": names,
        "figures": figures(found.document),
        "statuses": STATUSES,
        "content_types": CONTENT_TYPES,
        "folders": catalog.folders(visit),
        "asked": asked,
        "error": error,
    }
