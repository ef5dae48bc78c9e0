"""One invocation on its way: from its route to its answer."""

import re
from collections.abc import Mapping
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from clary.gateway.edge import faults
from clary.gateway.edge.exchange import Exchange
from clary.gateway.edge.faults import Fault
from clary.gateway.edge.legs import Leg
from clary.gateway.edge.sessions import SESSIONS, Session
from clary.gateway.edge.sessions import shown as session_shown
from clary.gateway.edge.stages.base import Reply
from clary.serving import components
from clary.serving.frames import Frame

if TYPE_CHECKING:
    from clary.gateway.edge.invoke import Invoke
    from clary.gateway.edge.parts import Parts

WHOLE, ASYNCHRONOUS, STREAMED = "invocations", "async-invocations", "invocations-response-stream"
"""Operations, by the last part of their path."""
ORIGINAL_MESSAGE_CHARS = 4096
PASSED_IN = (
    ("content-type", "content_type"),
    ("accept", "accept"),
    ("x-amzn-sagemaker-custom-attributes", "attributes"),
    ("x-amzn-sagemaker-target-model", "target_model"),
    ("x-amzn-sagemaker-target-container-hostname", "target_container"),
    ("x-amzn-sagemaker-inference-id", "inference_id"),
    ("x-amzn-sagemaker-session-id", "session_id"),
    ("x-amzn-sagemaker-enable-explanations", "explanations"),
)
"""Headers that a replica gets to know, and what a frame calls them."""
_HEADER_NAME = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OWN_HEADERS = frozenset(
    {"content-length", "content-type", "transfer-encoding", "connection", "date", "server"}
)
_NONE: Mapping[str, Any] = MappingProxyType({})
TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency "
    "metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)


class Invocation:
    """One invocation."""

    __slots__ = (
        "_n_asked",
        "asked_at",
        "begun_at",
        "body",
        "deadline",
        "exchange",
        "header",
        "invoke",
        "leg",
        "n_moved",
        "operation",
        "parts",
        "request_id",
        "session",
        "tried",
    )

    def __init__(
        self, invoke: "Invoke", exchange: Exchange, leg: Leg, operation: str, body: bytes, header: bytes
    ) -> None:
        self.invoke = invoke
        self.exchange = exchange
        self.leg = leg
        self.operation = operation
        self.body = body
        self.header = header
        """Of the frame, as it goes out."""
        self.request_id = faults.request_id()
        self.tried: tuple[str, ...] = ()
        """Sockets that were asked, the latest one last."""
        self.session: Session | None = None
        self.n_moved = 0
        """How often a multi-model replica sent it to a model's own process."""
        self.deadline = 0.0
        self.begun_at = self.asked_at = perf_counter()
        self.parts: Parts | None = None
        """The answer under way, where it is streamed."""
        self._n_asked = 0

    def go_on(self) -> None:
        """Pass the stages that are left, then have it answered."""
        asks = self.leg.asks
        while self._n_asked < len(asks):
            stage = asks[self._n_asked]
            self._n_asked += 1
            if not stage.ask(self):
                return
            asks = self.leg.asks
        if not self.exchange.is_gone:
            self.invoke.send(self)

    # From the replica's connection.

    def answered(self, frame: Frame) -> None:
        """Take the replica's answer."""
        self.invoke.finish(self, frame)

    def broken(self, reason: str) -> None:
        """Ask another replica: this one went away."""
        self.invoke.metrics.n_replica_losses += 1
        if self.parts is not None:
            self.parts.break_off("StreamBroken", f"The model's connection ended: {reason}.")
        elif not self.exchange.is_gone:
            self.invoke.send(self, reason)

    def late(self) -> None:
        """Give up: the container took too long."""
        if self.parts is not None:
            self.parts.break_off("ModelInvocationTimeExceeded", TIMED_OUT)
            return
        self.fail(TIMED_OUT, status=0, original="")

    # The answer.

    def reply(self, status: int, lines: bytes, body: bytes, reply: Reply) -> None:
        """Answer, count, and tell the stages that want to know."""
        self.exchange.answer(status, lines, body)
        self.count(reply)

    def count(self, reply: Reply) -> None:
        """Count an answer that is out, and tell the stages that want to know."""
        leg, status = self.leg, reply.status
        tally = leg.tally
        tally.n += 1
        if status >= 500:
            tally.n_5xx += 1
        elif status >= 400:
            tally.n_4xx += 1
        tally.model_s += reply.model_s
        tally.model_most_s = max(tally.model_most_s, reply.model_s)
        tally.overhead_s += perf_counter() - self.begun_at - reply.model_s
        tally.n_received += len(self.body)
        tally.n_sent += len(reply.body)
        for stage in leg.tells:
            stage.told(self, reply)

    def refuse(self, fault: Fault) -> None:
        """Answer with an error of the service's own."""
        self.reply(*fault, Reply(fault.status, "application/json", fault.body))

    def fail(self, text: str, *, status: int, original: str, header: Mapping[str, Any] = _NONE) -> None:
        """Answer ModelError, with where to read the container's log; `header` is that of its answer."""
        tally = self.leg.tally
        if 400 <= status < 500:
            tally.n_model_4xx += 1
        else:
            tally.n_model_5xx += 1
        model_s = perf_counter() - self.asked_at
        fault = self.model_error(text, status=status, original=original)
        self.reply(*fault, Reply(fault.status, "application/json", fault.body, model_s, header))

    def model_error(self, text: str, *, status: int, original: str) -> Fault:
        """Return ModelError, with where to read the container's log."""
        key = self.leg.key
        group = components.log_group(key.endpoint)
        members: dict[str, object] = {
            "OriginalStatusCode": status,
            "OriginalMessage": original,
            "LogStreamArn": f"arn:aws:logs:{key.region}:{key.account}:log-group:{group}",
        }
        text += f" See log group {group} in account {key.account} for more information."
        return faults.rest_json("ModelError", text, 424, **members)

    def refused_by_model(self, status: int, body: bytes, header: Mapping[str, Any] = _NONE) -> None:
        """Answer ModelError for a container that said no, with what it said."""
        original = body[: 4 * ORIGINAL_MESSAGE_CHARS].decode(errors="replace")[:ORIGINAL_MESSAGE_CHARS]
        side, named = "client" if status < 500 else "server", header.get("container", "primary")
        text = f'Received {side} error ({status}) from {named} with message "{original}".'
        self.fail(text, status=status, original=original, header=header)


def answer_lines(one: Invocation, header: dict[str, Any], content_name: str = "content-type") -> bytes:
    """Return the header lines of a good answer."""
    content_type = header.get("content_type") or "application/octet-stream"
    lines = [
        "x-amzn-RequestId: ", one.request_id,
        "\r\n", content_name, ": ", clean(content_type),
        "\r\nx-Amzn-Invoked-Production-Variant: ", one.leg.variant.name, "\r\n",
    ]  # fmt: skip
    attributes = header.get("attributes")
    if attributes:
        lines += ("X-Amzn-SageMaker-Custom-Attributes: ", clean(attributes), "\r\n")
    further = header.get("headers")
    if further:
        for name, value in further.items():
            if name.lower() in SESSIONS:
                value = session_shown(one, name, value)  # noqa: PLW2901 - the client's words for it
            if name.lower() not in _OWN_HEADERS and _HEADER_NAME.match(name):
                lines += (name, ": ", clean(str(value)), "\r\n")
    return "".join(lines).encode()


def clean(value: str) -> str:
    """Return a header's value that cannot end its line, whatever a model says."""
    return value if value.isprintable() else _CONTROL_CHARACTERS.sub(" ", value)


def header_of(fields: dict[str, str], operation: str) -> dict[str, Any]:
    """Return the header of an invocation's frame."""
    header: dict[str, Any] = {member: fields[name] for name, member in PASSED_IN if name in fields}
    if operation == STREAMED:
        accept = fields.get("x-amzn-sagemaker-accept")
        if accept is not None:
            header["accept"] = accept
        header["stream"] = True
    return header
