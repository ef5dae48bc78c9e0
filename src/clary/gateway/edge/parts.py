"""InvokeEndpointWithResponseStream: a model's answer in parts, as events of `vnd.amazon.eventstream`."""

import json
from time import perf_counter
from typing import TYPE_CHECKING

from clary.gateway.edge.stages.base import Reply
from clary.serving.frames import Frame
from clary.wire import eventstream

if TYPE_CHECKING:
    from clary.gateway.edge.invocation import Invocation

CONTENT_TYPE = b"content-type: application/vnd.amazon.eventstream\r\n"
MOST_PART_BYTES = 256 * 1024
"""Of one event; longer parts become several. Clients take far longer ones, but buffer each whole."""
_PART = {":message-type": "event", ":event-type": "PayloadPart", ":content-type": "application/octet-stream"}


class Parts:
    """One streamed answer."""

    def __init__(self, one: "Invocation") -> None:
        self._one = one
        self._has_begun = False
        self._content_type = ""
        self._is_over = False

    def take(self, frame: Frame) -> None:
        """Take a part from the replica; the first one's header is the answer's."""
        one, exchange = self._one, self._one.exchange
        has_more = bool(frame.header.get("more"))
        if exchange.is_gone or self._is_over:
            return
        if not self._has_begun:
            from clary.gateway.edge.invocation import answer_lines  # noqa: PLC0415 - they know each other

            self._has_begun = True
            self._content_type = frame.header.get("content_type", "")
            lines = answer_lines(one, frame.header, "X-Amzn-SageMaker-Content-Type")
            exchange.begin(200, CONTENT_TYPE + lines, None)
        elif "error" in frame.header:
            self.break_off("StreamBroken", frame.body.decode(errors="replace"))
            return
        for at in range(0, len(frame.body), MOST_PART_BYTES):
            exchange.write(eventstream.message(_PART, frame.body[at : at + MOST_PART_BYTES]))
        one.deadline = one.invoke.deadline()
        if not has_more:
            self._end(200)

    def break_off(self, code: str, message: str) -> None:
        """End with the exception that tells the client that parts are missing."""
        if self._is_over or self._one.exchange.is_gone:
            return
        fields = {
            ":message-type": "exception",
            ":exception-type": "ModelStreamError",
            ":content-type": "application/json",
        }
        text = json.dumps({"Message": message, "ErrorCode": code}).encode()
        self._one.exchange.write(eventstream.message(fields, text))
        self._one.leg.tally.n_model_5xx += 1
        self._end(424)

    def _end(self, status: int) -> None:
        self._is_over = True
        self._one.exchange.end()
        self._one.count(Reply(status, self._content_type, b"", perf_counter() - self._one.asked_at))
