"""InvokeEndpoint: a visible chain, in which nothing waits on anything but the replica.

verify ─▶ route ─▶ leg ─▶ stages ask ─▶ in place │ replica ─▶ answer ─▶ count ─▶ stages are told
  └─ `express` goes the same way at once where nothing is in it but the model in place
"""

import asyncio
import hashlib
import re
from collections.abc import Callable, Coroutine, Mapping
from time import perf_counter
from typing import Any

from clary.gateway.edge import faults, sessions
from clary.gateway.edge.callers import Caller, Callers
from clary.gateway.edge.classify import Scope, invocation
from clary.gateway.edge.control import ControlPlane
from clary.gateway.edge.exchange import Exchange
from clary.gateway.edge.faults import Fault
from clary.gateway.edge.inplace import InPlace
from clary.gateway.edge.invocation import (
    ASYNCHRONOUS,
    STREAMED,
    WHOLE,
    Invocation,
    answer_lines,
    header_of,
)
from clary.gateway.edge.legs import UNREACHABLE, Leg, Routed
from clary.gateway.edge.limits import Limits
from clary.gateway.edge.metrics import Metrics
from clary.gateway.edge.multimodel import MOST_MOVES, TARGET
from clary.gateway.edge.parts import Parts
from clary.gateway.edge.relay import Away
from clary.gateway.edge.replicas import Connection, Replicas
from clary.gateway.edge.stages.base import Reply
from clary.kernel.errors import SignatureFault
from clary.serving import components
from clary.serving.frames import Frame, FrameError, head
from clary.serving.policies.base import Policy

INLINE_HASH_BYTES = 64 * 1024
"""Bodies up to this size are hashed on the event loop (35 us); larger ones in a thread."""
SIGNING_NAME = "sagemaker"
"""Service of the credential scope of invocations."""
COMPONENT = "x-amzn-sagemaker-inference-component"
NO_CAPACITY = (
    "Inference Component has no capacity to process this request. ApplicationAutoScaling may be in-progress "
    "(if configured) or try to increase the capacity by invoking UpdateInferenceComponentRuntimeConfig API."
)
MAX_TRIES = 3
"""Replicas asked for one invocation; a request that kills each of them must not end them all."""

_ENDPOINT_NAME = re.compile(r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$")


class Invoke:
    """Answers InvokeEndpoint."""

    def __init__(
        self,
        control: ControlPlane,
        callers: Callers,
        replicas: Replicas,
        policy: Policy,
        inplace: InPlace,
        limits: Limits,
        metrics: Metrics,
        clock: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, None], Exchange], None],
    ) -> None:
        self._control = control
        self._callers = callers
        self._replicas = replicas
        self._policy = policy
        self._inplace = inplace
        self._limits = limits
        self.metrics = metrics
        self._clock = clock
        self._spawn = spawn

    # Verify.

    def start(self, exchange: Exchange, signer: Scope) -> None:
        """Take an exchange whose head is here."""
        endpoint, operation = invocation(exchange.head.path)
        exchange.collect(
            self._limits.invocation_bytes,
            lambda one, body: self._take(one, signer, endpoint, operation, body),
        )

    def _take(
        self, exchange: Exchange, signer: Scope, endpoint: str, operation: str, body: bytes | None
    ) -> None:
        """Take the whole body: at once where everything is cached, else in a task."""
        if body is None:
            self.refuse(exchange, self._too_long())
            return
        if len(body) > INLINE_HASH_BYTES or not self._callers.is_known(signer.access_key_id):
            self._spawn(self._prepare(exchange, signer, endpoint, operation, body), exchange)
            return
        digest = hashlib.sha256(body).hexdigest()
        try:
            caller = self._callers.check(exchange.head, digest, SIGNING_NAME)
        except SignatureFault as error:
            self.refuse(exchange, faults.unsigned(exchange.head, error, is_s3=False))
            return
        component = exchange.head.fields.get(COMPONENT)
        place = components.place_of(component) if component else endpoint
        routed = self._control.routes.get(f"{caller.account}/{caller.region}/{place}")
        if routed is None:
            self._spawn(self._find_route(exchange, caller, endpoint, operation, body), exchange)
        else:
            self._route(exchange, caller, endpoint, operation, routed, body)

    def _too_long(self) -> Fault:
        limit = self._limits.invocation_bytes
        return faults.rest_json(
            "ValidationError",
            f"The payload of an invocation holds at most {limit} bytes; this one is longer.",
            413,
        )

    async def _prepare(
        self, exchange: Exchange, signer: Scope, endpoint: str, operation: str, body: bytes
    ) -> None:
        try:
            await self._callers.fetch(signer.access_key_id)
            digest = (await asyncio.to_thread(hashlib.sha256, body)).hexdigest()
            caller = self._callers.check(exchange.head, digest, SIGNING_NAME)
        except SignatureFault as error:
            self.refuse(exchange, faults.unsigned(exchange.head, error, is_s3=False))
        except Away:
            self.refuse(exchange, faults.away(exchange.head, "Clary's control plane does not answer."))
        else:
            await self._find_route(exchange, caller, endpoint, operation, body)

    # Route.

    async def _find_route(
        self, exchange: Exchange, caller: Caller, endpoint: str, operation: str, body: bytes
    ) -> None:
        routed: Routed | None = None
        try:
            component = exchange.head.fields.get(COMPONENT)
            if _ENDPOINT_NAME.match(component or endpoint):
                place = components.place_of(component) if component else endpoint
                routed = await self._control.routes.find(f"{caller.account}/{caller.region}/{place}")
        except Away:
            self.refuse(exchange, faults.away(exchange.head, "Clary's control plane does not answer."))
            return
        if not exchange.is_gone:
            self._route(exchange, caller, endpoint, operation, routed, body)

    def _route(
        self,
        exchange: Exchange,
        caller: Caller,
        endpoint: str,
        operation: str,
        routed: Routed | None,
        body: bytes,
    ) -> None:
        if routed is not None and routed.away is not None:
            self._spawn(self._control.peers.pass_on(exchange, routed.away, body), exchange)
            return
        target = exchange.head.fields.get("x-amzn-sagemaker-target-variant")
        if COMPONENT in exchange.head.fields or (routed is not None and routed.has_room):
            fault = _of_component(exchange.head.fields.get(COMPONENT, ""), endpoint, routed)
            if fault is not None:
                self.refuse(exchange, fault)
                return
        if routed is not None and routed.route.status in UNREACHABLE:
            routed = None
        variant = self._policy.variant(routed.route, target) if routed is not None else None
        if variant is not None and routed is not None:
            members, session, leg = header_of(exchange.head.fields, operation), None, routed.legs[variant.key]
            fault = _of_target(members, leg)
            if fault is not None:
                self.refuse(exchange, fault)
                return
            try:
                if (name := members.get("session_id")) is not None:
                    leg, session = sessions.found(routed, leg, name)
                    members["session_id"] = session.own
                header = head(members)
            except sessions.SessionError as error:
                self.refuse(exchange, faults.rest_json("ValidationError", str(error), 400))
                return
            except FrameError as error:
                text = f"The headers of the invocation are too long: {error}."
                self.refuse(exchange, faults.rest_json("ValidationError", text, 400))
                return
            one = Invocation(self, exchange, leg, operation, body, header)
            one.session = session
            one.go_on()
        elif target is not None and routed is not None and routed.legs:
            text = f"Variant {target} not found for Endpoint {endpoint}"
            self.refuse(exchange, faults.rest_json("ValidationError", text, 400))
        else:
            text = f"Endpoint {endpoint} of account {caller.account} not found."
            self.refuse(exchange, faults.rest_json("ValidationError", text, 400))

    # In place, or a replica.

    def send(self, one: Invocation, reason: str = "no replica is ready") -> None:
        """Have it answered in place, else ask a replica that was not asked yet."""
        if one.operation == ASYNCHRONOUS:
            text = f"Endpoint {one.leg.key.endpoint} is no asynchronous one: it has no AsyncInferenceConfig."
            one.refuse(faults.rest_json("ValidationError", text, 400))
            return
        if not one.tried and self.in_place(one):
            return
        address = self._choose(one) if len(one.tried) < MAX_TRIES else None
        if address is None and one.session is not None and one.session.address:
            text = f"Session {one.session.name} not found: {sessions.gone()}"
            one.refuse(faults.rest_json("ValidationError", text, 400))
            return
        if address is None:
            text = f"Endpoint {one.leg.key.endpoint} cannot answer now: {reason}."
            one.refuse(faults.busy(text))
            return
        one.tried = (*one.tried, address)
        connection = self._replicas.get(address)
        if connection is None:
            self._spawn(self._connect(one, address), one.exchange)
        elif connection.is_full:
            self.send(one, "its replicas have more invocations than they can answer in time")
        else:
            self._ask(one, connection)

    def _choose(self, one: Invocation) -> str | None:
        """Return the socket to ask; None when there is none that was not tried."""
        pinned = one.session.address if one.session is not None else ""
        if one.leg.models is not None:
            return one.leg.models.choose(one, self._replicas.load, pinned)
        if pinned:
            return None if pinned in one.tried else pinned
        replica = self._policy.replica(one.leg.variant, self._replicas.load, one.tried)
        return replica.address if replica is not None else None

    def _move(self, one: Invocation, door: str) -> None:
        """Ask the process of the model itself, as its replica says."""
        one.n_moved += 1
        if one.n_moved > MOST_MOVES:
            text = f"The model's process ended {MOST_MOVES} times under this invocation."
            one.refuse(faults.busy(text))
            return
        one.tried = (door,)
        self._spawn(self._connect(one, door), one.exchange)

    def _ask(self, one: Invocation, connection: Connection) -> None:
        one.deadline = self.deadline()
        one.asked_at = perf_counter()
        connection.ask(one, one.header, self._clock())

    def deadline(self) -> float:
        """Return when an answer that is asked for now is late."""
        return self._clock() + self._limits.invocation_s

    async def _connect(self, one: Invocation, address: str) -> None:
        try:
            connection = await self._replicas.connect(address)
        except OSError as error:
            one.broken(f"its replica does not listen ({error.strerror or error})")
            return
        if not one.exchange.is_gone:
            self._ask(one, connection)

    def in_place(self, one: Invocation) -> bool:
        """Answer with the model in this process, if there is one and it can."""
        if one.operation != WHOLE or one.session is not None:
            return False
        fields, models = one.exchange.head.fields, one.leg.models
        seat = one.leg.seat() if models is None else models.seat(fields.get(TARGET, ""))
        if seat is None:
            return False
        model = seat.model
        if model is None:
            self._inplace.miss(seat)
            return False
        if (models is None and TARGET in fields) or "x-amzn-sagemaker-target-container-hostname" in fields:
            return False
        begun = perf_counter()
        found = model.answer(one.body, fields.get("content-type", ""), fields.get("accept", ""))
        if found is None:
            return False
        seat.used = perf_counter()
        one.leg.tally.n_in_place += 1
        one.leg.tally.n_hits += models is not None
        reply = Reply(200, found[0], found[1], perf_counter() - begun)
        one.reply(200, answer_lines(one, {"content_type": found[0]}), found[1], reply)
        return True

    # The answer.

    def finish(self, one: Invocation, frame: Frame) -> None:
        """Turn a replica's answer into the client's."""
        header = frame.header
        if one.leg.models is not None and one.parts is None:
            door = one.leg.models.told(one, frame)
            if door is not None:
                self._move(one, door)
            if door is not None or "fault" in header:
                return
        status = header.get("status", 200)
        if status >= 400:
            one.refused_by_model(status, frame.body, header)
        elif one.operation == STREAMED:
            parts = one.parts = one.parts or Parts(one)
            parts.take(frame)
        elif header.get("more"):
            one.refused_by_model(500, b"the container answered in parts where one answer was asked for")
        else:
            model_s = perf_counter() - one.asked_at
            reply = Reply(200, header.get("content_type", ""), frame.body, model_s, header)
            one.reply(200, answer_lines(one, header), frame.body, reply)

    def refuse(self, exchange: Exchange, fault: Fault) -> None:
        """Answer with an error."""
        exchange.answer(*fault)


def _of_target(members: Mapping[str, Any], leg: Leg) -> Fault | None:
    """Return why the model or container that a frame's header names cannot be asked; None where it can."""
    if "target_model" in members and leg.models is None:
        name = members["target_model"]
        text = f"TargetModel '{name}': endpoint {leg.key.endpoint} is not a multi-model endpoint."
    elif "target_container" in members and not leg.document.keys() & {"containers", "pipeline"}:
        name = members["target_container"]
        text = f"TargetContainerHostname '{name}': endpoint {leg.key.endpoint} has a single container."
    else:
        return None
    return faults.rest_json("ValidationError", text, 400)


def _of_component(name: str, endpoint: str, routed: Routed | None) -> Fault | None:
    """Return why an inference component cannot be asked; None where it can."""
    if not name:
        text = f"Endpoint {endpoint} has inference components: InferenceComponentName is required."
    elif routed is None or routed.document.get("endpoint") != endpoint:
        text = f"Inference Component {name} of Endpoint {endpoint} not found."
    elif not any(leg.variant.replicas for leg in routed.legs.values()):
        tally = next(iter(routed.legs.values())).tally
        tally.n += 1
        tally.n_4xx += 1
        tally.n_no_capacity += 1
        text = NO_CAPACITY
    else:
        return None
    return faults.rest_json("ValidationError", text, 400)
