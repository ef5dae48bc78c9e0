"""Publishing to a topic: a line in its log, and a delivery for each subscriber, in one transaction.

publish ──▶ log group sns/<region>/<account>/<topic>, stream `messages`
       └──▶ delivery, a record each ──▶ gateway/control/deliveries.py posts it, again where need be
"""

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection

from clary.engine.world import World
from clary.kernel.clock import epoch_ms
from clary.services.sns import _signing
from clary.services.sns._records import CONFIRMED, DELIVERIES, DELIVERY, TOPIC, subscriptions
from clary.store import logs, records
from clary.store.base import Duplicate
from clary.store.records import Record

PATH = "/_clary/sns"
"""Of the links in messages: an unsigned request at the root would be S3's."""
TYPE_HEADERS = {
    "Content-Type": "text/plain; charset=UTF-8",
    "User-Agent": "Amazon Simple Notification Service Agent",
}


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is published."""

    text: str
    subject: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """`MessageAttributes`, as on the wire."""
    by_protocol: Mapping[str, str] = field(default_factory=dict)
    """Texts of protocols that get another; of `MessageStructure` json."""
    id: str = ""
    """Empty for a new one; the same id is delivered once."""


def group_of(topic: Record) -> str:
    """Return the log group of a topic. Source: developer guide, "Viewing Amazon CloudWatch logs"."""
    return f"sns/{topic.region}/{topic.account}/{topic.key}"


def publish_to(world: World, arn: str, message: Message) -> str:
    """Publish for the platform itself; return why it could not, or nothing."""
    account, region, name = arn.split(":")[4], arn.split(":")[3], arn.split(":")[5]
    topic = world.store.read(records.find, account, region, TOPIC, name)
    if topic is None:
        return f"there is no topic {arn}"
    publish(world, topic, message)
    return ""


def publish(world: World, topic: Record, message: Message) -> str:
    """Publish a message; return its id once it is durable."""
    identity = message.id or str(uuid.uuid4())
    moment = world.clock()
    version = topic.document.get("SignatureVersion", "1")
    told: dict[str, dict[str, Any]] = {}

    def form(protocol: str) -> dict[str, Any]:
        text = message.by_protocol.get(protocol, message.text)
        if text not in told:
            told[text] = _notification(world, topic, message, text, identity, moment, version)
        return told[text]

    def unit(conn: Connection) -> list[Record]:
        made = []
        for each in subscriptions(conn, topic):
            if each.status != CONFIRMED:
                continue
            delivery = _delivery(world, each, form(each.document["Protocol"]), identity, moment)
            try:
                made.append(records.insert(conn, delivery))
            except Duplicate:
                continue  # published before: a step of a machine ran twice
        line = json.dumps({"MessageId": identity, "Subject": message.subject, "Message": message.text})
        ms = epoch_ms(moment)
        logs.append(conn, topic.account, topic.region, group_of(topic), "messages", [(ms, line)], ms)
        return made

    hand_over(world, world.store.write(unit))
    return identity


def hand_over(world: World, made: list[Record]) -> None:
    """Have durable deliveries posted."""
    take = world.extras.get("deliver")
    if take is not None and made:
        take(made)


def confirmation(world: World, subscription: Record) -> Record:
    """Return the delivery that asks a subscriber whether it wants to be one."""
    topic_arn, token = subscription.document["TopicArn"], subscription.private["token"]
    moment = world.clock()
    query = {"Action": "ConfirmSubscription", "TopicArn": topic_arn, "Token": token}
    message = {
        "Type": "SubscriptionConfirmation",
        "MessageId": str(uuid.uuid4()),
        "Token": token,
        "TopicArn": topic_arn,
        "Message": (
            f"You have chosen to subscribe to the topic {topic_arn}.\n"
            "To confirm the subscription, visit the SubscribeURL included in this message."
        ),
        "SubscribeURL": f"{world.settings.url}{PATH}?{urlencode(query)}",
        "Timestamp": _stamp(moment),
    }
    _sign(world, message, "1")
    return _record(world, subscription, message, json.dumps(message, indent=2), message["MessageId"], moment)


def _notification(
    world: World, topic: Record, message: Message, text: str, identity: str, moment: datetime, version: str
) -> dict[str, Any]:
    made: dict[str, Any] = {"Type": "Notification", "MessageId": identity, "TopicArn": topic.arn}
    if message.subject:
        made["Subject"] = message.subject
    made |= {"Message": text, "Timestamp": _stamp(moment)}
    _sign(world, made, version)
    if message.attributes:
        made["MessageAttributes"] = {name: _attribute(each) for name, each in message.attributes.items()}
    return made


def _sign(world: World, message: dict[str, Any], version: str) -> None:
    message["SignatureVersion"] = version
    message["Signature"] = _signing.signed(world.settings.data_dir, message, version)
    message["SigningCertURL"] = f"{world.settings.url}{PATH}/certificate.pem"


def _attribute(given: Mapping[str, Any]) -> dict[str, str]:
    value = given.get("StringValue")
    if value is None:
        value = base64.b64encode(given.get("BinaryValue", b"")).decode()
    return {"Type": given["DataType"], "Value": value}


def _delivery(
    world: World, subscription: Record, message: Mapping[str, Any], identity: str, moment: datetime
) -> Record:
    if subscription.document.get("RawMessageDelivery") == "true":
        return _record(world, subscription, message, message["Message"], identity, moment, is_raw=True)
    query = {"Action": "Unsubscribe", "SubscriptionArn": subscription.arn}
    whole = {**message, "UnsubscribeURL": f"{world.settings.url}{PATH}?{urlencode(query)}"}
    return _record(world, subscription, message, json.dumps(whole, indent=2), identity, moment)


def _record(
    world: World,
    subscription: Record,
    message: Mapping[str, Any],
    body: str,
    identity: str,
    moment: datetime,
    *,
    is_raw: bool = False,
) -> Record:
    headers = {
        **TYPE_HEADERS,
        "x-amz-sns-message-type": message["Type"],
        "x-amz-sns-message-id": identity,
        "x-amz-sns-topic-arn": message["TopicArn"],
    }
    if message["Type"] == "Notification":
        headers["x-amz-sns-subscription-arn"] = subscription.arn
    if is_raw:
        headers["x-amz-sns-rawdelivery"] = "true"
    document = {
        "subscription": subscription.arn,
        "endpoint": subscription.document["Endpoint"],
        "policy": subscription.private.get("policy", {}),
        "headers": headers,
        "body": body,
        "tries": 0,
        "due": moment.timestamp(),
    }
    key = f"{identity}/{subscription.key}"
    return Record(*DELIVERIES, DELIVERY, key, "", "Queued", moment, moment, document)


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
