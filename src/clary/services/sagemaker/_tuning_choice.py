"""The next trial of a tuning job: hyperparameters by its strategy, a training job by its definition."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.engine.world import World
from clary.resource.call import Call
from clary.resource.families import Prepared, prepared
from clary.services.sagemaker import _tuning_trials as trials
from clary.services.sagemaker._tuning_request import Definition, definitions
from clary.services.sagemaker._tuning_trials import Ledger
from clary.services.sagemaker.training_job import TRAINING_JOB
from clary.store import records
from clary.store.records import Record
from clary.tuning.strategies import base as strategies
from clary.tuning.study import Study, Trial

COPIED = (
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "VpcConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "CheckpointConfig",
    "RetryStrategy",
    "Environment",
)
"""Members that a training job has as its definition gives them."""
OBJECTIVE_METRIC = "ObjectiveMetric"
"""Name under which the service shows the objective among a trial's metrics once more."""


def caller(world: World, tuning: Record) -> Call:
    """Return the call in whose name a tuning job creates training jobs."""
    return Call(
        account=tuning.account,
        region=tuning.region,
        principal=tuning.arn,
        service="sagemaker",
        operation="CreateTrainingJob",
        request_id=tuning.key,
        now=world.clock(),
        world=world,
        resources={"TrainingJob": TRAINING_JOB},
    )


def training_request(definition: Definition, name: str, tuned: Mapping[str, str]) -> dict[str, Any]:
    """Return the CreateTrainingJob request of one trial, whose checkpoints have a place of their own."""
    document = definition.document
    request = {member: document[member] for member in COPIED if document.get(member) is not None}
    if "CheckpointConfig" in request:
        config = request["CheckpointConfig"]
        request["CheckpointConfig"] = {**config, "S3Uri": f"{config['S3Uri'].rstrip('/')}/{name}"}
    request["TrainingJobName"] = name
    request["HyperParameters"] = {**definition.static, **tuned}
    return request


def training_job(
    call: Call,
    tuning: Record,
    definition: Definition,
    index: int,
    tuned: Mapping[str, str],
    *,
    tags: Mapping[str, str],
    is_watched: bool,
) -> Prepared:
    """Return trial `index` as a training job that is not stored yet.

    Parameters
    ----------
    is_watched : bool
        Whether each of its metrics wakes the tuning job, which may end it early.
    """
    request = training_request(definition, trials.name_of(tuning, index), tuned)
    made = prepared(TRAINING_JOB, call, request)
    specification = dict(made.record.document["AlgorithmSpecification"])
    known = specification.get("MetricDefinitions") or []
    same = next((each for each in known if each["Name"] == definition.objective["MetricName"]), None)
    if same is not None:
        specification["MetricDefinitions"] = [*known, {"Name": OBJECTIVE_METRIC, "Regex": same["Regex"]}]
    document = {
        **made.record.document,
        "AlgorithmSpecification": specification,
        "TuningJobArn": tuning.arn,
    }
    private = {**made.record.private, **({"listener": tuning.arn} if is_watched else {})}
    return replace(made, record=replace(made.record, document=document, private=private), tags=tags)


class Chooser:
    """Chooses trials of one tuning job; what it chose ahead is kept in the ledger."""

    def __init__(self, world: World, tuning: Record, ledger: Ledger) -> None:
        self._world = world
        self._tuning = tuning
        config = tuning.document["HyperParameterTuningJobConfig"]
        self._strategy = strategies.find(config["Strategy"])
        self._definitions = definitions(tuning.document)
        self._given_seed = config.get("RandomSeed")
        self._lag = int(config["ResourceLimits"]["MaxParallelTrainingJobs"])
        self._ahead = ledger.ahead

    def next(self, rows: Sequence[Record]) -> tuple[Definition, dict[str, str]] | None:
        """Return definition and hyperparameters of the next trial; None when nothing is left to try.

        Several definitions take turns; one whose combinations have all been tried leaves its turns to the
        others.
        """
        n_definitions = len(self._definitions)
        for step in range(n_definitions):
            definition = self._definitions[(len(rows) + step) % n_definitions]
            own = [row for row in rows if row.private.get("definition", "") == definition.name]
            values = self._proposed(definition, self._study(definition, own), len(own) + 1)
            if values is not None:
                return definition, values
        return None

    def think_ahead(self, rows: Sequence[Record]) -> None:
        """Find the next trial while all slots are taken, where it will not depend on those that run."""
        if self._is_lagging:
            self.next(rows)

    def _proposed(self, definition: Definition, study: Study, index: int) -> dict[str, str] | None:
        """Return the strategy's choice, or the one that was made ahead if it is of just this study."""
        if not self._is_lagging:
            return self._strategy.propose(study, index)
        made = self._ahead.get(definition.name)
        if made is None or made[:2] != (study, index):
            made = self._ahead[definition.name] = (study, index, self._strategy.propose(study, index))
        return made[2]

    @property
    def _is_lagging(self) -> bool:
        """Whether choices follow from the results of a whole round of slots before."""
        return self._given_seed is not None and self._strategy.learns and self._lag > 1

    def _study(self, definition: Definition, own: Sequence[Record]) -> Study:
        known = [replace(trials.as_trial(row), index=place) for place, row in enumerate(own, 1)]
        if self._is_lagging:
            known = _as_of(known, len(known) + 1 - self._lag)
        return Study(
            space=definition.space,
            is_maximizing=definition.is_maximizing,
            seed=self._seed(definition),
            trials=known,
            parents=self._parents(definition) if self._strategy.learns else (),
            is_transfer=self._warm_start.get("WarmStartType") == "TransferLearning",
        )

    @property
    def _warm_start(self) -> Mapping[str, Any]:
        return self._tuning.document.get("WarmStartConfig") or {}

    def _seed(self, definition: Definition) -> int:
        """Return `RandomSeed`, or else one of the job's own; another for each definition."""
        text = str(self._given_seed)
        if self._given_seed is None:
            text = f"{self._tuning.arn}:{self._tuning.created.isoformat()}"
        digest = hashlib.sha256(f"{text}:{definition.name}".encode()).digest()
        return int.from_bytes(digest[:4], "big")

    def _parents(self, definition: Definition) -> list[list[Trial]]:
        found = []
        for parent in parents_of(self._world, self._tuning):
            matching = {each.name: each for each in definitions(parent.document)}
            rows = []
            for row in trials.read(self._world, parent).sorted():
                theirs = matching.get(row.private.get("definition", ""))
                if theirs is None or (definition.name and theirs.name not in {definition.name, ""}):
                    continue
                tuned = row.document["TunedHyperParameters"]
                values = {**theirs.static, **tuned}
                wanted = {
                    each.name: values[each.name]
                    for each in definition.space.parameters
                    if each.name in values
                }
                rows.append(trials.as_trial(row, wanted))
            found.append(rows)
        return found


def _as_of(known: list[Trial], last: int) -> list[Trial]:
    """Return the trials as they stood when only those up to `last` had ended.

    With a seed, a trial's hyperparameters follow from the results of trials a whole round of slots before,
    and not from which of the latest happened to end first: so a job repeats itself exactly, unless one trial
    lasts as long as two after it.
    """
    return [
        trial if trial.index < last else replace(trial, objective=None, is_running=True) for trial in known
    ]


def parents_of(world: World, tuning: Record) -> list[Record]:
    """Return the jobs that a tuning job starts from, those that are still there."""
    named = (tuning.document.get("WarmStartConfig") or {}).get("ParentHyperParameterTuningJobs") or ()
    found = (
        world.store.read(
            records.find, tuning.account, tuning.region, tuning.noun, each["HyperParameterTuningJobName"]
        )
        for each in named
    )
    return [each for each in found if each is not None]
