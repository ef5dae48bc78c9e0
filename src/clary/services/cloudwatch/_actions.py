"""What an alarm tells the topics that its actions name.

Source: CloudWatch user guide, "Notifying users on alarm changes": members of the message.
"""

import json
import logging
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from clary.engine.world import World
from clary.services.sns._publishing import Message, publish_to
from clary.store.records import Record

MEMBERS = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}

log = logging.getLogger(__name__)


def notify(world: World, alarm: Record, state: str, reason: str) -> None:
    """Tell the topics of a state that an alarm goes into it; told again, the message is the same one."""
    document = alarm.document
    topics = [arn for arn in document.get(MEMBERS[state], ()) if arn.startswith("arn:") and ":sns:" in arn]
    if not topics or not document.get("ActionsEnabled", True):
        return
    text = json.dumps(_told(alarm, state, reason, world.clock()))
    subject = f'{state}: "{alarm.key}" in {alarm.region}'[:100]
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{alarm.arn}:{alarm.version}:{state}"))
    for arn in topics:
        why = publish_to(world, arn, Message(text=text, subject=subject, id=identity))
        if why:
            log.warning("alarm %s tells nobody: %s", alarm.key, why)


def _told(alarm: Record, state: str, reason: str, moment: datetime) -> dict[str, Any]:
    document = alarm.document
    members = ("OKActions", "AlarmActions", "InsufficientDataActions")
    return {
        "AlarmName": alarm.key,
        "AlarmDescription": document.get("AlarmDescription"),
        "AWSAccountId": alarm.account,
        "AlarmConfigurationUpdatedTimestamp": stamp(document["AlarmConfigurationUpdatedTimestamp"]),
        "NewStateValue": state,
        "NewStateReason": reason,
        "StateChangeTime": stamp(moment),
        "Region": alarm.region,
        "AlarmArn": alarm.arn,
        "OldStateValue": alarm.status,
        **{member: document.get(member, []) for member in members},
        "Trigger": _trigger(document),
    }


def _trigger(document: Mapping[str, Any]) -> dict[str, Any]:
    is_extended = "ExtendedStatistic" in document
    return {
        "MetricName": document["MetricName"],
        "Namespace": document["Namespace"],
        "StatisticType": "ExtendedStatistic" if is_extended else "Statistic",
        "Statistic": document["ExtendedStatistic"] if is_extended else document["Statistic"].upper(),
        "Unit": document.get("Unit"),
        "Dimensions": [
            {"value": each["Value"], "name": each["Name"]} for each in document.get("Dimensions", ())
        ],
        "Period": document["Period"],
        "EvaluationPeriods": document["EvaluationPeriods"],
        **({"DatapointsToAlarm": document["DatapointsToAlarm"]} if "DatapointsToAlarm" in document else {}),
        "ComparisonOperator": document["ComparisonOperator"],
        "Threshold": document["Threshold"],
        "TreatMissingData": document.get("TreatMissingData", "missing"),
        "EvaluateLowSampleCountPercentile": "",
    }


def stamp(moment: datetime) -> str:
    """Return a time as alarms tell it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"
