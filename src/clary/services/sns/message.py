"""Publishing: one message, or up to ten, to a topic."""

import json
from collections.abc import Mapping
from typing import Any

from clary.kernel.errors import AwsError
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.services.sns._publishing import Message, publish
from clary.services.sns._records import invalid, topic_of

MOST_BYTES = 262_144
"""Source: API reference, Publish: "maximum of 262,144 bytes"."""
MOST_SUBJECT = 100
MOST_ENTRIES = 10


@operation("Publish")
def publish_message(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Publish a message to a topic; it is durable when this answers."""
    if request.get("PhoneNumber"):
        raise invalid("PhoneNumber", "text messages are not served; give TopicArn")
    arn = request.get("TopicArn") or request.get("TargetArn")
    if not arn:
        raise invalid("TopicArn or TargetArn", "no value for required parameter")
    topic = topic_of(call, arn)
    return {"MessageId": publish(call.world, topic, _message(request))}


@operation("PublishBatch")
def publish_batch(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Publish up to ten messages; each succeeds or fails for itself."""
    topic = topic_of(call, request["TopicArn"])
    entries = request["PublishBatchRequestEntries"]
    if not entries:
        raise AwsError("The batch request doesn't contain any entries.", code="EmptyBatchRequest")
    if len(entries) > MOST_ENTRIES:
        text = f"The batch request contains more entries than permissible: {len(entries)}, of {MOST_ENTRIES}."
        raise AwsError(text, code="TooManyEntriesInBatchRequest")
    if len({entry["Id"] for entry in entries}) < len(entries):
        raise AwsError(
            "Two or more batch entries in the request have the same Id.", code="BatchEntryIdsNotDistinct"
        )
    done: dict[str, list[dict[str, Any]]] = {"Successful": [], "Failed": []}
    for entry in entries:
        try:
            identity = publish(call.world, topic, _message(entry))
        except AwsError as error:
            failed = {
                "Id": entry["Id"],
                "Code": error.wire_code,
                "Message": error.message,
                "SenderFault": True,
            }
            done["Failed"].append(failed)
        else:
            done["Successful"].append({"Id": entry["Id"], "MessageId": identity})
    return done


def _message(request: Mapping[str, Any]) -> Message:
    """Return what is to be published, checked."""
    for member in ("MessageGroupId", "MessageDeduplicationId"):
        if request.get(member):
            raise invalid(member, "it is of FIFO topics, which are not served")
    text, subject = request.get("Message", ""), request.get("Subject", "")
    if not text:
        raise AwsError("Invalid parameter: Empty message", code="InvalidParameter")
    if len(text.encode()) > MOST_BYTES:
        raise AwsError("Invalid parameter: Message too long", code="InvalidParameter")
    if len(subject) > MOST_SUBJECT or "\n" in subject:
        raise invalid("Subject", f"it must be one line of at most {MOST_SUBJECT} characters")
    by_protocol: Mapping[str, str] = {}
    structure = request.get("MessageStructure")
    if structure == "json":
        try:
            by_protocol = json.loads(text)
            text = by_protocol["default"]
        except (ValueError, TypeError, KeyError):
            raise invalid("Message Structure", "No default entry in JSON message body") from None
    elif structure:
        raise invalid("MessageStructure", f"'{structure}' must be json")
    return Message(
        text=text,
        subject=subject,
        attributes=request.get("MessageAttributes", {}),
        by_protocol={name: str(value) for name, value in by_protocol.items()},
    )
