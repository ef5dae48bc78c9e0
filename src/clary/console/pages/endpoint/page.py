"""One endpoint: its traffic, its variants and their weights, and a form to ask it."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from clary.console import curves
from clary.console.visit import Answer, Context, Missing, Page, Redirect, Visit
from clary.kernel.errors import AwsError

PAGE = Page(
    path=r"/endpoints/([^/]+)",
    title="Endpoint",
    scripts=("vendor/uPlot.min.css", "vendor/uPlot.iife.min.js", "ask.js"),
)
NAMESPACE = "AWS/SageMaker"
CHARTS: Mapping[str, Sequence[str]] = {
    "Invocations": ("Sum",),
    "ModelLatency": ("p50", "p90", "p99"),
    "OverheadLatency": ("p50", "p90", "p99"),
    "Invocation4XXErrors": ("Sum",),
    "Invocation5XXErrors": ("Sum",),
}
"""Statistics of each metric; several are drawn in one picture."""
SHOWN = timedelta(hours=3)
CONTENT_TYPES = (
    "text/csv",
    "application/json",
    "application/jsonlines",
    "text/libsvm",
    "text/plain",
    "image/jpeg",
    "image/png",
    "application/x-recordio-protobuf",
)


def view(visit: Visit, answer: Mapping[str, Any] | None = None) -> Context:
    """Describe one endpoint."""
    name = visit.arguments[0]
    try:
        endpoint = visit.api.call("DescribeEndpoint", EndpointName=name)
    except AwsError as error:
        raise Missing(f"Endpoint {name}: {error.message}") from None
    config = visit.api.seek("DescribeEndpointConfig", EndpointConfigName=endpoint["EndpointConfigName"]) or {}
    types = {each["VariantName"]: each for each in config.get("ProductionVariants", ())}
    sample = answer or {}
    return {
        "endpoint": endpoint,
        "name": name,
        "title": name,
        "here": "/endpoints",
        "variants": endpoint.get("ProductionVariants", ()),
        "models": {
            each: _model(visit, config["ModelName"])
            for each, config in types.items()
            if "ModelName" in config
        },
        "components": list(
            visit.api.pages("ListInferenceComponents", "InferenceComponents", EndpointNameEquals=name)
        ),
        "capture": endpoint.get("DataCaptureConfig", {}),
        "asynchronous": config.get("AsyncInferenceConfig", {}),
        "types": types,
        "charts": _charts(visit, name, tuple(types)),
        "content_types": CONTENT_TYPES,
        "asked": {
            "body": visit.form.get("body", ""),
            "content_type": visit.form.get("content_type", CONTENT_TYPES[0]),
            "accept": visit.form.get("accept", ""),
        },
        "answer": sample,
        "curl": _curl(visit, name),
        "boto3": _boto3(name),
    }


def _model(visit: Visit, name: str) -> dict[str, Any]:
    """Return a variant's model as containers in a row, and whether it is many models behind one name."""
    described = visit.api.seek("DescribeModel", ModelName=name) or {}
    containers = described.get("Containers") or [described.get("PrimaryContainer") or {}]
    return {
        "name": name,
        "mode": described.get("InferenceExecutionConfig", {}).get("Mode", "Serial"),
        "is_many": any(each.get("Mode") == "MultiModel" for each in containers),
        "containers": [
            {
                "name": each.get("ContainerHostname", f"container {n}"),
                "image": each.get("Image", "").rpartition("/")[2],
                "data": each.get("ModelDataUrl", ""),
            }
            for n, each in enumerate(containers, 1)
        ],
    }


def act(visit: Visit) -> Answer:
    """Ask the endpoint, change weights, or delete it."""
    name = visit.arguments[0]
    try:
        match visit.form.get("do"):
            case "ask":
                return view(visit, _ask(visit, name))
            case "weights":
                desired = [
                    {"VariantName": field.removeprefix("weight:"), "DesiredWeight": float(value)}
                    for field, value in visit.form.items()
                    if field.startswith("weight:")
                ]
                visit.api.call(
                    "UpdateEndpointWeightsAndCapacities",
                    EndpointName=name,
                    DesiredWeightsAndCapacities=desired,
                )
                return Redirect(visit.path, "The weights are being changed.")
            case "delete":
                visit.api.call("DeleteEndpoint", EndpointName=name)
                return Redirect("/endpoints", f"{name} is being deleted.")
    except AwsError as error:
        return Redirect(visit.path, error.message)
    except ValueError:
        return Redirect(visit.path, "A weight is a number of 0 or more.")
    raise Missing("There is no such action.")


def _ask(visit: Visit, name: str) -> Mapping[str, Any]:
    form = visit.form
    body = form.get("body", "").replace("\r\n", "\n").encode()
    if form.get("file"):
        try:
            body = base64.b64decode(form["file"], validate=True)
        except binascii.Error:
            raise AwsError("The file did not arrive whole.", code="ValidationException") from None
    got = visit.public.invoke(
        name, body, content_type=form.get("content_type", ""), accept=form.get("accept", "")
    )
    return {
        "status": got.status,
        "content_type": got.headers.get("content-type", ""),
        "variant": got.headers.get("x-amzn-invoked-production-variant", ""),
        "took_s": got.took_s,
        "body": got.body.decode("utf-8", "replace"),
    }


def _charts(visit: Visit, name: str, variants: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for metric, statistics in CHARTS.items():
        for variant in variants:
            dimensions = [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": variant}]
            since, until = visit.now - SHOWN, visit.now
            lines = [
                (statistic, each)
                for statistic in statistics
                for each in curves.points(
                    visit.api,
                    NAMESPACE,
                    dimensions,
                    [metric],
                    statistic,
                    period_s=60,
                    since=since,
                    until=until,
                ).values()
            ]
            if lines:
                series = [{"label": text, "values": each["series"][0]["values"]} for text, each in lines]
                label = metric if len(variants) == 1 else f"{metric}, {variant}"
                found[f"{label} ({', '.join(statistics)}, a minute)"] = {
                    "x": lines[0][1]["x"],
                    "series": series,
                }
    return found


def _curl(visit: Visit, name: str) -> str:
    return (
        'eval "$(clary env)"\n'
        f'curl -X POST "{visit.address}/endpoints/{name}/invocations" \\\n'
        '  --aws-sigv4 "aws:amz:$AWS_REGION:sagemaker" \\\n'
        '  --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \\\n'
        "  -H 'Content-Type: text/csv' --data-binary '1,2,3'\n"
    )


def _boto3(name: str) -> str:
    return (
        "import boto3\n\n"
        'runtime = boto3.client("sagemaker-runtime")\n'
        f'answer = runtime.invoke_endpoint(EndpointName="{name}", ContentType="text/csv", Body=b"1,2,3")\n'
        'print(answer["Body"].read().decode())\n'
    )
