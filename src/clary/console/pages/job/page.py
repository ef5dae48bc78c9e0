"""One job: how far it is, its log as it is written, its metrics as they grow, what it read and made."""

from collections.abc import Mapping
from typing import Any

from clary.console import catalog, curves, logs, sdk, snippets
from clary.console.kinds import KINDS, Kind
from clary.console.visit import Answer, Context, Download, Missing, Page, Redirect, Visit
from clary.kernel import ids
from clary.kernel.errors import AwsError

PAGE = Page(
    path=r"/jobs/(training|processing|transform)/([^/]+)",
    title="Job",
    scripts=("vendor/uPlot.min.css", "vendor/uPlot.iife.min.js"),
)
RUNNING = frozenset({"InProgress", "Stopping"})
KEPT = frozenset({"Completed", "Stopped"})
"""States in which a job's artefact is there; Describe names it in every one."""


def view(visit: Visit) -> Context:
    """Describe one job."""
    kind, name = _kind(visit), visit.arguments[1]
    job = _job(visit, kind, name)
    lines, after = logs.follow(visit.api, kind.log_group, f"{name}/", "") if kind.log_group else ([], "")
    request = snippets.request_of(kind.noun, job)
    application = job.get("AppSpecification", {})
    program = (*application.get("ContainerEntrypoint", ()), *application.get("ContainerArguments", ()))
    return {
        "kind": kind,
        "job": job,
        "name": name,
        "title": name,
        "here": f"/jobs/{kind.slug}",
        "status": job[kind.status],
        "is_running": job[kind.status] in RUNNING,
        "steps": job.get("SecondaryStatusTransitions", ()),
        "lines": lines,
        "after": after,
        "metrics": curves.of_job(visit.api, name) if kind.slug == "training" else {},
        "last": job.get("FinalMetricDataList", ()),
        "hyperparameters": job.get("HyperParameters", {}),
        "moved": _moved(job),
        "program": " ".join(program),
        "machines": job.get("ResourceConfig")
        or job.get("TransformResources")
        or job.get("ProcessingResources", {}).get("ClusterConfig", {}),
        "boto3": snippets.boto3(kind.noun, request),
        "sdk": sdk.program(kind.noun, request),
        "algorithm": _algorithm(kind, job),
        "artifact": job.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
        if job[kind.status] in KEPT
        else "",
    }


def follow(visit: Visit, position: str) -> tuple[list[str], str]:
    """Return the lines that came since."""
    kind = _kind(visit)
    if not kind.log_group:
        return [], ""
    return logs.follow(visit.api, kind.log_group, f"{visit.arguments[1]}/", position)


def act(visit: Visit) -> Answer:
    """Stop the job, run it again, or hand out its log."""
    kind, name = _kind(visit), visit.arguments[1]
    here = f"/jobs/{kind.slug}/{name}"
    try:
        match visit.form.get("do"):
            case "stop":
                visit.api.call(f"Stop{kind.noun}", **{kind.name: name})
                return Redirect(here, "The job was asked to stop.")
            case "again":
                request = snippets.request_of(kind.noun, _job(visit, kind, name))
                fresh = f"{name[:55].rstrip('-')}-{ids.short(6)}"
                visit.api.call(f"Create{kind.noun}", **{**request, kind.name: fresh})
                return Redirect(f"/jobs/{kind.slug}/{fresh}", f"Started: the same as {name}.")
            case "log":
                lines, _ = logs.follow(visit.api, kind.log_group, f"{name}/", "")
                return Download(f"{name}.log", logs.text(lines), "text/plain; charset=utf-8")
    except AwsError as error:
        return Redirect(here, error.message)
    raise Missing("There is no such action.")


def _kind(visit: Visit) -> Kind:
    kind = KINDS.get(visit.arguments[0])
    if kind is None:
        raise Missing(f"There is no kind of job named {visit.arguments[0]}.")
    return kind


def _algorithm(kind: Kind, job: Mapping[str, Any]) -> str:
    """Return the name of the built-in algorithm of a training job; empty for anything else."""
    found = catalog.algorithm_of(job) if kind.slug == "training" else None
    return found.name if found else ""


def _moved(job: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what a processing or a transform job reads and writes, and where its container has it."""
    found = [
        {
            "name": each[f"{side}Name"],
            "uri": each[f"S3{side}"]["S3Uri"],
            "path": each[f"S3{side}"].get("LocalPath", ""),
        }
        for side, entries in (
            ("Input", job.get("ProcessingInputs", ())),
            ("Output", job.get("ProcessingOutputConfig", {}).get("Outputs", ())),
        )
        for each in entries
        if f"S3{side}" in each
    ]
    if "TransformInput" in job:
        rows = job["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
        answers = job["TransformOutput"]["S3OutputPath"]
        found += [
            {"name": name, "uri": uri, "path": ""} for name, uri in (("rows", rows), ("answers", answers))
        ]
    return found


def _job(visit: Visit, kind: Kind, name: str) -> Mapping[str, Any]:
    try:
        return visit.api.call(f"Describe{kind.noun}", **{kind.name: name})
    except AwsError as error:
        raise Missing(f"{kind.title} {name}: {error.message}") from None
