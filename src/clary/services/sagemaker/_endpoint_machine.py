"""States of an Endpoint: replicas launched, routed, watched, replaced and retired.

Creating ─▶ InService ◀─▶ Updating          every state but Deleting can be deleted from
    │           ▲            │ a replica does not come up, an alarm, time over
    │           └─ RollingBack ─▶ UpdateRollbackFailed ─▶ Updating
    └─▶ Failed ─▶ Updating                  Deleting ends with the record itself

An update goes through the stages of `_endpoint_plan.stages`, each of them: launch, route, bake, retire.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clary.engine import runs
from clary.engine.machine import Job, Machine, Move
from clary.engine.world import World
from clary.services.cloudwatch import alarm
from clary.services.sagemaker import _endpoint_plan as plans
from clary.services.sagemaker import _fleet as fleet
from clary.services.sagemaker._elastic import elastic
from clary.serving import components
from clary.store import records

WATCH_S = 15.0
"""Reports wake the machine; this is the net under a lost one."""
POLL_S = 1.0
RETIRE_AFTER_S = 1.0
"""Edges learn of new routes in milliseconds; requests in flight end within the grace."""

MACHINE = Machine(
    noun="Endpoint",
    is_placed=True,
    start="Creating",
    edges={
        "Creating": frozenset({"InService", "Failed", "Deleting"}),
        "InService": frozenset({"Updating", "Deleting", "Failed"}),
        "Updating": frozenset({"InService", "Failed", "RollingBack", "Deleting"}),
        "RollingBack": frozenset({"InService", "UpdateRollbackFailed", "Deleting"}),
        "UpdateRollbackFailed": frozenset({"Updating", "Deleting"}),
        "Failed": frozenset({"Updating", "Deleting"}),
        "Deleting": frozenset(),
    },
)


@MACHINE.step("Creating")
def create(job: Job, world: World) -> Move:
    """Launch every replica; in service once all are healthy."""
    if job.intent.get("delete"):
        return Move("Deleting")
    target = job.record.private["plan"]
    job = fleet.renew(job, world, target)
    since_s = job.record.created.timestamp()
    failure = fleet.launch(job, world, target) or fleet.overdue(job, world, target, since_s)
    if failure:
        for run_id in fleet.run_ids(job, target) | {*job.memory["retire"]}:
            runs.close_run(world, run_id)
        return Move("Failed", {"FailureReason": failure}, {"retire": []}, after_s=WATCH_S)
    memory = {"revivals": job.memory["revivals"], "retire": _retire(job, world)}
    served, is_whole = fleet.listing(job, world, target)
    if not is_whole:
        return Move("Creating", memory=memory, after_s=POLL_S)
    route = publish(job, world, plans.mixed((), served, 1.0))
    return Move("InService", memory=memory, private={"served": served, "route": route}, after_s=WATCH_S)


@MACHINE.step("Updating")
def update(job: Job, world: World) -> Move:
    """Go one stage on: launch the new replicas beside the old, shift traffic, bake, retire the old."""
    target = job.intent.get("update")
    if target is None:
        return Move("InService", after_s=WATCH_S)
    return Rollout(fleet.renew(fleet.fresh(job, target), world, target), world, target).step()


@dataclass
class Rollout:
    """One turn of an update."""

    job: Job
    world: World
    target: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Find the stage."""
        self.deployment = self.job.intent.get("deployment", {})
        self.stages = plans.stages(self.deployment, plans.largest(self.target))
        self.memory: dict[str, Any] = dict(self.job.memory.get("rollout") or {"stage": 0})
        self.memory.setdefault("since", self.world.clock().timestamp())
        self.stage = self.stages[min(self.memory["stage"], len(self.stages) - 1)]
        self.old = self.job.record.private["plan"]
        self.shared = fleet.run_ids(self.job, self.old) & fleet.run_ids(self.job, self.target)

    def step(self) -> Move:
        """Return where the deployment stands now."""
        failure = self._failure()
        if failure:
            return self._back(failure)
        retiring = _retire(self.job, self.world)
        new, is_whole = fleet.listing(self.job, self.world, self.target, part=self.stage.new)
        old = self._old()
        if not is_whole:
            if self.memory.pop("until", None):  # lost while it baked: its bake begins again
                self.memory["since"] = self.world.clock().timestamp()
            return self._stay(self._before(old, new), new, retiring, "Creating")
        entries = plans.mixed(old, new, 1.0 if self.shared else self.stage.traffic)
        self.memory.setdefault("until", fleet.soon(self.world, self.stage.bake_s))
        if self.stage.bake_s and self.world.clock().timestamp() < self.memory["until"]:
            return self._stay(entries, new, retiring, "Baking")
        if self.memory["stage"] + 1 < len(self.stages):
            return self._advance(entries, new, retiring)
        return self._done(entries, new, retiring)

    def _failure(self) -> str:
        now_s = self.world.clock().timestamp()
        record = self.job.record
        limit_s = plans.limit_s(self.deployment)
        names = [each["AlarmName"] for each in _alarms(self.deployment)]
        firing = alarm.firing(self.world, record.account, record.region, names)
        if firing:
            return f"The deployment was rolled back: CloudWatch alarm '{firing[0]}' is in ALARM."
        if now_s > float(self.job.intent.get("since", now_s)) + limit_s:
            return f"The deployment took longer than its limit of {limit_s:.0f} s."
        return fleet.launch(self.job, self.world, self.target, part=self.stage.new) or (
            fleet.overdue(self.job, self.world, self.target, self.memory["since"])
            if "until" not in self.memory
            else ""
        )

    def _old(self) -> list[dict[str, Any]]:
        """Return the old fleet as far as it still serves, its lost replicas revived."""
        if self.shared or not self.job.record.private.get("served"):
            return []
        kept = 1.0 if self.memory["stage"] == 0 else self.stages[self.memory["stage"] - 1].old
        if kept == 1.0:
            self.job = fleet.revive(self.job, self.world, self.old)
        return fleet.listing(self.job, self.world, self.old, part=kept)[0]

    def _before(
        self, old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return the route while the stage's replicas are not all healthy: that of the stage before."""
        if self.shared:  # another size of the same fleet: what is healthy serves at once
            return plans.mixed((), new, 1.0)
        done = self.stages[self.memory["stage"] - 1].traffic if self.memory["stage"] else 0.0
        return plans.mixed(old, new, done)

    def _stay(
        self, entries: list[dict[str, Any]], new: list[dict[str, Any]], retiring: list[str], status: str
    ) -> Move:
        private = self._routed(entries)
        if new != self.job.record.private.get("pending"):
            private["pending"] = new
        if status != self.job.record.private.get("stage"):
            private["stage"] = status
        left_s = self.memory.get("until", 0.0) - self.world.clock().timestamp()
        after_s = min(POLL_S, max(0.05, left_s)) if status == "Baking" else POLL_S
        return Move("Updating", memory=self._memory(retiring), private=private, after_s=after_s)

    def _advance(self, entries: list[dict[str, Any]], new: list[dict[str, Any]], retiring: list[str]) -> Move:
        """Shift the stage's share for good, retire what it frees, and go on with the next."""
        leaving = fleet.run_ids(self.job, self.old) - fleet.run_ids(self.job, self.old, part=self.stage.old)
        if leaving:
            kept = fleet.listing(self.job, self.world, self.old, part=self.stage.old)[0]
            entries = plans.mixed(kept, new, self.stage.traffic)
        private = self._routed(entries) | {"pending": new, "stage": "ActivatingTraffic"}
        self.memory = {"stage": self.memory["stage"] + 1}
        retiring = sorted({*retiring, *leaving})
        memory = self._memory(retiring) | {"retire_at": fleet.soon(self.world, RETIRE_AFTER_S)}
        return Move("Updating", memory=memory, private=private, after_s=0.05)

    def _done(self, entries: list[dict[str, Any]], new: list[dict[str, Any]], retiring: list[str]) -> Move:
        private = self._routed(entries)
        leaving = fleet.run_ids(self.job, self.old) - fleet.run_ids(self.job, self.target)
        wait_s = self.deployment.get("BlueGreenUpdatePolicy", {}).get("TerminationWaitInSeconds", 0)
        document = {"EndpointConfigName": self.job.intent["config"]} if "config" in self.job.intent else {}
        if self.deployment:
            document["LastDeploymentConfig"] = self.deployment
        memory = self._memory(sorted({*retiring, *leaving})) | {
            "rollout": None,
            "retire_at": fleet.soon(self.world, max(wait_s, RETIRE_AFTER_S)),
        }
        return Move(
            "InService",
            document,
            memory=memory,
            private=private
            | {"plan": self.target, "served": new, "intent": {}, "pending": None, "stage": ""},
            after_s=RETIRE_AFTER_S,
        )

    def _back(self, failure: str) -> Move:
        """Give the update up: the old fleet goes on, or comes back."""
        private: dict[str, Any] = {"intent": {}, "stage": ""}
        leaving = fleet.run_ids(self.job, self.target) - fleet.run_ids(self.job, self.old)
        if not self.job.record.private.get("served"):
            for run_id in leaving:
                runs.close_run(self.world, run_id)
            return Move(
                "Failed", {"FailureReason": failure}, {"rollout": None}, private=private, after_s=WATCH_S
            )
        back = {"leaving": sorted(leaving), "size": _rollback_size(self.deployment, self.old)}
        memory = self._memory(list(self.job.memory.get("retire", ()))) | {"rollout": None, "back": back}
        return Move("RollingBack", {"FailureReason": failure}, memory, private)

    def _routed(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        """Publish a route if it is another than before; return what the record then keeps."""
        record = self.job.record
        if entries == (record.private.get("route") or {}).get("variants"):
            return {}
        return {"route": publish(self.job, self.world, entries)}

    def _memory(self, retiring: list[str]) -> dict[str, Any]:
        memory = self.job.memory
        return {
            "rollout": self.memory,
            "retire": retiring,
            "revivals": memory.get("revivals", {}),
            "losses": memory.get("losses", {}),
        }


@MACHINE.step("RollingBack")
def roll_back(job: Job, world: World) -> Move:
    """Bring the old fleet back to its size and send everything there; then retire the new one."""
    if job.intent.get("delete"):
        return Move("Deleting")
    old = job.record.private["plan"]
    job = fleet.renew(fleet.fresh(job, old), world, old)
    back = dict(job.memory["back"])
    back.setdefault("since", world.clock().timestamp())
    failure = fleet.launch(job, world, old, at_most=back["size"]) or fleet.overdue(
        job, world, old, back["since"]
    )
    memory = {"back": back, "revivals": job.memory["revivals"], "retire": job.memory["retire"]}
    if failure:
        return Move("UpdateRollbackFailed", {"FailureReason": failure}, memory, after_s=WATCH_S)
    served, is_whole = fleet.listing(job, world, old)
    if not is_whole:
        if job.record.private.get("served") == served:
            return Move("RollingBack", memory=memory, after_s=POLL_S)
        entries = plans.mixed(served, job.record.private.get("pending") or (), 1.0 - _health(served))
        private = {"served": served, "route": publish(job, world, entries)}
        return Move("RollingBack", memory=memory, private=private, after_s=POLL_S)
    route = publish(job, world, plans.mixed((), served, 1.0))
    retiring = sorted({*job.memory.get("retire", ()), *back["leaving"]})
    return Move(
        "InService",
        memory=memory | {"back": None, "retire": retiring, "retire_at": fleet.soon(world, RETIRE_AFTER_S)},
        private={"served": served, "route": route, "pending": None},
        after_s=RETIRE_AFTER_S,
    )


@MACHINE.step("InService", "Failed", "UpdateRollbackFailed")
def watch(job: Job, world: World) -> Move:
    """Retire replaced replicas, revive lost ones, and take up what the customer asked for."""
    if job.intent.get("delete"):
        return Move("Deleting")
    if job.intent.get("update"):
        return Move("Updating")
    if job.state != "InService":
        return Move(job.state, after_s=3600.0)
    retiring = _retire(job, world)
    before = job.record.private["plan"]
    target, look_s = elastic(job, world, before)
    leaving = fleet.run_ids(job, before) - fleet.run_ids(job, target)
    job = fleet.revive(fleet.fresh(job, target), world, target)
    served, is_whole = fleet.listing(job, world, target)
    private: dict[str, Any] = {} if target is before else {"plan": target}
    if served != job.record.private.get("served"):
        private |= {"served": served, "route": publish(job, world, plans.mixed((), served, 1.0))}
    memory = {name: job.memory.get(name, {}) for name in ("revivals", "losses")}
    return Move(
        "InService",
        memory=memory
        | {"retire": sorted({*retiring, *leaving})}
        | ({"retire_at": fleet.soon(world, RETIRE_AFTER_S)} if leaving else {}),
        private=private,
        after_s=min(look_s, WATCH_S) if is_whole and not retiring and not leaving else POLL_S,
    )


@MACHINE.step("Deleting")
def delete(job: Job, world: World) -> Move:
    """Withdraw the route, end the replicas, and with them the record."""
    publish(job, world, [])
    private = job.record.private
    leaving: set[str] = {*job.memory.get("retire", ()), *(job.memory.get("back") or {}).get("leaving", ())}
    for each in (private["plan"], private.get("intent", {}).get("update") or {"variants": []}):
        leaving |= fleet.run_ids(job, each)
        fleet.forget(job, world, each)
    for run_id in leaving:
        runs.close_run(world, run_id)
    record = job.record
    world.store.write(records.delete, record.account, record.region, record.noun, record.key)
    return Move("Deleting")


def publish(job: Job, world: World, entries: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Tell the edges which replicas answer for the endpoint; return the route."""
    record = job.record
    route: dict[str, Any] | None = {"status": "InService", "variants": entries} if entries else None
    place = record.key
    if route is not None and world.node:
        route["node"] = world.node
    if record.noun == "InferenceComponent":
        place = components.place_of(record.key)
        if route is not None:
            route["endpoint"] = record.document["EndpointName"]
    world.publish("route", f"{record.account}/{record.region}/{place}", route)
    return route


def _retire(job: Job, world: World) -> list[str]:
    """Stop replaced replicas once the edges know; return those that are not gone yet."""
    retiring: list[str] = list(job.memory.get("retire", ()))
    if world.clock().timestamp() < float(job.memory.get("retire_at") or 0.0):
        return retiring
    return fleet.retire(world, retiring)


def _alarms(deployment: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    alarms: Iterable[Mapping[str, Any]] = deployment.get("AutoRollbackConfiguration", {}).get("Alarms", ())
    return alarms


def _health(served: Sequence[Mapping[str, Any]]) -> float:
    """Return the share of a fleet's replicas that answer."""
    total = sum(variant["InstanceCount"] for variant in served)
    return sum(len(variant["Replicas"]) for variant in served) / total if total else 1.0


def _rollback_size(deployment: Mapping[str, Any], old: Mapping[str, Any]) -> float:
    """Return how many replicas of the old fleet may start at a time."""
    size = deployment.get("RollingUpdatePolicy", {}).get("RollbackMaximumBatchSize")
    total = sum(variant["InstanceCount"] for variant in old["variants"])
    return max(1.0, plans.share(size, plans.largest(old)) * total) if size else float(max(1, total))
