"""What DescribeEndpoint shows of a deployment in progress."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from clary.services.sagemaker._endpoint_views import pending, variants
from clary.store.records import Record

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CALL = cast("Any", None)


def target(name="a", weight=1.0, count=2):
    variant = {"VariantName": name, "Image": "image", "Weight": weight, "InstanceCount": count}
    return {"variants": [{**variant, "InstanceType": "ml.m5.large"}]}


def record(status, **private):
    return Record("1", "r", "Endpoint", "e", "arn", status, NOW, NOW, {"EndpointConfigName": "old"}, private)


def test_a_new_endpoint_shows_what_it_will_have():
    shown = pending(CALL, record("Creating", plan=target()))
    assert shown is not None
    assert (shown["EndpointConfigName"], shown["StartTime"]) == ("old", NOW)
    assert shown["ProductionVariants"] == [
        {
            "VariantName": "a",
            "DeployedImages": [{"SpecifiedImage": "image", "ResolvedImage": "image"}],
            "CurrentWeight": 0.0,
            "DesiredWeight": 1.0,
            "CurrentInstanceCount": 0,
            "DesiredInstanceCount": 2,
            "InstanceType": "ml.m5.large",
            "VariantStatus": [{"Status": "Creating", "StartTime": NOW}],
        }
    ]


def test_an_update_shows_the_new_configuration_beside_what_serves():
    served = [{"VariantName": "a", "Image": "image", "Weight": 1.0, "InstanceCount": 1, "Replicas": [{}]}]
    intent = {"update": target(weight=3.0), "config": "new"}
    shown = pending(CALL, record("Updating", plan=target(), served=served, intent=intent))
    assert shown is not None
    assert shown["EndpointConfigName"] == "new"
    (variant,) = shown["ProductionVariants"]
    assert (variant["CurrentWeight"], variant["DesiredWeight"]) == (1.0, 3.0)
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (1, 2)


def test_what_serves_shows_what_it_was_asked_for_beside_what_it_has():
    served = [{"VariantName": "a", "Image": "image", "Weight": 1.0, "InstanceCount": 1, "Replicas": [{}]}]
    intent = {"update": target(weight=3.0)}
    (shown,) = variants(CALL, record("Updating", plan=target(count=1), served=served, intent=intent))
    assert (shown["CurrentWeight"], shown["DesiredWeight"]) == (1.0, 3.0)
    assert (shown["CurrentInstanceCount"], shown["DesiredInstanceCount"]) == (1, 2)


@pytest.mark.parametrize("status", ["InService", "Failed", "Deleting"])
def test_at_rest_there_is_none(status):
    assert pending(CALL, record(status, plan=target())) is None
