"""Transform: send every row of a folder through a model, and keep the answers."""

from collections.abc import Mapping
from typing import Any

from clary.console import catalog, servable
from clary.console.servable import Servable
from clary.console.snippets import request_of
from clary.console.visit import Answer, Context, Page, Redirect, Visit
from clary.kernel import ids
from clary.kernel.errors import AwsError

PAGE = Page(path=rf"/transform/({servable.KINDS})/([^/]+)", title="Transform", live_s=3600.0)
TYPES = ("text/csv", "application/jsonlines", "application/json", "application/x-recordio-protobuf")
SPLITS = ("Line", "None", "RecordIO", "TFRecord")
STRATEGIES = ("MultiRecord", "SingleRecord")


def view(visit: Visit) -> Context:
    """Show the form, empty or with what another job of this model was made of."""
    found = Servable.find(visit, *visit.arguments)
    like = visit.query.get("like")
    job = visit.api.seek("DescribeTransformJob", TransformJobName=like) if like else None
    return _form(visit, found, _asked(visit, found) | (_like(job) if job else {}))


def act(visit: Visit) -> Answer:
    """Make the model, if need be, and start the job; what is wrong is said above the form."""
    form, undo = visit.form, list[tuple[str, str]]()
    name, found = form.get("name", "").strip(), Servable.find(visit, *visit.arguments)
    try:
        request = _request(visit, name)
        catalog.provide(visit, form.get("output", ""))
        visit.api.call("CreateTransformJob", **request, ModelName=found.model(visit, name, undo))
    except (AwsError, ValueError) as error:
        servable.take_back(visit, undo)
        told = (
            error.message if isinstance(error, AwsError) else "Instances and MB are whole numbers, from 1 on."
        )
        return _form(visit, found, form, told)
    return Redirect(f"/jobs/transform/{name}", "The job was started.")


def _asked(visit: Visit, found: Servable) -> dict[str, str]:
    name = f"{found.name[:50].rstrip('-')}-{ids.short(6)}"
    return {
        "name": name,
        "content": TYPES[0],
        "split": SPLITS[0],
        "assemble": "Line",
        "strategy": STRATEGIES[0],
        "output": f"s3://{catalog.default_bucket(visit)}/transform/{name}/",
        "type": catalog.TYPES[0],
        "count": "1",
        "payload": "6",
    }


def _like(job: Mapping[str, Any]) -> dict[str, str]:
    source, made, rows = job["TransformInput"], job["TransformOutput"], job.get("DataProcessing", {})
    found = {
        "data": source["DataSource"]["S3DataSource"]["S3Uri"],
        "content": source.get("ContentType", ""),
        "split": source.get("SplitType", "None"),
        "accept": made.get("Accept", ""),
        "assemble": made.get("AssembleWith", "None"),
        "output": made["S3OutputPath"],
        "strategy": job.get("BatchStrategy", ""),
        "payload": str(job.get("MaxPayloadInMB", "")),
        "shown": rows.get("InputFilter", ""),
        "join": "on" if rows.get("JoinSource") == "Input" else "",
        "kept": rows.get("OutputFilter", ""),
        "type": job["TransformResources"]["InstanceType"],
        "count": str(job["TransformResources"]["InstanceCount"]),
        "like": job["TransformJobName"],
    }
    return {name: value for name, value in found.items() if value}


def _request(visit: Visit, name: str) -> dict[str, Any]:
    """Return the form as a request; what it does not show comes from the job that it began with."""
    form = {field: value.strip() for field, value in visit.form.items() if value.strip()}
    like = form.get("like")
    job = visit.api.seek("DescribeTransformJob", TransformJobName=like) if like else None
    base = request_of("TransformJob", job) if job else {}
    source, made = base.get("TransformInput", {}), base.get("TransformOutput", {})
    kind = source.get("DataSource", {}).get("S3DataSource", {}).get("S3DataType", "S3Prefix")
    rows = {
        "InputFilter": form.get("shown"),
        "JoinSource": "Input" if form.get("join") else None,
        "OutputFilter": form.get("kept"),
    }
    base.pop("ModelName", None)
    return {
        **base,
        "TransformJobName": name,
        "BatchStrategy": form.get("strategy"),
        "MaxPayloadInMB": int(form["payload"]) if "payload" in form else None,
        "TransformInput": _said(
            source,
            DataSource={"S3DataSource": {"S3DataType": kind, "S3Uri": form.get("data", "")}},
            ContentType=form.get("content"),
            SplitType=form.get("split"),
        ),
        "TransformOutput": _said(
            made,
            S3OutputPath=form.get("output", ""),
            Accept=form.get("accept"),
            AssembleWith=form.get("assemble"),
        ),
        "TransformResources": {
            "InstanceType": form.get("type", catalog.TYPES[0]),
            "InstanceCount": int(form.get("count", "1")),
        },
        "DataProcessing": _said({}, **rows),
    }


def _said(base: Mapping[str, Any], **members: Any) -> dict[str, Any]:
    """Return a document with other members; those that are None are left out."""
    return {name: value for name, value in {**base, **members}.items() if value not in (None, "")}


def _form(visit: Visit, found: Servable, asked: Mapping[str, str], error: str = "") -> Context:
    return {
        "found": found,
        "title": f"Transform with {found.name}",
        "here": "/jobs/transform",
        "folders": catalog.folders(visit),
        "content_types": TYPES,
        "splits": SPLITS,
        "strategies": STRATEGIES,
        "types": catalog.TYPES,
        "asked": asked,
        "error": error,
    }
