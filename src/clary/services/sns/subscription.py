"""Subscriptions: addresses that get what is published, once they have confirmed that they want it.

PendingConfirmation ──token: ConfirmSubscription, or a visit to SubscribeURL──▶ Confirmed
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection

from clary.engine.world import World
from clary.kernel import ids
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.services.sns._publishing import confirmation, hand_over
from clary.services.sns._records import (
    CONFIRMED,
    PENDING,
    SUBSCRIPTION,
    every,
    invalid,
    paged,
    parsed,
    subscription_of,
    subscriptions,
    topic_of,
)
from clary.store import records
from clary.store.records import Record

PROTOCOLS = ("http", "https")
WAITING = "PendingConfirmation"
"""What stands for the ARN of a subscription that is not confirmed."""
ATTRIBUTES: Mapping[str, str] = {"RawMessageDelivery": "false", "DeliveryPolicy": ""}
RETRY = {"numRetries": (3, 0, 100), "minDelayTarget": (20, 1, 3600), "maxDelayTarget": (20, 1, 3600)}
"""Members of `healthyRetryPolicy`: default, least and most.

Source: developer guide, "Creating an HTTP/S delivery policy".
"""


@operation("Subscribe")
def subscribe(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take an address down, and ask it to confirm; one that is a subscriber already stays one."""
    topic = topic_of(call, request["TopicArn"])
    protocol, endpoint = request["Protocol"], request.get("Endpoint", "")
    if protocol not in PROTOCOLS:
        text = f"'{protocol}' is not served; it must be one of {', '.join(PROTOCOLS)}"
        raise invalid("Protocol", text)
    address = urlsplit(endpoint)
    if address.scheme != protocol or not address.hostname:
        raise invalid("Endpoint", f"'{endpoint}' must be a URL that begins with {protocol}://")
    attributes = request.get("Attributes", {})
    private = {"token": ids.token(48)}
    for member, value in attributes.items():
        private |= _checked(member, value)
    key = f"{topic.key}:{uuid.uuid4()}"
    document = {"TopicArn": topic.arn, "Protocol": protocol, "Endpoint": endpoint, **attributes}
    made = Record(
        topic.account,
        topic.region,
        SUBSCRIPTION,
        key,
        f"{topic.arn}:{key.rpartition(':')[2]}",
        PENDING,
        call.now,
        call.now,
        document,
        private,
    )

    def unit(conn: Connection) -> tuple[Record, list[Record]]:
        for known in subscriptions(conn, topic):
            if (known.document["Protocol"], known.document["Endpoint"]) == (protocol, endpoint):
                again = [] if known.status == CONFIRMED else [confirmation(call.world, known)]
                return known, [records.insert(conn, each) for each in again]
        records.insert(conn, made)
        return made, [records.insert(conn, confirmation(call.world, made))]

    found, asked = call.write(unit)
    hand_over(call.world, asked)
    shows = found.status == CONFIRMED or request.get("ReturnSubscriptionArn")
    return {"SubscriptionArn": found.arn if shows else "pending confirmation"}


def _checked(member: str, value: str) -> dict[str, Any]:
    """Return what a subscription keeps of an attribute beside its text."""
    if member not in ATTRIBUTES:
        raise invalid("AttributeName", f"{member} is not served; there are {', '.join(ATTRIBUTES)}")
    if member == "RawMessageDelivery":
        if value not in {"true", "false"}:
            raise invalid(member, f"'{value}' must be true or false")
        return {}
    try:
        given = json.loads(value)["healthyRetryPolicy"] if value else {}
        policy = {name: float(given.get(name, RETRY[name][0])) for name in RETRY}
        unknown = sorted(set(given) - set(RETRY) - {"backoffFunction"})
    except (ValueError, TypeError, KeyError, AttributeError):
        raise invalid(member, "it must be JSON with the member healthyRetryPolicy") from None
    if unknown:
        raise invalid(member, f"{unknown[0]} is not served; there are {', '.join(RETRY)}")
    for name, (_, least, most) in RETRY.items():
        if not least <= policy[name] <= most:
            raise invalid(member, f"{name} {given[name]} must be {least} to {most}")
    return {"policy": policy}


@operation("ConfirmSubscription")
def confirm_subscription(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Confirm by the token that the subscriber was sent."""
    topic = topic_of(call, request["TopicArn"])
    arn = confirm(call.world, topic.arn, request["Token"])
    if not arn:
        raise invalid("Token", "it is none that was sent for this topic")
    return {"SubscriptionArn": arn}


def confirm(world: World, topic_arn: str, token: str) -> str:
    """Confirm the subscription that a token was sent for; return its ARN, empty where there is none."""
    _, _, _, region, account, *_ = [*topic_arn.split(":"), "", "", "", "", ""]

    def unit(conn: Connection) -> str:
        for each in every(conn, account, region, SUBSCRIPTION):
            if each.private["token"] == token and each.document["TopicArn"] == topic_arn:
                if each.status != CONFIRMED:
                    records.update(conn, replace(each, status=CONFIRMED, modified=world.clock()))
                return each.arn
        return ""

    confirmed: str = world.store.write(unit)
    return confirmed


@operation("Unsubscribe")
def unsubscribe(call: Call, request: Mapping[str, Any]) -> None:
    """End a subscription; one that is not there has ended already."""
    parsed(call, "SubscriptionArn", request["SubscriptionArn"])
    remove(call.world, request["SubscriptionArn"])


def remove(world: World, arn: str) -> bool:
    """End the subscription of an ARN; say whether there was one."""

    def unit(conn: Connection) -> bool:
        found = records.find_by_arn(conn, arn)
        if found is None or found.noun != SUBSCRIPTION:
            return False
        return records.delete(conn, found.account, found.region, SUBSCRIPTION, found.key)

    removed: bool = world.store.write(unit)
    return removed


@operation("ListSubscriptions")
def list_subscriptions(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one page of the account's subscriptions."""
    found = call.read(every, call.account, call.region, SUBSCRIPTION)
    return paged(request, [_shown(each) for each in found], "Subscriptions")


@operation("ListSubscriptionsByTopic")
def list_subscriptions_by_topic(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one page of a topic's subscriptions."""
    found = call.read(subscriptions, topic_of(call, request["TopicArn"]))
    return paged(request, [_shown(each) for each in found], "Subscriptions")


def _shown(subscription: Record) -> dict[str, Any]:
    return {
        "SubscriptionArn": subscription.arn if subscription.status == CONFIRMED else WAITING,
        "Owner": subscription.account,
        **{member: subscription.document[member] for member in ("Protocol", "Endpoint", "TopicArn")},
    }


@operation("GetSubscriptionAttributes")
def get_subscription_attributes(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a subscription's attributes."""
    found = subscription_of(call, request["SubscriptionArn"])
    own = {name: value for name, value in {**ATTRIBUTES, **found.document}.items() if value}
    return {
        "Attributes": {
            **own,
            "SubscriptionArn": found.arn,
            "Owner": found.account,
            "PendingConfirmation": "false" if found.status == CONFIRMED else "true",
            "ConfirmationWasAuthenticated": "false",
        }
    }


@operation("SetSubscriptionAttributes")
def set_subscription_attributes(call: Call, request: Mapping[str, Any]) -> None:
    """Set one attribute."""
    found = subscription_of(call, request["SubscriptionArn"])
    member, value = request["AttributeName"], request.get("AttributeValue", "")
    kept = _checked(member, value)

    def change(one: Record) -> Record:
        return replace(one, document={**one.document, member: value}, private={**one.private, **kept})

    call.amend(found, change)
