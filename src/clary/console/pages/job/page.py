"""One job: how far it is, its log as it is written, its metrics as they grow, what it read and made."""

from collections.abc import Mapping
from typing import Any

from clary.console import catalog, curves, logs, snippets
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
CREATE: Mapping[str, frozenset[str]] = {
    "TrainingJob": frozenset(
        {
            "TrainingJobName",
            "HyperParameters",
            "AlgorithmSpecification",
            "RoleArn",
            "InputDataConfig",
            "OutputDataConfig",
            "ResourceConfig",
            "StoppingCondition",
            "EnableNetworkIsolation",
            "EnableManagedSpotTraining",
            "CheckpointConfig",
            "Environment",
            "ExperimentConfig",
            "RetryStrategy",
        }
    ),
    "ProcessingJob": frozenset(
        {
            "ProcessingJobName",
            "ProcessingInputs",
            "ProcessingOutputConfig",
            "ProcessingResources",
            "StoppingCondition",
            "AppSpecification",
            "Environment",
            "NetworkConfig",
            "RoleArn",
            "ExperimentConfig",
        }
    ),
    "TransformJob": frozenset(
        {
            "TransformJobName",
            "ModelName",
            "MaxConcurrentTransforms",
            "ModelClientConfig",
            "MaxPayloadInMB",
            "BatchStrategy",
            "Environment",
            "TransformInput",
            "TransformOutput",
            "DataCaptureConfig",
            "TransformResources",
            "DataProcessing",
            "ExperimentConfig",
        }
    ),
}
"""Members of each Create's input that Describe repeats. Source: the service model."""


def view(visit: Visit) -> Context:
    """Describe one job."""
    kind, name = _kind(visit), visit.arguments[1]
    job = _job(visit, kind, name)
    lines, after = logs.follow(visit.api, kind.log_group, f"{name}/", "") if kind.log_group else ([], "")
    request = snippets.request_of(job, CREATE.get(kind.noun, frozenset()))
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
        "request": snippets.boto3(f"create_{_snake(kind.noun)}", request) if request else "",
        "can_repeat": kind.noun in CREATE,
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
            case "again" if kind.noun in CREATE:
                request = snippets.request_of(_job(visit, kind, name), CREATE[kind.noun])
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


def _job(visit: Visit, kind: Kind, name: str) -> Mapping[str, Any]:
    try:
        return visit.api.call(f"Describe{kind.noun}", **{kind.name: name})
    except AwsError as error:
        raise Missing(f"{kind.title} {name}: {error.message}") from None


def _snake(noun: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in noun).lstrip("_")
