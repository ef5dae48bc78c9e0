"""One notebook instance: how it stands, why it failed, its log; open, start, stop, change and delete it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from clary.console import logs
from clary.console.pages.notebooks.page import IDLE, TYPES, VOLUME, idle_tags
from clary.console.visit import Answer, Context, Leave, Missing, Page, Redirect, Visit
from clary.kernel.errors import AwsError

PAGE = Page(path=r"/notebooks/([^/]+)(/open)?", title="Notebook")
LOG_GROUP = "/aws/sagemaker/NotebookInstances"
DONE = {
    "Start": "It is being started.",
    "Stop": "It is being stopped; what is below SageMaker/ stays.",
    "Update": "It is being changed; what is new holds from its next start on.",
    "Delete": "It is being deleted.",
}


def view(visit: Visit) -> Answer:
    """Describe one instance, or open it."""
    name = visit.arguments[0]
    notebook = _described(visit, name)
    if visit.arguments[1]:
        return _opened(visit, name)
    return _context(visit, name, notebook)


def _context(visit: Visit, name: str, notebook: Mapping[str, Any]) -> Context:
    lines, after = logs.follow(visit.api, LOG_GROUP, f"{name}/", "")
    price = visit.costs.prices().get(notebook["InstanceType"])
    config = notebook.get("NotebookInstanceLifecycleConfigName")
    repositories = [notebook.get("DefaultCodeRepository"), *notebook.get("AdditionalCodeRepositories", ())]
    return {
        "notebook": notebook,
        "name": name,
        "title": name,
        "here": "/notebooks",
        "status": notebook["NotebookInstanceStatus"],
        "price": f"${price:.3f} while it is in service" if price is not None else "",
        "config": config or "",
        "idle": _idle(visit, notebook),
        "types": sorted({*TYPES, notebook["InstanceType"]}),
        "repositories": ", ".join(filter(None, repositories)),
        "lines": lines,
        "after": after,
        "boto3": _boto3(name, notebook),
    }


def follow(visit: Visit, position: str) -> tuple[list[str], str]:
    """Return the lines that came since."""
    return logs.follow(visit.api, LOG_GROUP, f"{visit.arguments[0]}/", position)


def act(visit: Visit) -> Answer:
    """Start, stop, change or delete the instance."""
    name, verb = visit.arguments[0], visit.form.get("do", "")
    if verb not in {*DONE, "idle"}:
        raise Missing("There is no such action.")
    try:
        if verb == "idle":
            return _kept_awake(visit, name)
        visit.api.call(f"{verb}NotebookInstance", NotebookInstanceName=name, **_asked(visit, verb))
    except AwsError as error:
        return Redirect(f"/notebooks/{name}", error.message)
    except ValueError:
        return Redirect(f"/notebooks/{name}", VOLUME)
    return Redirect("/notebooks" if verb == "Delete" else f"/notebooks/{name}", DONE[verb])


def _idle(visit: Visit, notebook: Mapping[str, Any]) -> str:
    """Return after how many idle minutes it stops by a tag of its own; empty where it has none."""
    found = visit.api.seek("ListTags", ResourceArn=notebook["NotebookInstanceArn"]) or {}
    return next((each["Value"] for each in found.get("Tags", ()) if each["Key"] == IDLE), "")


def _kept_awake(visit: Visit, name: str) -> Answer:
    """Change after how many idle minutes it stops."""
    arn = _described(visit, name)["NotebookInstanceArn"]
    if tags := idle_tags(visit.form.get("idle", "")):
        visit.api.call("AddTags", ResourceArn=arn, Tags=tags)
        return Redirect(f"/notebooks/{name}", f"It stops after {tags[0]['Value']} idle minutes; 0 is never.")
    visit.api.call("DeleteTags", ResourceArn=arn, TagKeys=[IDLE])
    return Redirect(f"/notebooks/{name}", "It stops when this Clary stops idle instances.")


def _asked(visit: Visit, verb: str) -> dict[str, Any]:
    """Return what an action says beside the name."""
    if verb != "Update":
        return {}
    return {"InstanceType": visit.form.get("type"), "VolumeSizeInGB": int(visit.form.get("volume", ""))}


def _opened(visit: Visit, name: str) -> Answer:
    """Lead to the instance, by the port at which the browser sees this Clary."""
    try:
        answer = visit.api.call("CreatePresignedNotebookInstanceUrl", NotebookInstanceName=name)
    except AwsError as error:
        return Redirect(f"/notebooks/{name}", error.message)
    url, seen = urlsplit(answer["AuthorizedUrl"]), urlsplit(visit.address)
    port = f":{seen.port}" if seen.port else ""
    return Leave(url._replace(scheme=seen.scheme, netloc=f"{url.hostname}{port}").geturl())


def _described(visit: Visit, name: str) -> Mapping[str, Any]:
    try:
        return visit.api.call("DescribeNotebookInstance", NotebookInstanceName=name)
    except AwsError as error:
        raise Missing(f"Notebook instance {name}: {error.message}") from None


def _boto3(name: str, notebook: Mapping[str, Any]) -> str:
    return (
        "import boto3\n\n"
        'client = boto3.client("sagemaker")\n'
        "client.create_notebook_instance(\n"
        f"    NotebookInstanceName={name!r},\n"
        f"    InstanceType={notebook['InstanceType']!r},\n"
        f"    RoleArn={notebook['RoleArn']!r},\n"
        ")\n"
    )
