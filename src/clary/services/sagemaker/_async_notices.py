"""What asynchronous inference tells the topics of its NotificationConfig.

Source: developer guide, "Check prediction results": members of the messages; `responseBody` is inferred from
the size limit and the member that asks for it.
"""

import base64
import json
import logging
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from clary.engine.world import World
from clary.services.sns._publishing import Message, publish_to

MOST_BODY_BYTES = 128 * 1024
"""Longer answers are not in the message. Source: API reference, AsyncInferenceNotificationConfig."""
SUCCESS, ERROR = "SUCCESS_NOTIFICATION_TOPIC", "ERROR_NOTIFICATION_TOPIC"

log = logging.getLogger(__name__)


def completed(world: World, job: Mapping[str, Any], content_type: str, body: bytes) -> None:
    """Tell that an invocation was answered."""
    response = {"contentType": content_type, "outputLocation": job["output"]}
    _tell(
        world, job, "SuccessTopic", SUCCESS, body, invocationStatus="Completed", responseParameters=response
    )


def failed(world: World, job: Mapping[str, Any], reason: str, body: bytes) -> None:
    """Tell that an invocation was not, and why; `body` is what the model said, if it said something."""
    members: dict[str, Any] = {"invocationStatus": "Failed", "failureReason": reason}
    if job["failure"]:
        members["responseParameters"] = {"failureLocation": job["failure"]}
    _tell(world, job, "ErrorTopic", ERROR, body, **members)


def _tell(world: World, job: Mapping[str, Any], member: str, kind: str, body: bytes, **members: Any) -> None:
    terms = job.get("notify", {})
    arn = terms.get(member)
    if not arn:
        return
    _, region, endpoint, *_ = job["variant"]
    header = job["header"]
    asked = {
        "accept": header.get("accept"),
        "contentType": header.get("content_type"),
        "customAttributes": header.get("attributes"),
        "endpointName": endpoint,
        "inputLocation": job["input"] or None,
    }
    told: dict[str, Any] = {
        "awsRegion": region,
        "eventTime": _stamp(world.clock()),
        "receivedTime": _stamp(datetime.fromtimestamp(job["since"], UTC)),
        **members,
        "requestParameters": {name: value for name, value in asked.items() if value is not None},
        "inferenceId": header["inference_id"],
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }
    if body and kind in terms.get("IncludeInferenceResponseIn", ()) and len(body) <= MOST_BODY_BYTES:
        told["responseBody"] = {"content": base64.b64encode(body).decode(), "encoding": "BASE64"}
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{job['id']}:{member}"))
    why = publish_to(world, arn, Message(text=json.dumps(told), id=identity))
    if why:
        log.warning("asynchronous invocation %s of %s tells nobody: %s", job["id"], endpoint, why)


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
