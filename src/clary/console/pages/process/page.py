"""Process: run a script, judge predictions or run a notebook on data from S3, and keep what it writes."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clary.console import catalog
from clary.console.snippets import request_of
from clary.console.visit import Answer, Context, Missing, Page, Redirect, Visit
from clary.kernel import ids
from clary.kernel.errors import AwsError

PAGE = Page(path=r"/process(?:/(script|evaluate|notebook))?", title="Process", live_s=3600.0)
ROOT = "/opt/ml/processing"
CODE = f"{ROOT}/input/code"
"""Where a script lies, in an input of its own. Source: SDK, ScriptProcessor."""
ROWS = 4
"""Inputs and outputs that a form has room for."""
MINUTES, VOLUME_GB = 60, 10
EXECUTION = "<aws.scheduler.execution-id>"
"""What EventBridge Scheduler puts the id of a start for."""
SCRIPT = """import glob

import pandas as pd

rows = pd.concat(pd.read_csv(path) for path in glob.glob("/opt/ml/processing/input/data/*"))
print(rows.describe())
rows.to_csv("/opt/ml/processing/output/rows.csv", index=False)
"""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One thing that a processing job does here."""

    title: str
    about: str
    image: str
    """After the registry."""
    input: str
    output: str
    arguments: str = ""
    hint: str = ""


KINDS: Mapping[str, Kind] = {
    "script": Kind(
        title="Run a script",
        about="Python with pandas, NumPy and scikit-learn, on files from S3; what it writes goes back there.",
        image="sagemaker-scikit-learn:1.2-1-cpu-py3",
        input=f"{ROOT}/input/data",
        output=f"{ROOT}/output",
        hint="What the script finds in sys.argv.",
    ),
    "evaluate": Kind(
        title="Judge predictions",
        about="Figures with intervals, the cheapest threshold and a report, from labels and scores.",
        image="clary-evaluate:1",
        input=f"{ROOT}/input/predictions",
        output=f"{ROOT}/evaluation",
        arguments="""--label label --score score --costs '{"missed": 100, "alarm": 1}'""",
        hint="Names of the columns, and what errors cost.",
    ),
    "notebook": Kind(
        title="Run a notebook",
        about="From top to bottom, with parameters; the notebook with its outputs, and HTML, are kept.",
        image="clary-notebook:1",
        input=f"{ROOT}/input/notebook",
        output=f"{ROOT}/output/notebook",
        hint="--parameter name=value, once for each; they go behind the cell tagged parameters.",
    ),
}


def view(visit: Visit) -> Context:
    """Show what can be run, or the form of one."""
    if not visit.arguments[0] and not visit.query.get("like"):
        return {"kinds": KINDS, "here": "/jobs/processing", "data": visit.query.get("data", "")}
    kind, job = _chosen(visit)
    return _form(visit, kind, _asked(visit, kind) if kind else _like(job))


def act(visit: Visit) -> Answer:
    """Start the job; what is wrong is said above the form, which keeps what was typed."""
    kind, job = _chosen(visit)
    try:
        request = _request(visit, kind, job)
        if visit.form.get("schedule", "").strip():
            return _scheduled(visit, request)
        visit.api.call("CreateProcessingJob", **request)
    except AwsError as error:
        return _form(visit, kind, visit.form, error.message)
    except ValueError as error:
        return _form(visit, kind, visit.form, str(error))
    return Redirect(f"/jobs/processing/{request['ProcessingJobName']}", "The job was started.")


def _scheduled(visit: Visit, request: dict[str, Any]) -> Redirect:
    """Have the job begun at times: each with a name and folders of its own."""
    name = request["ProcessingJobName"]
    for each in request.get("ProcessingOutputConfig", {}).get("Outputs", ()):
        each["S3Output"]["S3Uri"] = f"{each['S3Output']['S3Uri'].rstrip('/')}/{EXECUTION}"
    visit.api.call(
        "CreateSchedule",
        "scheduler",
        Name=name,
        ScheduleExpression=visit.form["schedule"].strip(),
        ScheduleExpressionTimezone=visit.form.get("zone", "").strip(),
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:sagemaker:createProcessingJob",
            "RoleArn": visit.role,
            "Input": json.dumps(request | {"ProcessingJobName": f"{name[:40]}-{EXECUTION}"}),
        },
    )
    return Redirect("/schedules", f"{name} is scheduled.")


def _chosen(visit: Visit) -> tuple[Kind | None, Mapping[str, Any]]:
    """Return the kind of a new job, or the job that another is to be like."""
    if visit.arguments[0]:
        return KINDS[visit.arguments[0]], {}
    name = visit.query.get("like", "")
    try:
        return None, visit.api.call("DescribeProcessingJob", ProcessingJobName=name)
    except AwsError as error:
        raise Missing(f"Processing job {name}: {error.message}") from None


def _asked(visit: Visit, kind: Kind) -> dict[str, str]:
    name = f"{visit.arguments[0]}-{ids.short(6)}"
    return {
        "name": name,
        **({"script": SCRIPT} if kind is KINDS["script"] else {}),
        "arguments": kind.arguments,
        "in:1:uri": visit.query.get("data", ""),
        "in:1:path": kind.input,
        "out:1:path": kind.output,
        "out:1:uri": f"s3://{catalog.default_bucket(visit)}/processing/{name}/",
        "type": catalog.TYPES[0],
        "count": "1",
        "minutes": str(MINUTES),
    }


def _like(job: Mapping[str, Any]) -> dict[str, str]:
    cluster = job["ProcessingResources"]["ClusterConfig"]
    asked = {
        "name": f"{job['ProcessingJobName'][:50].rstrip('-')}-{ids.short(6)}",
        "arguments": shlex.join(job["AppSpecification"].get("ContainerArguments", ())),
        "type": cluster["InstanceType"],
        "count": str(cluster["InstanceCount"]),
        "minutes": str(max(1, job["StoppingCondition"]["MaxRuntimeInSeconds"] // 60)),
    }
    for n, each in enumerate(job.get("ProcessingInputs", ()), 1):
        asked[f"in:{n}:uri"], asked[f"in:{n}:path"] = (
            each["S3Input"]["S3Uri"],
            each["S3Input"].get("LocalPath", ""),
        )
    for n, each in enumerate(job.get("ProcessingOutputConfig", {}).get("Outputs", ()), 1):
        asked[f"out:{n}:uri"], asked[f"out:{n}:path"] = (
            each["S3Output"]["S3Uri"],
            each["S3Output"].get("LocalPath", ""),
        )
    return asked


def _form(visit: Visit, kind: Kind | None, asked: Mapping[str, str], error: str = "") -> Context:
    rows = max(ROWS, *(int(each.split(":")[1]) for each in asked if each.startswith(("in:", "out:"))), 0)
    return {
        "kind": kind,
        "title": kind.title if kind else f"Like {visit.query['like']}",
        "here": "/jobs/processing",
        "has_script": kind is KINDS["script"],
        "rows": range(1, rows + 1),
        "types": catalog.TYPES,
        "folders": catalog.folders(visit),
        "asked": asked,
        "error": error,
    }


def _request(visit: Visit, kind: Kind | None, job: Mapping[str, Any]) -> dict[str, Any]:
    form, name = visit.form, visit.form.get("name", "").strip()
    if not all((form.get(each) or "0").isdecimal() for each in ("count", "minutes")):
        raise ValueError("Instances and minutes are whole numbers, from 1 on.")
    base = request_of("ProcessingJob", job)
    image = f"{catalog.REGISTRY.format(region=visit.api.region)}/{kind.image}" if kind else ""
    application = {**base.get("AppSpecification", {}), **({"ImageUri": image} if kind else {})}
    application.pop("ContainerArguments", None)
    if arguments := shlex.split(form.get("arguments", "")):
        application["ContainerArguments"] = arguments
    inputs = _inputs(form, base.get("ProcessingInputs", ()))
    if kind is KINDS["script"]:
        code = _code(visit, name)
        application["ContainerEntrypoint"] = ["python3", f"{CODE}/{code.rpartition('/')[2]}"]
        inputs.append(_input({}, "code", code, CODE))
    resources = base.get("ProcessingResources", {}).get("ClusterConfig", {"VolumeSizeInGB": VOLUME_GB})
    outputs = _outputs(form, base.get("ProcessingOutputConfig", {}).get("Outputs", ()))
    for each in outputs:
        catalog.provide(visit, each["S3Output"]["S3Uri"])
    return {
        "RoleArn": visit.role,
        **base,
        "ProcessingJobName": name,
        "AppSpecification": application,
        "ProcessingInputs": inputs,
        **({"ProcessingOutputConfig": {"Outputs": outputs}} if outputs else {}),
        "ProcessingResources": {
            "ClusterConfig": {
                **resources,
                "InstanceType": form.get("type", catalog.TYPES[0]),
                "InstanceCount": int(form.get("count") or 1),
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60 * int(form.get("minutes") or MINUTES)},
    }


def _code(visit: Visit, name: str) -> str:
    """Return the address of the script: the one that was named, or what was typed, brought to S3."""
    form = visit.form
    if address := form.get("code", "").strip():
        return address
    if not form.get("script", "").strip():
        raise ValueError("Write a script, or name one in S3.")
    bucket = catalog.default_bucket(visit)
    catalog.provide(visit, f"s3://{bucket}/")
    key = f"processing/{name}/code/main.py"
    visit.public.put(bucket, key, form["script"].replace("\r\n", "\n").encode())
    return f"s3://{bucket}/{key}"


def _places(form: Mapping[str, str], side: str) -> list[tuple[int, str, str]]:
    """Return number, address and path of each row that was filled in."""
    numbers = sorted({int(each.split(":")[1]) for each in form if each.startswith(f"{side}:")})
    found = [
        (n, form.get(f"{side}:{n}:uri", "").strip(), form.get(f"{side}:{n}:path", "").strip())
        for n in numbers
    ]
    return [each for each in found if each[1]]


def _inputs(form: Mapping[str, str], base: Any) -> list[dict[str, Any]]:
    return [
        _input(base[n - 1] if n <= len(base) else {}, f"input-{n}", uri, path)
        for n, uri, path in _places(form, "in")
    ]


def _input(base: Mapping[str, Any], name: str, uri: str, path: str) -> dict[str, Any]:
    first = {"S3DataType": "S3Prefix", "S3InputMode": "File", "S3DataDistributionType": "FullyReplicated"}
    source = {**first, **base.get("S3Input", {}), "S3Uri": uri, "LocalPath": path}
    return {"InputName": name, **base, "S3Input": source}


def _outputs(form: Mapping[str, str], base: Any) -> list[dict[str, Any]]:
    found = []
    for n, uri, path in _places(form, "out"):
        was = base[n - 1] if n <= len(base) else {}
        made = {"S3UploadMode": "EndOfJob", **was.get("S3Output", {}), "S3Uri": uri, "LocalPath": path}
        found.append({"OutputName": f"output-{n}", **was, "S3Output": made})
    return found
