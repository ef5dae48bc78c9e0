"""Topics: what is published to, and subscribed to."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.kernel.arns import Arn
from clary.kernel.errors import AwsError
from clary.resource.call import Call, as_tags, from_tags
from clary.resource.operation import operation
from clary.services.sns._records import (
    CONFIRMED,
    SUBSCRIPTION,
    TOPIC,
    every,
    invalid,
    missing,
    paged,
    parsed,
    subscriptions,
    topic_of,
)
from clary.store import records, tags
from clary.store.records import Record

ATTRIBUTES: Mapping[str, str] = {"DisplayName": "", "Policy": "", "SignatureVersion": "1"}
"""Attributes that can be set, and their defaults."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")


@operation("CreateTopic")
def create_topic(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Create a topic, or find the one of that name."""
    name, given = request["Name"], from_tags(request.get("Tags"))
    if name.endswith(".fifo"):
        raise invalid("Topic Name", f"'{name}': FIFO topics are not served")
    if not _NAME.fullmatch(name):
        raise invalid("Topic Name", f"'{name}' must be 1 to 256 letters, digits, hyphens and underscores")
    if request.get("DataProtectionPolicy"):
        raise invalid("DataProtectionPolicy", "it is not served; leave it out")
    attributes = request.get("Attributes", {})
    for member, value in attributes.items():
        _check(member, value)
    arn = str(Arn(service="sns", region=call.region, account=call.account, resource=name))
    topic = Record(call.account, call.region, TOPIC, name, arn, "", call.now, call.now, dict(attributes))

    def unit(conn: Connection) -> None:
        known = records.find(conn, call.account, call.region, TOPIC, name)
        if known is None:
            records.insert(conn, topic)
            tags.put(conn, arn, given)
            return
        if given and tags.of(conn, arn) != given:
            raise invalid("Tags", "Topic already exists with different tags")
        if any(known.document.get(member, ATTRIBUTES[member]) != attributes[member] for member in attributes):
            raise invalid("Attributes", "Topic already exists with different attributes")

    call.write(unit)
    return {"TopicArn": arn}


def _check(member: str, value: str) -> None:
    if member not in ATTRIBUTES:
        raise invalid("AttributeName", f"{member} is not served; there are {', '.join(ATTRIBUTES)}")
    if member == "SignatureVersion" and value not in {"1", "2"}:
        raise invalid("SignatureVersion", f"'{value}' must be 1 or 2")


@operation("DeleteTopic")
def delete_topic(call: Call, request: Mapping[str, Any]) -> None:
    """Delete a topic with its subscriptions; one that is not there is deleted already."""
    found = parsed(call, "TopicArn", request["TopicArn"])

    def unit(conn: Connection) -> None:
        topic = records.find(conn, found.account, found.region, TOPIC, found.resource)
        if topic is None:
            return
        for each in subscriptions(conn, topic):
            records.delete(conn, each.account, each.region, SUBSCRIPTION, each.key)
        records.delete(conn, topic.account, topic.region, TOPIC, topic.key)
        tags.drop(conn, topic.arn)

    call.write(unit)


@operation("ListTopics")
def list_topics(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one page of the topics."""
    found = call.read(every, call.account, call.region, TOPIC)
    return paged(request, [{"TopicArn": each.arn} for each in found], "Topics")


@operation("GetTopicAttributes")
def get_topic_attributes(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a topic's attributes, with the number of its subscriptions."""
    topic = topic_of(call, request["TopicArn"])
    found = call.read(subscriptions, topic)
    n_confirmed = sum(each.status == CONFIRMED for each in found)
    counts = {
        "SubscriptionsConfirmed": str(n_confirmed),
        "SubscriptionsPending": str(len(found) - n_confirmed),
        "SubscriptionsDeleted": "0",
    }
    return {
        "Attributes": {
            **ATTRIBUTES,
            **topic.document,
            "TopicArn": topic.arn,
            "Owner": topic.account,
            **counts,
        }
    }


@operation("SetTopicAttributes")
def set_topic_attributes(call: Call, request: Mapping[str, Any]) -> None:
    """Set one attribute."""
    topic = topic_of(call, request["TopicArn"])
    member, value = request["AttributeName"], request.get("AttributeValue", "")
    _check(member, value)
    call.amend(topic, lambda one: replace(one, document={**one.document, member: value}))


def _tagged(call: Call, arn: str) -> str:
    found = parsed(call, "ResourceArn", arn)
    if call.read(records.find, found.account, found.region, TOPIC, found.resource) is None:
        error = missing("Resource")
        raise AwsError(error.message, code="ResourceNotFound", status=404)
    return arn


@operation("TagResource")
def tag_resource(call: Call, request: Mapping[str, Any]) -> None:
    """Tag a topic."""
    call.write(tags.put, _tagged(call, request["ResourceArn"]), from_tags(request["Tags"]))


@operation("UntagResource")
def untag_resource(call: Call, request: Mapping[str, Any]) -> None:
    """Take tags off a topic."""
    call.write(tags.remove, _tagged(call, request["ResourceArn"]), request["TagKeys"])


@operation("ListTagsForResource")
def list_tags_for_resource(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the tags of a topic."""
    return {"Tags": as_tags(call.read(tags.of, _tagged(call, request["ResourceArn"])))}
