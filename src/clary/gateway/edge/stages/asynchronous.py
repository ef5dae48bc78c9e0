"""Asynchronous inference: the control plane writes an invocation down, and runs it; the client has 202."""

import base64
import json
import re
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from clary.gateway.edge import faults
from clary.gateway.edge.invocation import ASYNCHRONOUS
from clary.gateway.edge.legs import Leg, Routed
from clary.gateway.edge.relay import Away
from clary.gateway.edge.stages.base import Part, Reply, Site

if TYPE_CHECKING:
    from clary.gateway.edge.invocation import Invocation

PATH = "/internal/asynchronous"
_NUMBERS = {
    "x-amzn-sagemaker-requestttlseconds": ("RequestTTLSeconds", 60, 21_600),
    "x-amzn-sagemaker-invocationtimeoutseconds": ("InvocationTimeoutSeconds", 1, 3_600),
}
"""Source: API reference, InvokeEndpointAsync."""
_TEXTS = {
    "x-amzn-sagemaker-content-type": "content_type",
    "x-amzn-sagemaker-accept": "accept",
    "x-amzn-sagemaker-custom-attributes": "attributes",
    "x-amzn-sagemaker-inference-id": "inference_id",
}
_NAME = re.compile(r"[A-Za-z0-9!_.*'()/-]{1,512}")


class Asynchronous:
    """The stage of one edge."""

    name: ClassVar[str] = "asynchronous"

    def __init__(self, site: Site) -> None:
        self._site = site

    def wants(self, leg: Leg, _routed: Routed) -> Part:
        """Want the invocations of asynchronous endpoints."""
        return Part.ASK if leg.document.get("asynchronous") else Part.NOTHING

    def ask(self, one: "Invocation") -> bool:
        """Take it over."""
        endpoint = one.leg.key.endpoint
        if one.operation != ASYNCHRONOUS:
            text = f"Endpoint {endpoint} is an asynchronous one: use InvokeEndpointAsync."
            one.refuse(faults.rest_json("ValidationError", text, 400))
            return False
        try:
            job = job_of(one.exchange.head.fields, one.leg.document["asynchronous"], one.body)
        except ValueError as error:
            one.refuse(faults.rest_json("ValidationError", str(error), 400))
            return False
        job["variant"] = list(one.leg.key)
        if one.body:
            job["body"] = base64.b64encode(one.body).decode()
        self._site.spawn(self._write_down(one, job), one.exchange)
        return False

    async def _write_down(self, one: "Invocation", job: dict[str, Any]) -> None:
        try:
            status = await self._site.control.tell(PATH, json.dumps(job).encode())
        except (Away, OSError, TimeoutError):
            status = 503
        if status != 200:
            one.refuse(faults.busy("Clary's control plane does not answer; it may be restarting."))
            return
        lines = [
            f"x-amzn-RequestId: {one.request_id}\r\ncontent-type: application/json\r\n",
            f"X-Amzn-SageMaker-OutputLocation: {job['output']}\r\n",
        ]
        if job["failure"]:
            lines.append(f"X-Amzn-SageMaker-FailureLocation: {job['failure']}\r\n")
        body = json.dumps({"InferenceId": job["header"]["inference_id"]}).encode()
        one.exchange.answer(202, "".join(lines).encode(), body)

    def told(self, _one: "Invocation", _reply: Reply) -> None:
        """Hear nothing."""

    def sweep(self, _now: float) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def job_of(fields: Mapping[str, str], terms: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    """Return what is to be done, as the control plane keeps it.

    Raises
    ------
    ValueError
        A header is missing or out of range; the text names it.
    """
    source = fields.get("x-amzn-sagemaker-inputlocation", "")
    if bool(source) == bool(body):
        raise ValueError("Give InputLocation or Body, and not both.")
    if source and not source.startswith("s3://"):
        raise ValueError(f"InputLocation '{source}' must be an S3 URI, such as s3://bucket/key.")
    numbers = {}
    for name, (member, low, high) in _NUMBERS.items():
        given = fields.get(name)
        if given is None:
            continue
        if not given.isdecimal() or not low <= int(given) <= high:
            raise ValueError(f"{member} must be a number from {low} to {high}; it is '{given}'.")
        numbers[member] = int(given)
    identity = str(uuid.uuid4())
    name = fields.get("x-amzn-sagemaker-filename") or f"{identity}.out"
    folder = fields.get("x-amzn-sagemaker-s3outputpathextension", "").strip("/")
    for member, value in (("Filename", name), ("S3OutputPathExtension", folder)):
        if value and not _NAME.fullmatch(value):
            raise ValueError(f"{member} '{value}' has characters that a key must not have.")
    prefix = "/".join(part for part in (terms["output"].rstrip("/"), folder) if part)
    header = {member: fields[each] for each, member in _TEXTS.items() if each in fields}
    header.setdefault("inference_id", identity)
    failure = f"{terms['failure'].rstrip('/')}/{identity}-error.out" if terms["failure"] else ""
    return {
        "id": identity,
        "input": source,
        "output": f"{prefix}/{name}",
        "failure": failure,
        "header": header,
        **({"notify": terms["notify"]} if "notify" in terms else {}),
        **numbers,
    }


def make(site: Site) -> Asynchronous:
    """Return the stage of one edge."""
    return Asynchronous(site)
