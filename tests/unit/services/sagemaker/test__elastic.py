"""Instances that come and go without an update."""

from types import SimpleNamespace
from typing import cast

import pytest

from clary.engine.machine import Job
from clary.engine.world import World
from clary.kernel.clock import from_epoch_ms
from clary.services.sagemaker._elastic import elastic
from clary.serving.scaling.usage import Counts, Key, Usage

KEY = Key("1", "r", "e", "v")
NOW_S = 10_000.0
JOB = cast("Job", SimpleNamespace(record=SimpleNamespace(account="1", region="r", key="e")))


@pytest.fixture
def usage():
    return Usage()


def instances(usage, n, **terms):
    world = SimpleNamespace(
        extras={"usage": usage},
        clock=lambda: from_epoch_ms(int(NOW_S * 1000)),
        settings=SimpleNamespace(serverless_idle_s=300.0),
    )
    serverless = {"MaxConcurrency": 5, "MemorySizeInMB": 1024, **terms}
    variant = {"VariantName": "v", "InstanceCount": n, "Serverless": serverless}
    plan, _look_s = elastic(JOB, cast("World", world), {"variants": [variant]})
    return plan["variants"][0]["InstanceCount"]


def asked(usage, seconds_ago, model_s=0.1):
    usage.take([(KEY, Counts(n=1, model_s=model_s))], NOW_S - seconds_ago)


def test_a_serverless_variant_that_rests_loses_its_instances(usage):
    asked(usage, 400)
    assert instances(usage, 1) == 0
    assert instances(usage, 3, ProvisionedConcurrency=2) == 2


def test_one_that_was_asked_of_late_keeps_them(usage):
    asked(usage, 200)
    assert instances(usage, 1) == 1


def test_nobody_loses_anything_to_a_control_plane_that_has_just_started():
    assert instances(Usage(since_s=NOW_S - 10), 1) == 1


def test_somebody_who_waits_brings_the_first_instance(usage):
    usage.awaits(KEY, NOW_S - 1)
    assert instances(usage, 0) == 1


def test_concurrency_brings_more_up_to_the_limit(usage):
    asked(usage, 1, model_s=9.0)
    assert instances(usage, 1) == 3
    asked(usage, 1, model_s=90.0)
    assert instances(usage, 1) == 5
