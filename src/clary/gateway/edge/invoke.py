"""InvokeEndpoint: verify, route, ask a replica, answer. Nothing here waits on anything but the replica."""

import asyncio
import hashlib
import re
from collections.abc import Callable
from typing import Any

from clary.gateway.edge import faults
from clary.gateway.edge.callers import Caller, Callers
from clary.gateway.edge.classify import Scope, invocation
from clary.gateway.edge.control import ControlPlane
from clary.gateway.edge.exchange import Exchange
from clary.gateway.edge.faults import Fault
from clary.gateway.edge.limits import Limits
from clary.gateway.edge.metrics import Metrics
from clary.gateway.edge.relay import Away
from clary.gateway.edge.replicas import ReplicaConnection, Replicas
from clary.kernel.errors import SignatureFault
from clary.serving.frames import Frame, FrameError
from clary.serving.policies.base import Policy, Route, Variant

INLINE_HASH_BYTES = 64 * 1024
"""Bodies up to this size are hashed on the event loop (35 us); larger ones in a thread."""
SIGNING_NAME = "sagemaker"
"""Service of the credential scope of invocations."""
MAX_TRIES = 3
"""Replicas asked for one invocation; a request that kills each of them must not end them all."""
ORIGINAL_MESSAGE_CHARS = 4096
OPERATIONS = {
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
}
"""Operations of sagemaker-runtime that are not served yet."""

_ENDPOINT_NAME = re.compile(r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$")
_HEADER_NAME = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PASSED_IN = (
    ("content-type", "content_type"),
    ("accept", "accept"),
    ("x-amzn-sagemaker-custom-attributes", "attributes"),
    ("x-amzn-sagemaker-target-model", "target_model"),
    ("x-amzn-sagemaker-target-container-hostname", "target_container"),
    ("x-amzn-sagemaker-inference-id", "inference_id"),
    ("x-amzn-sagemaker-session-id", "session_id"),
    ("x-amzn-sagemaker-enable-explanations", "explanations"),
)
_UNREACHABLE = frozenset({"Creating", "Failed", "Deleting", "OutOfService"})
"""`EndpointStatus` in which the service answers as if there were no such endpoint."""
_OWN_HEADERS = frozenset(
    {"content-length", "content-type", "transfer-encoding", "connection", "date", "server"}
)


class Invocation:
    """One invocation on its way to a replica and back."""

    __slots__ = (
        "account",
        "body",
        "deadline",
        "endpoint",
        "exchange",
        "header",
        "invoke",
        "region",
        "tried",
        "variant",
    )

    def __init__(
        self,
        invoke: "Invoke",
        exchange: Exchange,
        caller: Caller,
        endpoint: str,
        variant: Variant,
        body: bytes,
    ) -> None:
        self.invoke = invoke
        self.exchange = exchange
        self.account, self.region = caller.account, caller.region
        self.endpoint = endpoint
        self.variant = variant
        self.body = body
        self.tried: tuple[str, ...] = ()
        self.deadline = 0.0
        fields = exchange.head.fields
        header: dict[str, Any] = {}
        for name, member in _PASSED_IN:
            if name in fields:
                header[member] = fields[name]
        header["request_id"] = faults.request_id()
        self.header = header

    def answered(self, frame: Frame) -> None:
        """Take the replica's answer."""
        self.invoke.finish(self, frame)

    def broken(self, reason: str) -> None:
        """Ask another replica: this one went away."""
        self.invoke.metrics.n_replica_losses += 1
        if not self.exchange.is_gone:
            self.invoke.send(self, reason)

    def late(self) -> None:
        """Give up: the container took too long."""
        self.invoke.refuse(
            self.exchange,
            self.invoke.model_error(
                self,
                "Your invocation timed out while waiting for a response from container primary. Review the "
                "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again.",
                status=0,
                original="",
            ),
        )


class Invoke:
    """Answers InvokeEndpoint."""

    def __init__(
        self,
        control: ControlPlane,
        callers: Callers,
        replicas: Replicas,
        policy: Policy,
        limits: Limits,
        metrics: Metrics,
        clock: Callable[[], float],
        spawn: Callable[[Any, Exchange], None],
    ) -> None:
        self._control = control
        self._callers = callers
        self._replicas = replicas
        self._policy = policy
        self._limits = limits
        self.metrics = metrics
        self._clock = clock
        self._spawn = spawn

    def start(self, exchange: Exchange, signer: Scope) -> None:
        """Take an exchange whose head is here."""
        endpoint, operation = invocation(exchange.head.path)
        if operation in OPERATIONS:
            name = OPERATIONS[operation]
            exchange.collect(
                self._limits.invocation_bytes,
                lambda one, _body: self.refuse(
                    one,
                    faults.rest_json(
                        "ValidationError", f"Clary does not serve {name} yet; use InvokeEndpoint.", 400
                    ),
                ),
            )
            return
        exchange.collect(
            self._limits.invocation_bytes, lambda one, body: self._take(one, signer, endpoint, body)
        )

    def _take(self, exchange: Exchange, signer: Scope, endpoint: str, body: bytes | None) -> None:
        """Take the whole body: at once where everything is cached, else in a task."""
        if body is None:
            self.refuse(exchange, self._too_long())
            return
        if len(body) > INLINE_HASH_BYTES or not self._callers.is_known(signer.access_key_id):
            self._spawn(self._prepare(exchange, signer, endpoint, body), exchange)
            return
        digest = hashlib.sha256(body).hexdigest()
        try:
            caller = self._callers.check(exchange.head, digest, SIGNING_NAME)
        except SignatureFault as error:
            self.refuse(exchange, faults.unsigned(exchange.head, error, is_s3=False))
            return
        route = self._control.routes.get(f"{caller.account}/{caller.region}/{endpoint}")
        if route is None:
            self._spawn(self._find_route(exchange, caller, endpoint, body), exchange)
        else:
            self._route(exchange, caller, endpoint, route, body)

    def _too_long(self) -> Fault:
        limit = self._limits.invocation_bytes
        return faults.rest_json(
            "ValidationError",
            f"The payload of an invocation holds at most {limit} bytes; this one is longer.",
            413,
        )

    async def _prepare(self, exchange: Exchange, signer: Scope, endpoint: str, body: bytes) -> None:
        try:
            await self._callers.fetch(signer.access_key_id)
            digest = (await asyncio.to_thread(hashlib.sha256, body)).hexdigest()
            caller = self._callers.check(exchange.head, digest, SIGNING_NAME)
        except SignatureFault as error:
            self.refuse(exchange, faults.unsigned(exchange.head, error, is_s3=False))
        except Away:
            self.refuse(exchange, faults.away(exchange.head, "Clary's control plane does not answer."))
        else:
            await self._find_route(exchange, caller, endpoint, body)

    async def _find_route(self, exchange: Exchange, caller: Caller, endpoint: str, body: bytes) -> None:
        route: Route | None = None
        try:
            if _ENDPOINT_NAME.match(endpoint):
                route = await self._control.routes.find(f"{caller.account}/{caller.region}/{endpoint}")
        except Away:
            self.refuse(exchange, faults.away(exchange.head, "Clary's control plane does not answer."))
            return
        if not exchange.is_gone:
            self._route(exchange, caller, endpoint, route, body)

    def _route(
        self, exchange: Exchange, caller: Caller, endpoint: str, route: Route | None, body: bytes
    ) -> None:
        target = exchange.head.fields.get("x-amzn-sagemaker-target-variant")
        if route is not None and route.status in _UNREACHABLE:
            route = None
        variant = self._policy.variant(route, target) if route is not None else None
        if variant is not None:
            self.send(Invocation(self, exchange, caller, endpoint, variant, body))
        elif target is not None and route is not None and route.variants:
            text = f"Variant {target} not found for Endpoint {endpoint}"
            self.refuse(exchange, faults.rest_json("ValidationError", text, 400))
        else:
            text = f"Endpoint {endpoint} of account {caller.account} not found."
            self.refuse(exchange, faults.rest_json("ValidationError", text, 400))

    def send(self, one: Invocation, reason: str = "no replica is ready") -> None:
        """Ask a replica that was not asked yet; without one, say that the endpoint is unavailable."""
        replica = None
        if len(one.tried) < MAX_TRIES:
            replica = self._policy.replica(one.variant, self._replicas.load, one.tried)
        if replica is None:
            text = f"Endpoint {one.endpoint} cannot answer now: {reason}."
            fault = faults.rest_json("ServiceUnavailable", text, 503)
            self.refuse(one.exchange, fault)
            return
        one.tried = (*one.tried, replica.address)
        connection = self._replicas.get(replica.address)
        if connection is None:
            self._spawn(self._connect(one, replica.address), one.exchange)
            return
        self._ask(one, connection)

    def _ask(self, one: Invocation, connection: ReplicaConnection) -> None:
        now = self._clock()
        one.deadline = now + self._limits.invocation_s
        try:
            connection.ask(one, one.header, one.body, now)
        except FrameError as error:
            text = f"The headers of the invocation are too long: {error}."
            self.refuse(one.exchange, faults.rest_json("ValidationError", text, 400))

    async def _connect(self, one: Invocation, address: str) -> None:
        try:
            connection = await self._replicas.connect(address)
        except OSError as error:
            one.broken(f"its replica does not listen ({error.strerror or error})")
            return
        if not one.exchange.is_gone:
            self._ask(one, connection)

    def finish(self, one: Invocation, frame: Frame) -> None:
        """Turn a replica's answer into the client's."""
        header = frame.header
        status = header.get("status", 200)
        if status >= 400:
            original = frame.body[: 4 * ORIGINAL_MESSAGE_CHARS].decode(errors="replace")[
                :ORIGINAL_MESSAGE_CHARS
            ]
            side = "client" if status < 500 else "server"
            text = f'Received {side} error ({status}) from primary with message "{original}".'
            self.refuse(one.exchange, self.model_error(one, text, status=status, original=original))
            return
        lines = [
            "x-amzn-RequestId: ", one.header["request_id"],
            "\r\ncontent-type: ", _clean(header.get("content_type") or "application/octet-stream"),
            "\r\nx-Amzn-Invoked-Production-Variant: ", one.variant.name, "\r\n",
        ]  # fmt: skip
        attributes = header.get("attributes")
        if attributes:
            lines += ("X-Amzn-SageMaker-Custom-Attributes: ", _clean(attributes), "\r\n")
        further = header.get("headers")
        if further:
            for name, value in further.items():
                if name.lower() not in _OWN_HEADERS and _HEADER_NAME.match(name):
                    lines += (name, ": ", _clean(str(value)), "\r\n")
        one.exchange.answer(200, "".join(lines).encode(), frame.body)

    def model_error(self, one: Invocation, text: str, *, status: int, original: str) -> Fault:
        """Return ModelError, with where to read the container's log."""
        group = f"/aws/sagemaker/Endpoints/{one.endpoint}"
        members: dict[str, object] = {
            "OriginalStatusCode": status,
            "OriginalMessage": original,
            "LogStreamArn": f"arn:aws:logs:{one.region}:{one.account}:log-group:{group}",
        }
        text += f" See log group {group} in account {one.account} for more information."
        return faults.rest_json("ModelError", text, 424, **members)

    def refuse(self, exchange: Exchange, fault: Fault) -> None:
        """Answer with an error."""
        exchange.answer(*fault)


def _clean(value: str) -> str:
    """Return a header's value that cannot end its line, whatever a model says."""
    return value if value.isprintable() else _CONTROL_CHARACTERS.sub(" ", value)
