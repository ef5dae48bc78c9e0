"""Topics and subscriptions as they are stored, and errors as this service words them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.kernel.arns import Arn
from clary.kernel.errors import AwsError
from clary.resource import tokens
from clary.resource.call import Call
from clary.store import listing, records
from clary.store.listing import Query
from clary.store.records import Record

TOPIC, SUBSCRIPTION, DELIVERY = "Topic", "Subscription", "SnsDelivery"
"""Nouns. A subscription's key is `<topic>:<id>`, so that a topic's stand together."""
DELIVERIES = ("clary", "-")
"""Account and region of the deliveries: those of their topic are in the documents."""
PENDING, CONFIRMED = "PendingConfirmation", "Confirmed"
PAGE = 100
"""Source: API reference, ListTopics: "up to 100 topics"."""


def invalid(member: str, reason: str) -> AwsError:
    """Return the error of a member that cannot be."""
    return AwsError(f"Invalid parameter: {member} Reason: {reason}", code="InvalidParameter")


def missing(title: str) -> AwsError:
    """Return the error of something that does not exist."""
    return AwsError(f"{title} does not exist", code="NotFound", status=404)


def parsed(call: Call, member: str, arn: str) -> Arn:
    """Take an ARN apart that must be the caller's own.

    Raises
    ------
    AwsError
        It is none of this service, or another account's.
    """
    try:
        found = Arn.parse(arn)
    except ValueError:
        raise invalid(member, f"'{arn}' is not an ARN") from None
    if found.service != "sns":
        raise invalid(member, f"'{arn}' is not an ARN of sns")
    if found.account != call.account:
        text = f"User: {call.principal} is not authorized to perform: SNS:{call.operation} on resource: {arn}"
        raise AwsError(text, code="AuthorizationError", status=403)
    return found


def topic_of(call: Call, arn: str) -> Record:
    """Return the caller's topic of an ARN."""
    found = parsed(call, "TopicArn", arn)
    record: Record | None = call.read(records.find, found.account, found.region, TOPIC, found.resource)
    if record is None:
        raise missing("Topic")
    return record


def has_topic(call: Call, arn: str) -> bool:
    """Say whether an ARN is that of a topic of the caller's."""
    found: Record | None = call.read(records.find_by_arn, arn)
    return found is not None and (found.noun, found.account) == (TOPIC, call.account)


def subscription_of(call: Call, arn: str) -> Record:
    """Return the caller's subscription of an ARN."""
    found = parsed(call, "SubscriptionArn", arn)
    record: Record | None = call.read(records.find, found.account, found.region, SUBSCRIPTION, found.resource)
    if record is None:
        raise missing("Subscription")
    return record


def every(conn: Connection, account: str, region: str, noun: str) -> list[Record]:
    """Return every record of a noun, by key."""
    found: list[Record] = []
    query = Query(account=account, region=region, noun=noun, sort="key", descending=False, limit=1000)
    while True:
        page = listing.page(conn, query)
        found += page.records
        if page.next is None:
            return found
        query = replace(query, after=page.next)


def subscriptions(conn: Connection, topic: Record) -> list[Record]:
    """Return the subscriptions of a topic, those that wait for their confirmation, too."""
    found = every(conn, topic.account, topic.region, SUBSCRIPTION)
    return [each for each in found if each.document["TopicArn"] == topic.arn]


def paged(request: Mapping[str, Any], items: list[dict[str, Any]], member: str) -> dict[str, Any]:
    """Return one page of a list."""
    token = request.get("NextToken")
    try:
        begin = int(tokens.decode(token, int)) if token else 0
    except ValueError:
        raise invalid("NextToken", "it is none that this list has given") from None
    end = begin + PAGE
    answer: dict[str, Any] = {member: items[begin:end]}
    return answer | ({"NextToken": tokens.encode(end)} if end < len(items) else {})
