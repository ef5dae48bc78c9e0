"""TrialComponent: what one step of a trial did: its parameters, artefacts, metrics and status."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.kernel.errors import ResourceLimitExceeded, ValidationException
from clary.resource.call import Call
from clary.resource.declare import Resource
from clary.resource.families import document_of
from clary.resource.listing import page_of
from clary.resource.operation import operation
from clary.services.sagemaker import _components
from clary.services.sagemaker._experiments import CREATED, MISSING, TAKEN, change, held, made_by, remove
from clary.services.sagemaker.trial import TRIAL
from clary.store import records, trials
from clary.store.conditions import Condition
from clary.store.records import Record

LIMITS = {"Parameters": 300, "InputArtifacts": 60, "OutputArtifacts": 60}
"""Source: shapes `TrialComponentParameters` and `TrialComponentArtifacts`, `max`."""
_SOURCES = ("TrainingJob", "ProcessingJob", "TransformJob")


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fill in what Describe always shows."""
    maps = {name: dict(request.get(name, {})) for name in LIMITS}
    return {**made_by(call, request, request["TrialComponentName"]), **maps, "Metrics": [], "Parents": []}


def sources_of(call: Call, found: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the jobs that the components which Search found tell of."""
    arns = [(each.document.get("Source") or {}).get("SourceArn", "") for each in found]
    known: Mapping[str, Record] = call.read(records.find_by_arns, [arn for arn in arns if arn])
    answer: list[dict[str, Any]] = []
    for arn in arns:
        job = known.get(arn)
        if job is None or job.noun not in _SOURCES or job.noun not in call.resources:
            answer.append({})
            continue
        shown = document_of(call.resources[job.noun], call, job)
        answer.append({"SourceDetail": {"SourceArn": arn, job.noun: shown}})
    return answer


TRIAL_COMPONENT = Resource(
    noun="TrialComponent",
    arn="experiment-trial-component/{TrialComponentName}",
    missing_text=MISSING,
    taken="ValidationException",
    taken_text=TAKEN,
    admit=admit,
    filters=CREATED,
    view={"Metrics": _components.metrics_of},
    kept=frozenset({"Metrics"}),
    summary_view={"TrialComponentSource": lambda _call, record: record.document.get("Source")},
    joined=sources_of,
)


@operation("UpdateTrialComponent")
def update_trial_component(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change what is given; parameters and artefacts are added to those that are there."""

    def edit(document: dict[str, Any]) -> dict[str, Any]:
        for name in ("DisplayName", "Status", "StartTime", "EndTime"):
            if name in request:
                document[name] = request[name]
        for name, most in LIMITS.items():
            merged = {**document.get(name, {}), **request.get(name, {})}
            for gone in request.get(f"{name}ToRemove", ()):
                merged.pop(gone, None)
            if request.get(name) and len(merged) > most:
                raise ResourceLimitExceeded(
                    f"{name}: {len(merged)} in trial component '{request['TrialComponentName']}'; "
                    f"{most} are allowed."
                )
            document[name] = merged
        return document

    record = change(call, TRIAL_COMPONENT, request["TrialComponentName"], edit)
    return {"TrialComponentArn": record.arn}


@operation("DeleteTrialComponent")
def delete_trial_component(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Delete one that is in no trial, with its metrics."""

    def check(_conn: Connection, record: Record) -> None:
        parents = [each["TrialName"] for each in record.document.get("Parents", ())]
        if parents:
            raise ValidationException(
                f"TrialComponent '{record.key}' cannot be deleted: it must be disassociated from all trials "
                f"first (it is in '{parents[0]}')."
            )

    def also(conn: Connection, record: Record) -> None:
        trials.drop(conn, record.arn)

    arn = remove(call, TRIAL_COMPONENT, request["TrialComponentName"], check, also=also)
    return {"TrialComponentArn": arn}


@operation("AssociateTrialComponent")
def associate(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make a component a part of a trial; repeating it changes nothing."""

    def unit(conn: Connection) -> dict[str, str]:
        component, trial = _both(conn, call, request)
        joined = _components.with_parent(component, trial)
        if joined is not component:
            records.update(conn, replace(joined, modified=call.now))
        return {"TrialComponentArn": component.arn, "TrialArn": trial.arn}

    arns: dict[str, str] = call.write(unit)
    return arns


@operation("DisassociateTrialComponent")
def disassociate(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take a component out of a trial; other trials keep it."""

    def unit(conn: Connection) -> dict[str, str]:
        component, trial = _both(conn, call, request)
        parents = component.document.get("Parents", ())
        rest = [each for each in parents if each["TrialName"] != trial.key]
        if len(rest) == len(parents):
            raise ValidationException(f"TrialComponent '{component.key}' is not in trial '{trial.key}'.")
        document = {**component.document, "Parents": rest}
        records.update(conn, replace(component, document=document, modified=call.now))
        return {"TrialComponentArn": component.arn, "TrialArn": trial.arn}

    arns: dict[str, str] = call.write(unit)
    return arns


def _both(conn: Connection, call: Call, request: Mapping[str, Any]) -> tuple[Record, Record]:
    component = held(conn, call, TRIAL_COMPONENT, request["TrialComponentName"])
    return component, held(conn, call, TRIAL, request["TrialName"], is_shared=True)


@operation("ListTrialComponents")
def list_trial_components(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one page of the components, of a trial, an experiment or a job."""
    given = {name for name in ("ExperimentName", "TrialName", "SourceArn") if name in request}
    if "SourceArn" in given and len(given) > 1:
        raise ValidationException("SourceArn: give it without ExperimentName and TrialName.")
    rest = {name: value for name, value in request.items() if name not in given}
    page = page_of(call, TRIAL_COMPONENT, rest, *_asked(call, request))
    return {"TrialComponentSummaries": page.items} | (
        {"NextToken": page.next_token} if page.next_token else {}
    )


def _asked(call: Call, request: Mapping[str, Any]) -> Iterable[Condition]:
    if "SourceArn" in request:
        yield Condition("Source.SourceArn", "eq", request["SourceArn"])
    for noun in ("Experiment", "Trial"):
        if f"{noun}Name" in request:
            key = call.find(noun, request[f"{noun}Name"]).key
            yield Condition(f"Parents.{noun}Name", "eq", key)
