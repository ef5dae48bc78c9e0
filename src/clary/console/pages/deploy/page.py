"""Deploy: put a trained model behind an endpoint, a new one or one that is there."""

from collections.abc import Mapping

from clary.console import servable
from clary.console.servable import Servable
from clary.console.visit import Answer, Context, Page, Redirect, Visit
from clary.kernel import ids
from clary.kernel.errors import AwsError

PAGE = Page(path=rf"/deploy/({servable.KINDS})/([^/]+)", title="Deploy", live_s=3600.0)
TYPES = ("ml.t2.medium", "ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge", "ml.c5.xlarge", "ml.c5.2xlarge")


def view(visit: Visit) -> Context:
    """Show the form."""
    found = Servable.find(visit, *visit.arguments)
    return _form(visit, found, {"name": found.name[:63], "type": TYPES[0], "count": "1"})


def act(visit: Visit) -> Answer:
    """Create the model, if need be, a configuration, and the endpoint; or update the one of that name."""
    form, undo = visit.form, list[tuple[str, str]]()
    name, found = form.get("name", "").strip(), Servable.find(visit, *visit.arguments)
    try:
        model = found.model(visit, name, undo)
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
        servable.take_back(visit, undo)
        told = error.message if isinstance(error, AwsError) else "Instances are a whole number, from 1 on."
        return _form(visit, found, form, told)
    return Redirect(
        f"/endpoints/{name}",
        "The endpoint is being updated." if is_there else "The endpoint is being created.",
    )


def _form(visit: Visit, found: Servable, asked: Mapping[str, str], error: str = "") -> Context:
    endpoints = (visit.api.seek("ListEndpoints", MaxResults=100) or {}).get("Endpoints", ())
    return {
        "found": found,
        "title": f"Deploy {found.name}",
        "here": "/models" if found.kind == "model" else "/endpoints",
        "endpoints": [each["EndpointName"] for each in endpoints],
        "types": TYPES,
        "asked": asked,
        "error": error,
    }
