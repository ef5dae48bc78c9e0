"""Deploy: put a trained model behind an endpoint, a new one or one that is there."""

import json
from collections.abc import Mapping
from typing import Any

from clary.console.visit import Answer, Context, Missing, Page, Redirect, Visit
from clary.kernel import ids
from clary.kernel.errors import AwsError

PAGE = Page(path=r"/deploy/(job|model)/([^/]+)", title="Deploy", live_s=3600.0)
TYPES = ("ml.t2.medium", "ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge", "ml.c5.xlarge", "ml.c5.2xlarge")
SCRIPT = {
    "sagemaker_program": "SAGEMAKER_PROGRAM",
    "sagemaker_submit_directory": "SAGEMAKER_SUBMIT_DIRECTORY",
}
"""Hyperparameters of a script that its model's container wants as variables. Source: SDK, FrameworkModel."""


def view(visit: Visit) -> Context:
    """Show the form."""
    name = visit.arguments[1]
    return _form(visit, {"name": name[:63], "type": TYPES[0], "count": "1"})


def act(visit: Visit) -> Answer:
    """Create the model, if need be, a configuration, and the endpoint; or update the one of that name."""
    form, undo = visit.form, list[tuple[str, str]]()
    name = form.get("name", "").strip()
    try:
        model = _model(visit, name, undo)
        config = f"{name[:56].rstrip('-')}-{ids.short(6)}"
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": model,
            "InstanceType": form.get("type", TYPES[0]),
            "InitialInstanceCount": int(form.get("count") or 1),
        }
        visit.api.call("CreateEndpointConfig", EndpointConfigName=config, ProductionVariants=[variant])
        undo.append(("EndpointConfig", config))
        is_there = visit.api.seek("DescribeEndpoint", EndpointName=name) is not None
        verb = "Update" if is_there else "Create"
        visit.api.call(f"{verb}Endpoint", EndpointName=name, EndpointConfigName=config)
    except (AwsError, ValueError) as error:
        for noun, made in reversed(undo):
            visit.api.seek(f"Delete{noun}", **{f"{noun}Name": made})
        told = error.message if isinstance(error, AwsError) else "Instances are a whole number, from 1 on."
        return _form(visit, form, told)
    return Redirect(
        f"/endpoints/{name}",
        "The endpoint is being updated." if is_there else "The endpoint is being created.",
    )


def _model(visit: Visit, name: str, undo: list[tuple[str, str]]) -> str:
    """Return the model's name; a job's is created, and noted among what a failure takes back."""
    kind, of = visit.arguments
    if kind == "model":
        return of
    model = f"{name[:56].rstrip('-')}-{ids.short(6)}"
    visit.api.call(
        "CreateModel",
        ModelName=model,
        ExecutionRoleArn=visit.role,
        PrimaryContainer=_container(_source(visit)),
    )
    undo.append(("Model", model))
    return model


def _container(job: Mapping[str, Any]) -> dict[str, Any]:
    given = job.get("HyperParameters", {})
    variables = {variable: _plain(given[name]) for name, variable in SCRIPT.items() if name in given}
    return {
        "Image": job["AlgorithmSpecification"]["TrainingImage"],
        "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"],
        **({"Environment": variables} if variables else {}),
    }


def _plain(value: str) -> str:
    """Return a hyperparameter without the quotes that the SDK puts around it."""
    try:
        return str(json.loads(value))
    except ValueError:
        return value


def _source(visit: Visit) -> Mapping[str, Any]:
    """Return the job or the model that is deployed."""
    kind, name = visit.arguments
    noun, operation = ("TrainingJob", "DescribeTrainingJob") if kind == "job" else ("Model", "DescribeModel")
    try:
        found = visit.api.call(operation, **{f"{noun}Name": name})
    except AwsError as error:
        raise Missing(error.message) from None
    if kind == "job" and found["TrainingJobStatus"] not in {"Completed", "Stopped"}:
        raise Missing(f"{name} has left no model: it is {found['TrainingJobStatus']}.")
    return found


def _form(visit: Visit, asked: Mapping[str, str], error: str = "") -> Context:
    kind, name = visit.arguments
    source = _source(visit)
    first = source.get("PrimaryContainer") or (source.get("Containers") or [{}])[0]
    endpoints = (visit.api.seek("ListEndpoints", MaxResults=100) or {}).get("Endpoints", ())
    return {
        "kind": kind,
        "name": name,
        "title": f"Deploy {name}",
        "here": "/endpoints" if kind == "job" else "/models",
        "artifact": source["ModelArtifacts"]["S3ModelArtifacts"]
        if kind == "job"
        else first.get("ModelDataUrl"),
        "endpoints": [each["EndpointName"] for each in endpoints],
        "types": TYPES,
        "asked": asked,
        "error": error,
    }
