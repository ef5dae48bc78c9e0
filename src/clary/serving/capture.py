"""Captured invocations: as edges spool them, and as S3 objects hold them.

edge ──frames──▶ spool/<edge>-<n>.part ──rename──▶ .ready ──lines, by variant and hour──▶ S3

Source: developer guide, "Capture data from real-time endpoint"; reference/sdk-compat, section 6.7.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from clary.serving.frames import Decoder, FrameError, pack

PART, READY = ".part", ".ready"


class Home(NamedTuple):
    """Where a captured invocation belongs."""

    account: str
    uri: str
    """`DestinationS3Uri`."""
    endpoint: str
    variant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """One captured invocation."""

    home: tuple[str, str, str, str]
    """Of a `Home`."""
    ms: int
    event_id: str
    modes: tuple[str, ...]
    """`Input`, `Output` or both."""
    csv: tuple[str, ...] = ()
    """Content types that are kept as CSV text."""
    json: tuple[str, ...] = ()
    """Content types that are kept as JSON text."""
    asked_type: str = ""
    answered_type: str = ""
    inference_id: str = ""
    attributes: str = ""
    n_asked: int = 0
    """Bytes of the question; those of the answer follow."""

    def packed(self, question: bytes, answer: bytes) -> bytes:
        """Return it with its bodies as one frame of a spool."""
        return pack(0, asdict(self), question + answer)


def read(spool: bytes) -> Iterator[tuple[Captured, bytes, bytes]]:
    """Yield what a spool holds: each invocation with question and answer.

    A last one that was not written whole is left out: its edge was killed.
    """
    try:
        frames = Decoder().feed(spool)
    except FrameError:
        return
    for frame in frames:
        captured = Captured(**frame.header)
        yield captured, frame.body[: captured.n_asked], frame.body[captured.n_asked :]


def line(captured: Captured, question: bytes, answer: bytes) -> str:
    """Return one line of a captured object."""
    data: dict[str, Any] = {}
    if "Input" in captured.modes:
        data["endpointInput"] = _side(captured, captured.asked_type, "INPUT", question)
    if "Output" in captured.modes:
        data["endpointOutput"] = _side(captured, captured.answered_type, "OUTPUT", answer)
    moment = datetime.fromtimestamp(captured.ms / 1000, UTC)
    event: dict[str, Any] = {"eventId": captured.event_id}
    if captured.attributes:
        event["customAttributes"] = [captured.attributes]
    if captured.inference_id:
        event["inferenceId"] = captured.inference_id
    event["inferenceTime"] = f"{moment:%Y-%m-%dT%H:%M:%S}Z"
    document = {"captureData": data, "eventMetadata": event, "eventVersion": "0"}
    return json.dumps(document, separators=(",", ":"))


def _side(captured: Captured, content_type: str, mode: str, body: bytes) -> dict[str, Any]:
    encoding, data = _encoded(captured, content_type, body)
    return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}


def _encoded(captured: Captured, content_type: str, body: bytes) -> tuple[str, str]:
    kind = content_type.partition(";")[0].strip().lower()
    for encoding, types in (("CSV", captured.csv), ("JSON", captured.json)):
        if kind in types:
            try:
                return encoding, body.decode()
            except UnicodeDecodeError:
                break
    return "BASE64", base64.b64encode(body).decode()


def key_of(home: Home, ms: int, name: str) -> str:
    """Return the URI of an object whose first invocation was at `ms`."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return (
        f"{home.uri.rstrip('/')}/{home.endpoint}/{home.variant}/{moment:%Y/%m/%d/%H}/"
        f"{moment:%M-%S}-{ms % 1000:03d}-{name}.jsonl"
    )


def grouped(
    found: Iterable[tuple[Captured, bytes, bytes]],
) -> Mapping[tuple[Home, int], list[tuple[int, str]]]:
    """Return (milliseconds, line) by where they belong and their hour."""
    groups: dict[tuple[Home, int], list[tuple[int, str]]] = {}
    for captured, question, answer in found:
        place = (Home(*captured.home), captured.ms // 3_600_000)
        groups.setdefault(place, []).append((captured.ms, line(captured, question, answer)))
    return groups
