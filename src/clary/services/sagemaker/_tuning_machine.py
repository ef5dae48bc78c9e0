"""States of a HyperParameterTuningJob: trials are launched as slots fall free, until enough is known.

    InProgress ──▶ take in what ended ──▶ end what lags ──▶ fill the free slots ──▶ (woken by the next end)

A trial and its training job are stored in one write, under a name that follows from the index: a step that
is cut short at any instant goes on from what is stored.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from clary.engine.machine import Job, Machine, Move
from clary.engine.world import World
from clary.kernel.errors import ValidationException
from clary.resource.families import Prepared, insert
from clary.services.sagemaker import _intents, _tuning_choice
from clary.services.sagemaker import _tuning_trials as trials
from clary.services.sagemaker._training_machine import MACHINE as TRAINING
from clary.services.sagemaker._tuning_request import Definition, definitions, resources_of
from clary.services.sagemaker._tuning_trials import Ledger
from clary.store import records, tags
from clary.store.base import Duplicate
from clary.store.records import Record
from clary.tuning import criteria, stopping

SAFETY_POLL_S = 3.0
"""Steps are woken by the ends of trials and by their metrics; this is the net under a lost one."""
RETRY_S = 0.05
ALL_FAILED = "All training jobs failed. Please take a look at the training jobs failures to get more details."
"""Source: the service's own FailureReason."""

MACHINE = Machine(
    noun="HyperParameterTuningJob",
    start="InProgress",
    edges={
        "InProgress": frozenset({"Stopping", "Completed", "Failed", "Stopped"}),
        "Stopping": frozenset({"Stopped", "Failed"}),
    },
)


@MACHINE.step("InProgress")
def drive(job: Job, world: World) -> Move:
    """Take in what ended, end what lags, fill the free slots."""
    if job.intent.get("stop"):
        return Move("Stopping")
    try:
        return _Turn(job, world).move()
    except BaseException:
        trials.forget(world, job.record)  # it may know what was not written
        raise


@MACHINE.step("Stopping")
def stop(job: Job, world: World) -> Move:
    """End the trials that run; what they have found counts."""
    try:
        return _Turn(job, world).wind_down()
    except BaseException:
        trials.forget(world, job.record)
        raise


@MACHINE.end
def release(job: Job, world: World) -> None:
    """Let go of what was kept in memory."""
    trials.forget(world, job.record)


class _Turn:
    """One step of a tuning job."""

    def __init__(self, job: Job, world: World) -> None:
        self.job = job
        self.world = world
        self.tuning = job.record
        self.now = world.clock()
        self.config = job["HyperParameterTuningJobConfig"]
        self.definitions = {each.name: each for each in definitions(self.tuning.document)}
        self.ledger: Ledger = trials.read(world, self.tuning)
        self.chooser = _tuning_choice.Chooser(world, self.tuning, self.ledger)
        limits = self.config["ResourceLimits"]
        self.n_parallel = int(limits["MaxParallelTrainingJobs"])
        self.n_most = limits.get("MaxNumberOfTrainingJobs")
        self.longest_s = limits.get("MaxRuntimeInSeconds")

    def move(self) -> Move:
        """Do all that can be done now."""
        changed = self.take_in()
        is_enough = bool(self.job.memory.get("enough")) or self._is_enough()
        is_last = is_enough or self._fill(changed)
        if is_enough:
            self.store(changed, None)
            self.stop(self.ledger.open)
        running = self.ledger.open
        if is_last and not running:
            rows = self.ledger.sorted()
            has_found = any(row.document["ObjectiveStatus"] == "Succeeded" for row in rows)
            return self.end("Completed" if has_found or not rows else "Failed")
        if not is_enough:
            self._stop_early(running)
        if not is_last:
            self.chooser.think_ahead(self.ledger.sorted())
        memory = {"enough": True} if is_enough else {}
        return Move("InProgress", self.members(), memory, after_s=self._pause_s())

    def wind_down(self) -> Move:
        """End what runs; launch nothing."""
        self.store(self.take_in(), None)
        running = self.ledger.open
        if not running:
            return self.end("Stopped")
        self.stop(running)
        return Move("Stopping", self.members(), after_s=SAFETY_POLL_S)

    def take_in(self) -> list[Record]:
        """Bring the open trials' rows to where their training jobs stand; return those that changed."""
        changed = []
        for row in self.ledger.open:
            training = self.world.store.read(records.find, row.account, row.region, "TrainingJob", row.key)
            objective = self._definition(row).objective
            found = trials.followed(row, training, objective, self.now)
            if found is None:
                continue
            if found.private.get("settled") and self._is_watching:
                curve = trials.curve(self.world, row, objective["MetricName"])
                found = replace(found, private={**found.private, "curve": curve})
            changed.append(found)
            self.ledger.put(found)
        return changed

    def store(self, changed: Sequence[Record], made: tuple[Record, Prepared] | None) -> bool:
        """Write what changed, and a new trial with its training job, at once; say whether it was new."""

        def unit(conn: Connection) -> bool:
            for row in changed:
                records.update(conn, row)
            if made is None:
                return True
            if records.find_by_arn(conn, self.tuning.arn) is None:
                return False  # deleted meanwhile
            row, training = made
            if records.find(conn, row.account, row.region, row.noun, row.key) is not None:
                return False
            records.insert(conn, row)
            insert(conn, training)
            return True

        return bool(self.world.store.write(unit)) if changed or made else True

    def _fill(self, changed: list[Record]) -> bool:
        """Launch trials into free slots; return whether no more will be launched."""
        while True:
            rows = self.ledger.sorted()
            if self.n_most is not None and len(rows) >= self.n_most:
                break
            if len(self.ledger.open) >= self.n_parallel:
                self.store(changed, None)
                return False
            chosen = self.chooser.next(rows)
            if chosen is None:
                break
            self._launch(len(rows) + 1, *chosen, changed=changed)
            changed = []
        self.store(changed, None)
        return True

    def _launch(
        self, index: int, definition: Definition, tuned: dict[str, str], *, changed: list[Record]
    ) -> None:
        call = _tuning_choice.caller(self.world, self.tuning)
        labels = self.world.store.read(tags.of, self.tuning.arn)
        made = _tuning_choice.training_job(
            call, self.tuning, definition, index, tuned, tags=labels, is_watched=self._is_watching
        )
        row = trials.made(self.tuning, made.record, index, definition.name, tuned)
        try:
            is_new = self.store(changed, (row, made))
        except Duplicate as taken:
            raise RuntimeError(f"{row.key} is the name of another training job") from taken
        if is_new:
            self.world.nudge(made.record.arn)
            self.ledger.put(row)
        else:  # another step was here
            self.ledger = trials.read(self.world, self.tuning)

    def _is_enough(self) -> bool:
        """Say whether a criterion of completion is met."""
        found = self.ledger.objectives()
        wanted = self.config.get("TuningJobCompletionCriteria") or {}
        first = next(iter(self.definitions.values()))
        target = wanted.get("TargetObjectiveMetricValue")
        if target is not None and any(
            value >= target if first.is_maximizing else value <= target for value in found
        ):
            return True
        most = (wanted.get("BestObjectiveNotImproving") or {}).get("MaxNumberOfTrainingJobsNotImproving")
        if most is not None and self._n_not_improving(found) >= most:
            return True
        converged = (wanted.get("ConvergenceDetected") or {}).get("CompleteOnConvergence") == "Enabled"
        if converged and self._has_converged(found):
            return True
        return self.longest_s is not None and self.now >= self.tuning.created + timedelta(
            seconds=self.longest_s
        )

    def _n_not_improving(self, found: list[float]) -> int:
        first = next(iter(self.definitions.values()))
        return criteria.n_not_improving(found, is_maximizing=first.is_maximizing)

    def _has_converged(self, found: list[float]) -> bool:
        first = next(iter(self.definitions.values()))
        n_parameters = max(len(each.space.parameters) for each in self.definitions.values())
        return criteria.has_converged(found, n_parameters, is_maximizing=first.is_maximizing)

    @property
    def _is_watching(self) -> bool:
        """Whether trials may be ended early, so that each of their metrics matters."""
        is_auto: bool = self.config["TrainingJobEarlyStoppingType"] == "Auto"
        return is_auto or self.config["Strategy"] == "Hyperband"

    def _stop_early(self, running: Sequence[Record]) -> None:
        """End running trials that do worse than others did."""
        if not self._is_watching:
            return
        for row in running:
            definition = self._definition(row)
            metric = definition.objective["MetricName"]
            own = trials.curve(self.world, row, metric)
            if row.status != "InProgress" or not own:
                continue
            rest = [other for other in self.ledger.sorted() if other.key != row.key]
            rest = [other for other in rest if self._definition(other) is definition]
            is_hyperband = self.config["Strategy"] == "Hyperband"
            others = [
                trials.curve(self.world, other, metric)
                for other in rest
                if is_hyperband or other.private.get("settled")
            ]
            if self._lags(own, others, definition, is_hyperband=is_hyperband):
                self.stop([row])

    def _lags(
        self, own: list[float], others: list[list[float]], definition: Definition, *, is_hyperband: bool
    ) -> bool:
        if not is_hyperband:
            return stopping.lags_median(own, others, is_maximizing=definition.is_maximizing)
        least, longest = resources_of(self.tuning.document)
        return stopping.lags_rung(
            own, others, is_maximizing=definition.is_maximizing, min_resource=least, max_resource=longest
        )

    def stop(self, rows: Sequence[Record]) -> None:
        """Ask training jobs to end; those that end already are left alone."""
        call = _tuning_choice.caller(self.world, self.tuning)
        for row in rows:
            training = call.seek("TrainingJob", row.key)
            if training is None or training.status != "InProgress":
                continue
            try:
                _intents.ask(call, training, TRAINING, "stop", state="Stopping")
            except ValidationException:
                continue  # it ended in between

    def _definition(self, row: Record) -> Definition:
        return self.definitions[row.private.get("definition", "")]

    def members(self) -> dict[str, Any]:
        """Return what Describe shows of the trials so far."""
        rows = self.ledger.sorted()
        found = self.ledger.objectives()
        members: dict[str, Any] = trials.counters(rows)
        best = trials.best_of(rows)
        if best is not None:
            members["BestTrainingJob"] = trials.summary(best)
        if (self.job.get("WarmStartConfig") or {}).get("WarmStartType") == "IdenticalDataAndAlgorithm":
            parents = _tuning_choice.parents_of(self.world, self.tuning)
            known = [each for parent in parents for each in trials.read(self.world, parent).sorted()]
            overall = trials.best_of([*rows, *known])
            if overall is not None:
                members["OverallBestTrainingJob"] = trials.summary(overall)
        details: dict[str, Any] = dict(self.job.get("TuningJobCompletionDetails") or {})
        details["NumberOfTrainingJobsObjectiveNotImproving"] = self._n_not_improving(found)
        if "ConvergenceDetectedTime" not in details and self._has_converged(found):
            details["ConvergenceDetectedTime"] = self.now
        members["TuningJobCompletionDetails"] = details
        return members

    def end(self, state: str) -> Move:
        """Return the last move."""
        members = self.members()
        members["HyperParameterTuningEndTime"] = self.now
        seconds = max(1, round((self.now - self.tuning.created).total_seconds()))
        members["ConsumedResources"] = {"RuntimeInSeconds": seconds}
        if state == "Failed":
            members["FailureReason"] = ALL_FAILED
        return Move(state, members)

    def _pause_s(self) -> float:
        if self.longest_s is None:
            return SAFETY_POLL_S
        left = self.tuning.created + timedelta(seconds=self.longest_s) - self.now
        return min(SAFETY_POLL_S, max(RETRY_S, left.total_seconds()))
