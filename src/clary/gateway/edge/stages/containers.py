"""Models of several containers: the one that a client names is asked, and each has numbers of its own.

Direct   x-amzn-sagemaker-target-container-hostname ─▶ that container's leg
Serial   the head of the row answers; what each container took stands in its answer
"""

import json
from typing import TYPE_CHECKING, Any, ClassVar

from clary.gateway.edge import faults
from clary.gateway.edge.legs import Leg, Routed
from clary.gateway.edge.stages.base import Part, Reply, Site
from clary.gateway.edge.tallies import Tally
from clary.serving.policies.base import Replica, Variant

if TYPE_CHECKING:
    from clary.gateway.edge.invocation import Invocation

TARGET = "x-amzn-sagemaker-target-container-hostname"
MODEL_ERROR = 424


class Containers:
    """The stage of one edge."""

    name: ClassVar[str] = "containers"

    def __init__(self, site: Site) -> None:
        self._tallies = site.tallies

    def wants(self, leg: Leg, _routed: Routed) -> Part:
        """Want the invocations of models with several containers."""
        has_several = "containers" in leg.document or "pipeline" in leg.document
        return Part.ASK | Part.TELL if has_several else Part.NOTHING

    def ask(self, one: "Invocation") -> bool:
        """Lead an invocation to the container that it names."""
        target = one.exchange.head.fields.get(TARGET)
        containers = one.leg.document.get("containers")
        if containers is None:
            if target is None:
                return True
            why = "is not configured for direct invocation: InferenceExecutionConfig.Mode is Serial"
            return _refuse(one, f"TargetContainerHostname '{target}': endpoint {one.leg.key.endpoint} {why}.")
        if target is None:
            why = "is configured for direct invocation: TargetContainerHostname is required"
            return _refuse(one, f"Endpoint {one.leg.key.endpoint} {why}, one of {', '.join(containers)}.")
        if target not in containers:
            why = f"is not of endpoint {one.leg.key.endpoint}; it has: {', '.join(containers)}"
            return _refuse(one, f"TargetContainerHostname '{target}' {why}.")
        one.leg = _leg_of(one.leg, target, containers[target])
        return True

    def told(self, one: "Invocation", reply: Reply) -> None:
        """Count for each container that had the invocation."""
        named = one.leg.document.get("container")
        if named is not None:
            tally = self._tally(one, named)
            _count(tally, reply.model_s)
            tally.overhead_s += max(0.0, _overhead_s(one, reply))
            _blame(tally, reply)
            return
        headers: Any = reply.headers
        for name, took_us in zip(
            one.leg.document.get("pipeline", ()), headers.get("times", ()), strict=False
        ):
            tally = self._tally(one, name)
            _count(tally, took_us / 1e6)
            if name == headers.get("container"):
                _blame(tally, reply)

    def _tally(self, one: "Invocation", name: str) -> Tally:
        return self._tallies.of(one.leg.key._replace(container=name))

    def sweep(self, _now: float) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def _refuse(one: "Invocation", text: str) -> bool:
    one.refuse(faults.rest_json("ValidationError", text, 400))
    return False


def _leg_of(leg: Leg, name: str, replicas: list[dict[str, str]]) -> Leg:
    """Return the leg of one container: the variant's, its replicas those of the container."""
    variant = Variant(
        name=leg.variant.name,
        weight=leg.variant.weight,
        replicas=tuple(Replica(id=each["id"], address=each["address"]) for each in replicas),
        is_random=leg.variant.is_random,
        key=leg.variant.key,
    )
    found = Leg(leg.key, variant, {**leg.document, "container": name}, leg.tally)
    found.asks, found.tells = leg.asks, leg.tells
    return found


def _count(tally: Tally, took_s: float) -> None:
    tally.n += 1
    tally.model_s += took_s
    tally.model_most_s = max(tally.model_most_s, took_s)


def _overhead_s(one: "Invocation", reply: Reply) -> float:
    return one.asked_at - one.begun_at if reply.model_s else 0.0


def _blame(tally: Tally, reply: Reply) -> None:
    """Count an error, by the container's own status."""
    if reply.status == MODEL_ERROR:
        original = json.loads(reply.body).get("OriginalStatusCode") or 500
        tally.n_4xx += 1
        tally.n_model_4xx += original < 500
        tally.n_model_5xx += original >= 500
    elif reply.status >= 500:
        tally.n_5xx += 1
    elif reply.status >= 400:
        tally.n_4xx += 1


def make(site: Site) -> Containers:
    """Return the stage of one edge."""
    return Containers(site)
