"""HyperParameterTuningJob: the noun, what is checked at Create, and its verbs.

States are in `_tuning_machine`, refusals in `_tuning_rules`, trials in `_tuning_trials`.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from clary.algorithms import base as algorithms
from clary.compute.base import Runtime
from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.resource.declare import Resource
from clary.resource.families import delete
from clary.resource.listing import page_of
from clary.resource.operation import operation
from clary.services.sagemaker import _intents, _tuning_autotune, _tuning_rules, training_job
from clary.services.sagemaker import _tuning_trials as trials
from clary.services.sagemaker._tuning_choice import training_request
from clary.services.sagemaker._tuning_machine import MACHINE
from clary.services.sagemaker._tuning_request import Definition, definitions, resources_of
from clary.store.listing import Condition
from clary.store.records import Record

ENDED = frozenset({"Completed", "Failed", "Stopped"})
OBJECTIVE = "_tuning_objective_metric"
"""Hyperparameter that names the objective. Source: `sagemaker_training`, params.py."""
OBJECTIVE_VALUE = "FinalHyperParameterTuningJobObjectiveMetric.Value"
INHERITED = ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining")


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateHyperParameterTuningJob beyond the model, and fill in what Describe always shows."""
    config = {"TrainingJobEarlyStoppingType": "Off", **request["HyperParameterTuningJobConfig"]}
    given = _given(request, config)
    is_auto = request.get("Autotune", {}).get("Mode") == "Enabled"
    if is_auto:
        config = _tuning_autotune.limits_of(config)
    _tuning_rules.check_strategy(config)
    completed = [_definition(call, each, config, is_auto=is_auto) for each in given]
    if request.get("TrainingJobDefinition") and config.get("ParameterRanges"):
        config = {**config, "ParameterRanges": completed[0].ranges}
    if len({each.objective["Type"] for each in completed}) > 1:
        raise ValidationException(
            "TrainingJobDefinitions: TuningObjective must be of one Type, for their results are compared."
        )
    most = _tuning_rules.n_trials(config, completed)
    if most is not None:
        limits = {**config["ResourceLimits"], "MaxNumberOfTrainingJobs": most}
        config = {**config, "ResourceLimits": limits}
    documents = [each.document for each in completed]
    shown: dict[str, Any] = (
        {"TrainingJobDefinition": documents[0]}
        if request.get("TrainingJobDefinition")
        else {"TrainingJobDefinitions": documents}
    )
    shown["HyperParameterTuningJobConfig"] = config
    if config["Strategy"] == "Hyperband":
        _check_hyperband(shown)
    _check_parents(call, request, completed)
    return {**shown, **trials.counters([]), "ConsumedResources": {"RuntimeInSeconds": 0}}


def _definition(
    call: Call, given: Mapping[str, Any], config: Mapping[str, Any], *, is_auto: bool
) -> Definition:
    """Complete a definition, and refuse it where its trials could not run."""
    runtime = _runtime(given)
    ranges = _ranges(given, config, runtime, is_auto=is_auto)
    objective = given.get("TuningObjective") or config["HyperParameterTuningJobObjective"]
    document = _completed(given, objective, runtime)
    if given.get("HyperParameterRanges"):
        document["HyperParameterRanges"] = ranges
    definition = Definition(document, objective, ranges)
    _tuning_rules.check_ranges(definition)
    _tuning_rules.check_algorithm(definition, runtime)
    _check_training(call, definition)
    return definition


def _given(request: Mapping[str, Any], config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the definitions; refuse a request that has both kinds, or that says things in two places."""
    one, several = request.get("TrainingJobDefinition"), request.get("TrainingJobDefinitions")
    if bool(one) == bool(several):
        raise ValidationException("Give either TrainingJobDefinition or TrainingJobDefinitions.")
    if one:
        if not (one.get("TuningObjective") or config.get("HyperParameterTuningJobObjective")):
            raise ValidationException(
                "A metric is required for this hyperparameter tuning job objective. Provide "
                "HyperParameterTuningJobConfig.HyperParameterTuningJobObjective."
            )
        return [one]
    for member in ("HyperParameterTuningJobObjective", "ParameterRanges"):
        if config.get(member):
            raise ValidationException(
                f"HyperParameterTuningJobConfig.{member} must not be given with TrainingJobDefinitions: "
                "each definition has its own."
            )
    names: set[str] = set()
    for each in several or ():
        for member in ("DefinitionName", "TuningObjective", "HyperParameterRanges"):
            if not each.get(member):
                raise ValidationException(f"TrainingJobDefinitions: {member} is required in each definition.")
        if each["DefinitionName"] in names:
            raise ValidationException(
                f"TrainingJobDefinitions: DefinitionName '{each['DefinitionName']}' is given twice."
            )
        names.add(each["DefinitionName"])
    return list(several or ())


def _ranges(
    each: Mapping[str, Any], config: Mapping[str, Any], runtime: Runtime, *, is_auto: bool
) -> Mapping[str, Any]:
    ranges: Mapping[str, Any] = each.get("HyperParameterRanges") or config.get("ParameterRanges") or {}
    if ranges.get("AutoParameters") and not is_auto:
        raise ValidationException("ParameterRanges.AutoParameters needs Autotune with Mode Enabled.")
    return _tuning_autotune.ranges_of(ranges, runtime) if is_auto else ranges


def _runtime(each: Mapping[str, Any]) -> Runtime:
    specification = each["AlgorithmSpecification"]
    if specification.get("AlgorithmName"):
        raise ValidationException(
            f"AlgorithmSpecification.AlgorithmName '{specification['AlgorithmName']}': algorithms are not "
            "served yet; give a TrainingImage."
        )
    if not specification.get("TrainingImage"):
        raise ValidationException("AlgorithmSpecification must have a TrainingImage or an AlgorithmName.")
    static = each.get("StaticHyperParameters") or {}
    members = {"AlgorithmSpecification": specification, "HyperParameters": static}
    return training_job.runtime_of({**members, "RoleArn": each.get("RoleArn", "")})


def _completed(each: Mapping[str, Any], objective: Mapping[str, str], runtime: Runtime) -> dict[str, Any]:
    """Return a definition as Describe shows it: with metrics, and the objective's name for the program."""
    specification = dict(each["AlgorithmSpecification"])
    declared = training_job.metric_definitions(runtime)
    if declared:
        specification["MetricDefinitions"] = declared
    static = dict(each.get("StaticHyperParameters") or {})
    static.pop(OBJECTIVE, None)
    reads_it = runtime.kind != "builtin" or any(
        known.name == OBJECTIVE for known in algorithms.find(runtime.name).hyperparameters
    )
    if reads_it:
        static[OBJECTIVE] = objective["MetricName"]
    resources = {} if each.get("ResourceConfig") else {"ResourceConfig": _resources(each)}
    return {
        **dict.fromkeys(INHERITED, False),
        **resources,
        **each,
        "AlgorithmSpecification": specification,
        "StaticHyperParameters": static,
    }


def _resources(each: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `ResourceConfig` of a `HyperParameterTuningResourceConfig`: SDKs read only the former."""
    flexible = each.get("HyperParameterTuningResourceConfig")
    if not flexible:
        raise ValidationException("ResourceConfig or HyperParameterTuningResourceConfig is required.")
    chosen = (flexible.get("InstanceConfigs") or [flexible])[0]  # those named first are preferred
    for member in ("InstanceType", "InstanceCount"):
        if member not in chosen:
            raise ValidationException(f"HyperParameterTuningResourceConfig: {member} is required.")
    return {
        "InstanceType": chosen["InstanceType"],
        "InstanceCount": chosen["InstanceCount"],
        "VolumeSizeInGB": chosen.get("VolumeSizeInGB", 30),
    }


def _check_training(call: Call, definition: Definition) -> None:
    """Admit one training job of a definition, so that a mistake shows before sixty of them fail."""
    space = definition.space
    tuned = space.values([0.0] * len(space.parameters))
    training_job.admit(call, training_request(definition, "trial", tuned))


def _check_hyperband(document: Mapping[str, Any]) -> None:
    try:
        least, longest = resources_of(document)
    except ValueError:
        raise ValidationException(
            "HyperbandStrategyConfig: MaxResource is required; it could not be inferred from "
            "StaticHyperParameters (epochs, numepochs, n-epochs, n_epochs, num_epochs)."
        ) from None
    _tuning_rules.check_resources(least, longest)


def _check_parents(call: Call, request: Mapping[str, Any], completed: list[Definition]) -> None:
    """Refuse parents that have not ended, or that looked for something else.

    Source
    ------
    Developer guide, "Warm Start Tuning Job Restrictions".
    """
    config = request.get("WarmStartConfig")
    if not config:
        return
    if request["HyperParameterTuningJobConfig"]["Strategy"] == "Grid":
        raise ValidationException("WarmStartConfig is not supported with Strategy Grid.")
    seen: set[str] = set()
    for each in config["ParentHyperParameterTuningJobs"]:
        name = each.get("HyperParameterTuningJobName", "")
        if name in seen:
            raise ValidationException(f"ParentHyperParameterTuningJobs: '{name}' is given twice.")
        seen.add(name)
        parent = call.find("HyperParameterTuningJob", name)
        if parent.status not in ENDED:
            raise ValidationException(
                f"The parent tuning job '{name}' is in status {parent.status}; it must be one of: "
                f"{', '.join(sorted(ENDED))}."
            )
        _check_parent(parent, completed, config["WarmStartType"])


def _check_parent(parent: Record, completed: list[Definition], kind: str) -> None:
    theirs = definitions(parent.document)
    named = {each.name: each for each in theirs}
    for mine in completed:
        other = named.get(mine.name) or (theirs[0] if len(theirs) == 1 else None)
        if other is None:
            continue
        if dict(mine.objective) != dict(other.objective):
            raise ValidationException(
                f"The objective metric {mine.objective['Type']} [{mine.objective['MetricName']}] must be the "
                f"same as that of the parent tuning job '{parent.key}': {other.objective['Type']} "
                f"[{other.objective['MetricName']}]."
            )
        numbers = [len(each.static) + len(each.space.parameters) for each in (mine, other)]
        if numbers[0] != numbers[1]:
            raise ValidationException(
                "The total number of static plus tunable hyperparameters must remain the same as it is in "
                f"all parent jobs: it is {numbers[0]}, and {numbers[1]} in '{parent.key}'."
            )
        image = "TrainingImage"
        if kind == "IdenticalDataAndAlgorithm" and (
            mine.document["AlgorithmSpecification"].get(image).rpartition(":")[0]
            != other.document["AlgorithmSpecification"].get(image).rpartition(":")[0]
        ):
            raise ValidationException(
                "WarmStartType IdenticalDataAndAlgorithm: the training image must be that of the parent "
                f"tuning job '{parent.key}'; use TransferLearning."
            )


def _consumed(call: Call, record: Record) -> dict[str, int]:
    """Return the seconds that the job has run, also while it runs."""
    if record.status in ENDED:
        return dict(record.document.get("ConsumedResources") or {"RuntimeInSeconds": 0})
    return {"RuntimeInSeconds": max(0, round((call.now - record.created).total_seconds()))}


def _strategy(_call: Call, record: Record) -> Any:
    return record.document["HyperParameterTuningJobConfig"]["Strategy"]


def _limits(_call: Call, record: Record) -> Any:
    return record.document["HyperParameterTuningJobConfig"]["ResourceLimits"]


HYPER_PARAMETER_TUNING_JOB = Resource(
    noun="HyperParameterTuningJob",
    arn="hyper-parameter-tuning-job/{HyperParameterTuningJobName}",
    status="HyperParameterTuningJobStatus",
    machine=MACHINE,
    id_case="hyperparameter tuning job",
    missing_text="Amazon SageMaker can't find a tuning job called {key}.",
    taken_text=(
        "Hyperparameter tuning job names must be unique within an AWS account and region, "
        "and a tuning job with this name already exists ({arn})"
    ),
    admit=admit,
    view={"ConsumedResources": _consumed},
    summary_view={"Strategy": _strategy, "ResourceLimits": _limits},
    filters={},
    descending=False,
    deletable=ENDED,
)


@operation("StopHyperParameterTuningJob")
def stop_hyper_parameter_tuning_job(call: Call, request: Mapping[str, Any]) -> None:
    """Stop a tuning job and all training jobs that it has launched; the best so far stays known."""
    record = call.find("HyperParameterTuningJob", request["HyperParameterTuningJobName"])
    _intents.ask(call, record, MACHINE, "stop", state="Stopping")


@operation("DeleteHyperParameterTuningJob")
def delete_hyper_parameter_tuning_job(call: Call, request: Mapping[str, Any]) -> None:
    """Delete an ended tuning job and what it knows of its trials; the training jobs stay."""
    record = call.find("HyperParameterTuningJob", request["HyperParameterTuningJobName"])
    delete(HYPER_PARAMETER_TUNING_JOB, call, request)

    def unit(conn: Connection) -> None:
        trials.drop(conn, record)

    call.write(unit)


@operation("ListTrainingJobsForHyperParameterTuningJob")
def list_training_jobs(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """List the training jobs that one tuning job launched."""
    tuning = call.find("HyperParameterTuningJob", request["HyperParameterTuningJobName"])
    asked = {name: value for name, value in request.items() if name != "HyperParameterTuningJobName"}
    fixed: list[Condition] = []
    asked.setdefault("SortBy", "Name")
    if asked["SortBy"] == "FinalObjectiveMetricValue":
        # Source: API reference: training jobs without an objective metric are not listed then
        asked["SortBy"] = OBJECTIVE_VALUE
        fixed.append(Condition(OBJECTIVE_VALUE, "exists"))
    page = page_of(call, trials.resource_of(tuning), asked, *fixed)
    answer: dict[str, Any] = {"TrainingJobSummaries": page.items}
    if page.next_token:
        answer["NextToken"] = page.next_token
    return answer
