"""What jobs, models and endpoints read and make: the one place from which all of it is recorded.

    job        a trial component from Create on; at its end what it read ──▶ component ──▶ what it made
    Model      image, model artefact ──▶ the model
    Endpoint   models ──▶ a deployment ──▶ the endpoint, each time that it comes into service

A noun says `note=_tracing.of_job` (`of_model`, `of_endpoint`) where it is declared, and has a row in `JOBS`.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from clary.resource.call import Call
from clary.services.sagemaker import _components as components
from clary.services.sagemaker import _lineage as lineage
from clary.services.sagemaker import _model_package_trace as packages
from clary.services.sagemaker._experiments import signed_by
from clary.services.sagemaker._lineage import Entity, Home
from clary.store import records, runs
from clary.store.records import Record

DATA, IMAGE, MODEL = "DataSet", "Image", "Model"
ENDED = frozenset({"Completed", "Failed", "Stopped"})


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that a job reads or makes."""

    name: str
    uri: str
    kind: str = DATA
    media_type: str = ""
    version: str = ""


@dataclass(frozen=True)
class Trace:
    """What a job is told and what goes through it."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    reads: tuple[Thing, ...] = ()
    makes: tuple[Thing, ...] = ()


@dataclass(frozen=True)
class JobKind:
    """How jobs of one noun are traced."""

    suffix: str
    """Of the trial component's name. Source: developer guide, "Create an Amazon SageMaker Experiment"."""
    source_type: str
    trace: Callable[[Mapping[str, Any]], Trace]
    times: tuple[str, str]
    """Members of the job's start and end."""


def of_training(document: Mapping[str, Any]) -> Trace:
    """Return what a training job is told, its channels and image, and its model."""
    resources = document.get("ResourceConfig") or {}
    made = (document.get("ModelArtifacts") or {}).get("S3ModelArtifacts", "")
    return Trace(
        {**document.get("HyperParameters", {}), **_machine(resources)},
        (
            *_image((document.get("AlgorithmSpecification") or {}).get("TrainingImage")),
            *(
                Thing(each["ChannelName"], _uri(each["DataSource"]), media_type=each.get("ContentType", ""))
                for each in document.get("InputDataConfig", ())
                if _uri(each["DataSource"])
            ),
        ),
        (Thing("SageMaker.ModelArtifact", made, MODEL),) if made else (),
    )


def of_processing(document: Mapping[str, Any]) -> Trace:
    """Return what a processing job is told, its inputs and image, and its outputs."""
    resources = (document.get("ProcessingResources") or {}).get("ClusterConfig") or {}
    outputs = (document.get("ProcessingOutputConfig") or {}).get("Outputs", ())
    return Trace(
        _machine(resources),
        (
            *_image((document.get("AppSpecification") or {}).get("ImageUri")),
            *(
                Thing(
                    each["InputName"],
                    each["S3Input"]["S3Uri"],
                    "Code" if each["InputName"] == "code" else DATA,
                )
                for each in document.get("ProcessingInputs", ())
                if "S3Input" in each
            ),
        ),
        tuple(Thing(each["OutputName"], each["S3Output"]["S3Uri"]) for each in outputs if "S3Output" in each),
    )


def of_transform(document: Mapping[str, Any]) -> Trace:
    """Return what a transform job is told, its input, and its output."""
    read = _uri((document.get("TransformInput") or {}).get("DataSource") or {})
    made = (document.get("TransformOutput") or {}).get("S3OutputPath", "")
    told = {
        "SageMaker.ModelName": document.get("ModelName", ""),
        **_machine(document.get("TransformResources", {})),
    }
    return Trace(
        told,
        (Thing("SageMaker.TransformInput", read),) if read else (),
        (Thing("SageMaker.TransformOutput", made),) if made else (),
    )


JOBS: Mapping[str, JobKind] = {
    "TrainingJob": JobKind(
        "aws-training-job", "SageMakerTrainingJob", of_training, ("TrainingStartTime", "TrainingEndTime")
    ),
    "ProcessingJob": JobKind(
        "aws-processing-job",
        "SageMakerProcessingJob",
        of_processing,
        ("ProcessingStartTime", "ProcessingEndTime"),
    ),
    "TransformJob": JobKind(
        "aws-transform-job", "SageMakerTransformJob", of_transform, ("TransformStartTime", "TransformEndTime")
    ),
}


def check(call: Call, request: Mapping[str, Any]) -> None:
    """Refuse a job whose `ExperimentConfig` names what does not exist.

    Raises
    ------
    ResourceNotFound
        There is no such experiment, trial or run.
    """
    config = request.get("ExperimentConfig", {})
    for member, noun in (
        ("ExperimentName", "Experiment"), ("TrialName", "Trial"), ("RunName", "TrialComponent"),
    ):  # fmt: skip
        if member in config:
            call.find(noun, config[member])


def component_name(noun: str, job_name: str) -> str:
    """Return the name of a job's trial component."""
    return f"{job_name}-{JOBS[noun].suffix}"


def of_job(conn: Connection, before: Record | None, after: Record) -> None:
    """Write a job's trial component as it begins; complete it, with the lineage, as it ends."""
    kind = JOBS[after.noun]
    if before is None:
        _begin(conn, kind, after)
    elif after.status in ENDED:
        _end(conn, kind, after)


def _begin(conn: Connection, kind: JobKind, job: Record) -> None:
    trace = kind.trace(job.document)
    config = job.document.get("ExperimentConfig") or {}
    home = Home(job.account, job.region, job.created)
    key = component_name(job.noun, job.key)
    source = {"SourceArn": job.arn, "SourceType": kind.source_type}
    document = {
        "TrialComponentName": key,
        "DisplayName": config.get("TrialComponentDisplayName", key),
        "Source": source,
        "Status": {"PrimaryStatus": "InProgress"},
        "StartTime": job.created,
        "Parameters": {name: _parameter(value) for name, value in trace.parameters.items()},
        "InputArtifacts": {each.name: _shown(each) for each in trace.reads},
        "OutputArtifacts": {},
        "Metrics": [],
        "Parents": [],
    }
    component = home.record("TrialComponent", key, home.arn(f"experiment-trial-component/{key}"), document)
    trial = _trial(conn, home, config, job.key)
    if trial is not None:
        component = components.with_parent(component, trial)
    if not lineage.write_new(conn, component):
        records.update(conn, component)  # of an earlier job of this name, which was deleted
    if config.get("RunName"):
        _tell_run(conn, home, config["RunName"], source)


def _trial(conn: Connection, home: Home, config: Mapping[str, Any], job_name: str) -> Record | None:
    """Return the trial of a job; a new one where it names an experiment alone."""
    if "TrialName" in config:
        return _kept(conn, home, "Trial", config["TrialName"])
    if "ExperimentName" not in config or _kept(conn, home, "Experiment", config["ExperimentName"]) is None:
        return None
    key = f"{job_name}-aws-trial"
    members = {"TrialName": key, "DisplayName": key, "ExperimentName": config["ExperimentName"]}
    trial = home.record("Trial", key, home.arn(f"experiment-trial/{key}"), members)
    lineage.write_new(conn, trial)
    return trial


def _kept(conn: Connection, home: Home, noun: str, key: str) -> Record | None:
    """Return what a job's component is put into; nobody deletes it before that is written."""
    return records.hold(conn, home.account, home.region, noun, key, is_shared=True)


def _tell_run(conn: Connection, home: Home, name: str, source: Mapping[str, Any]) -> None:
    run = records.find(conn, home.account, home.region, "TrialComponent", name)
    if run is not None:
        sources = [*run.document.get("Sources", ()), source]
        records.update(conn, replace(run, document={**run.document, "Sources": sources}, modified=home.now))


def _end(conn: Connection, kind: JobKind, job: Record) -> None:
    key = component_name(job.noun, job.key)
    component = records.find(conn, job.account, job.region, "TrialComponent", key)
    if component is None:
        return  # deleted by its owner, who wants no trace of it
    trace = kind.trace(job.document)
    home = Home(job.account, job.region, job.modified)
    made = trace.makes if job.status != "Failed" else ()
    begin, end = (job.document.get(member) for member in kind.times)
    status = {"PrimaryStatus": job.status}
    if job.document.get("FailureReason"):
        status["Message"] = job.document["FailureReason"][:1024]
    own = components.of_job(conn, job.account, job.region, job.arn)
    logged = [each for each in component.document.get("Metrics", ()) if each.get("SourceArn") != job.arn]
    document = {
        **component.document,
        "Status": status,
        "StartTime": begin or component.document["StartTime"],
        "EndTime": end or job.modified,
        "OutputArtifacts": {
            **component.document.get("OutputArtifacts", {}), **{each.name: _shown(each) for each in made}
        },
        "Metrics": [*logged, *own],
        "LastModifiedBy": signed_by(lineage.SERVICE),
    }  # fmt: skip
    records.update(conn, replace(component, document=document, modified=job.modified))
    middle = Entity(component.arn, kind.source_type, component.key)
    versions = _versions(conn, job)
    for each in trace.reads:
        read = lineage.artifact(conn, home, each.uri, each.kind, version=versions.get(each.name, ""))
        lineage.associate(conn, home, read, "ContributedTo", middle)
    for model in _model_of(conn, job):
        lineage.associate(conn, home, model, "ContributedTo", middle)
    for each in made:
        lineage.associate(conn, home, middle, "Produced", lineage.artifact(conn, home, each.uri, each.kind))


def _versions(conn: Connection, job: Record) -> dict[str, str]:
    """Return the versions of the data that the job's hosts saw, by channel."""
    found: dict[str, str] = {}
    for run in runs.of_arn(conn, job.arn):
        for host in runs.hosts(conn, run.run_id).values():
            inputs = (host.result or {}).get("inputs") or {}
            found |= {name: each["Digest"] for name, each in inputs.items()}
    return found


def _model_of(conn: Connection, job: Record) -> Iterator[Entity]:
    """Yield the model that a transform job uses, as artefacts."""
    if "ModelName" in job.document:
        model = records.find(conn, job.account, job.region, "Model", job.document["ModelName"])
        if model is not None:
            yield from _model_things(conn, Home(job.account, job.region, job.modified), model)


def of_model(conn: Connection, before: Record | None, after: Record) -> None:
    """Write what a new model consists of."""
    if before is None:
        home = Home(after.account, after.region, after.created)
        *parts, model = _model_things(conn, home, after)
        for part in parts:
            lineage.associate(conn, home, part, "ContributedTo", model)
        for container in _containers(after):
            for thing in _image(container.get("Image")):
                image = lineage.artifact(conn, home, thing.uri, thing.kind)
                lineage.associate(conn, home, image, "ContributedTo", model)
            for each in packages.of_model(conn, home, container.get("ModelPackageName", "")):
                lineage.associate(conn, home, each, "ContributedTo", model)


def of_endpoint(conn: Connection, before: Record | None, after: Record) -> None:
    """Write the deployment of the models of an endpoint that came into service."""
    if before is None or after.status != "InService":
        return
    name = after.document["EndpointConfigName"]
    config = records.find(conn, after.account, after.region, "EndpointConfig", name)
    if config is None:
        return
    home = Home(after.account, after.region, after.modified)
    digest = hashlib.sha256(f"{config.arn}\n{config.created.isoformat()}".encode()).hexdigest()[:10]
    source = {"SourceUri": after.arn, "SourceType": "ARN"}
    deployment = lineage.action(conn, home, f"{after.key}-{digest}", "ModelDeployment", source)
    endpoint = lineage.context(conn, home, after.key, "Endpoint", source)
    lineage.associate(conn, home, deployment, "AssociatedWith", endpoint)
    for variant in config.document.get("ProductionVariants", ()):
        model = records.find(conn, after.account, after.region, "Model", variant.get("ModelName", ""))
        if model is not None:
            for thing in _model_things(conn, home, model):
                lineage.associate(conn, home, thing, "ContributedTo", deployment)


def _model_things(conn: Connection, home: Home, model: Record) -> Iterator[Entity]:
    """Yield the artefacts that a model serves; the model itself last."""
    for container in _containers(model):
        source = container.get("ModelDataSource", {}).get("S3DataSource", {})
        uri = container.get("ModelDataUrl") or source.get("S3Uri")
        if uri:
            yield lineage.artifact(conn, home, uri, MODEL)
    yield lineage.artifact(conn, home, model.arn, "SageMakerModel", name=lineage.name_of(model.key))


def _containers(model: Record) -> list[Mapping[str, Any]]:
    document = model.document
    first = [document["PrimaryContainer"]] if "PrimaryContainer" in document else []
    return [*first, *document.get("Containers", ())]


def _machine(resources: Mapping[str, Any]) -> dict[str, Any]:
    members = ("InstanceType", "InstanceCount", "VolumeSizeInGB")
    return {f"SageMaker.{name}": resources[name] for name in members if resources.get(name) is not None}


def _image(uri: str | None) -> tuple[Thing, ...]:
    return (Thing("SageMaker.ImageUri", uri, IMAGE),) if uri else ()


def _uri(source: Mapping[str, Any]) -> str:
    return str((source.get("S3DataSource") or {}).get("S3Uri", ""))


def _shown(thing: Thing) -> dict[str, str]:
    return {"Value": thing.uri} | ({"MediaType": thing.media_type} if thing.media_type else {})


def _parameter(value: Any) -> dict[str, Any]:
    """Return a parameter as a number where it spells one."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return {"StringValue": str(value)[:2500]}
    return {"NumberValue": number} if math.isfinite(number) else {"StringValue": str(value)}
