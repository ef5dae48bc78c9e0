"""What machines of jobs that run and end share: attempts, launches, phases shown, retries, ends.

A noun's machine keeps its table and its steps; the steps call these functions with the noun's `Course`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from clary.compute.base import Outcome, Result, RunPhase, RunSpec, RunState
from clary.engine import runs
from clary.engine.machine import Job, Move
from clary.engine.world import World

PLATFORM_TRIES = 4
"""Times that a job is started when the platform, not the job, fails."""
SAFETY_POLL_S = 3.0
"""Steps are woken by reports; this is the net under a lost one."""
QUEUED_S = 1.0
"""A run that starts within this is not shown as waiting."""
STOP_GRACE_S = 120.0
"""Source: API reference, StopTrainingJob; StopProcessingJob has the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How one noun's states show a run: all in which nouns differ."""

    closing: Callable[[Job, World], dict[str, Any]]
    """Members that an ended job shows: times, final metrics."""
    started: str
    """Member that takes the time at which the run had its machines, such as `TrainingStartTime`."""
    shown: tuple[str, ...] = ()
    """Phases of a run that are states of the noun, in their order; none where all is `InProgress`."""
    start: str = "InProgress"
    """State that launches."""
    waiting: str = ""
    """State of a launched run that waits for room; empty where the noun has none."""
    restarting: str = ""
    """State between two attempts; empty where the next attempt begins in the state of the last."""
    out_of_time: str = "Stopped"
    """State of a job that reached its longest runtime."""


def attempt_of(job: Job) -> int:
    """Return the number of the present attempt, from 1."""
    return int(job.memory.get("attempt", 1))


def run_id_of(job: Job) -> str:
    """Return the id of the present attempt's run: the same however often a step runs."""
    return runs.run_id_of(job.record.arn, job.record.key, job.record.created.isoformat(), attempt_of(job))


def launch(job: Job, world: World, spec: RunSpec, *, role_arn: str, context: Mapping[str, Any]) -> None:
    """Launch the run of this attempt, once; launching again starts nothing new.

    One that was opened on a node that is lost since counts as lost: the next attempt begins.
    """
    if not job.memory.get("launched") and not runs.is_elsewhere(world, run_id_of(job)):
        world.placement.launch(runs.open_run(world, spec, role_arn=role_arn, context=context))


def next_attempt(job: Job, world: World) -> dict[str, Any]:
    """Forget the old run; return the machine's memory with which the next attempt begins."""
    runs.close_run(world, run_id_of(job))
    return {"attempt": attempt_of(job) + 1, "launched": False}


def ask_to_stop(job: Job, world: World) -> None:
    """Have every host end on the customer's wish: SIGTERM, the grace, SIGKILL."""
    world.placement.stop(run_id_of(job), outcome=Outcome.STOPPED, grace_s=STOP_GRACE_S)


def stopping(job: Job, world: World, course: Course) -> Move:
    """Wait until every host has ended, what it made published."""
    ask_to_stop(job, world)
    state = runs.state_of(world, run_id_of(job))
    if state.phase not in {RunPhase.ENDED, RunPhase.LOST}:
        return Move("Stopping", after_s=SAFETY_POLL_S)
    return Move("Stopped", course.closing(job, world))


def follow(job: Job, world: World, course: Course) -> Move:
    """Turn the state of the present run into a move: onwards, again, or to the job's end."""
    state = runs.state_of(world, run_id_of(job))
    results = list(state.results.values())
    failed = next((each for each in results if each.outcome is Outcome.FAILED), None)
    if state.phase is RunPhase.LOST or (state.phase is RunPhase.ENDED and not results):
        return _retry(job, world, course, failed, "the host was lost")
    if state.phase is not RunPhase.ENDED:
        if failed is not None:
            world.placement.stop(run_id_of(job), outcome=Outcome.STOPPED, grace_s=0)
        return _progress(job, world, course, state)
    if failed is not None:
        if failed.is_retryable:
            return _retry(job, world, course, failed, failed.reason)
        return Move(
            "Failed",
            {**course.closing(job, world), "FailureReason": failed.reason},
            through=_passed(job, course, failed.phase),
        )
    return _close(job, world, course, {each.outcome for each in results})


def _close(job: Job, world: World, course: Course, outcomes: set[Outcome]) -> Move:
    """Turn the outcomes of hosts that all ended without a fault into the job's end."""
    if Outcome.INTERRUPTED in outcomes:
        return Move("Interrupted")
    if Outcome.STOPPED in outcomes:
        return Move("Stopped", course.closing(job, world))
    end = course.out_of_time if Outcome.OUT_OF_TIME in outcomes else "Completed"
    return Move(end, course.closing(job, world), through=_passed(job, course, RunPhase.UPLOADING))


def _progress(job: Job, world: World, course: Course, state: RunState) -> Move:
    """Show how far a live run is; a job never goes back."""
    memory = {"launched": True}
    is_starting = bool(course.waiting) and job.state == course.start
    if state.phase is RunPhase.QUEUED:
        if is_starting and world.clock() > job.record.modified + timedelta(seconds=QUEUED_S):
            return Move(course.waiting, memory=memory, after_s=SAFETY_POLL_S)
        return Move(job.state, memory=memory, after_s=QUEUED_S if is_starting else SAFETY_POLL_S)
    document: dict[str, Any] = {}
    if course.started not in job.record.document:
        document[course.started] = world.clock()
    phase = state.phase.value
    if state.phase is RunPhase.STARTING or _rank(course, phase) <= _rank(course, job.state):
        return Move(job.state, document, memory, after_s=SAFETY_POLL_S)
    through = _passed(job, course, state.phase)[:-1]
    return Move(phase, document, memory, after_s=SAFETY_POLL_S, through=through)


def _rank(course: Course, state: str) -> int:
    return course.shown.index(state) if state in course.shown else -1


def _passed(job: Job, course: Course, until: RunPhase) -> tuple[str, ...]:
    """Return the states between the job's and `until`, the latter included."""
    first, last = _rank(course, job.state), _rank(course, until.value)
    return tuple(state for state in course.shown if first < _rank(course, state) <= last)


def _retry(job: Job, world: World, course: Course, failed: Result | None, why: str) -> Move:
    retries = (job.get("RetryStrategy") or {}).get("MaximumRetryAttempts")
    tries = PLATFORM_TRIES if retries is None else retries + 1
    if attempt_of(job) < tries:
        if course.restarting:
            return Move(course.restarting, message=f"Restarting: {why}")
        return Move(job.state, memory=next_attempt(job, world))
    reason = failed.reason if failed and failed.reason else f"InternalServerError: {why} {tries} times"
    return Move("Failed", {**course.closing(job, world), "FailureReason": reason})
