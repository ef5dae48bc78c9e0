"""Instances that come and go without an update: serverless variants, and those scaled to zero."""

import math
from collections.abc import Mapping
from typing import Any

from clary.engine.machine import Job
from clary.engine.world import World
from clary.services.sagemaker._rooms import of_endpoint
from clary.serving.scaling.usage import Key, Usage

WINDOW_S = 3.0
"""Over which concurrency is measured."""
BUSY_LOOK_S = 1.0
IDLE_LOOK_S = 5.0


def elastic(job: Job, world: World, plan: Mapping[str, Any]) -> tuple[Mapping[str, Any], float]:
    """Return the plan with the instances that its variants need now, and the seconds to the next look.

    A variant without instances gets its first one when somebody waits for it. A serverless one gets as many
    as invocations are in flight on average, at most one a core, and loses them when it rests.
    """
    usage: Usage = world.extras.setdefault("usage", Usage())
    now_s = world.clock().timestamp()
    variants, look_s = [], math.inf
    for variant in plan["variants"]:
        key = Key(job.record.account, job.record.region, job.record.key, variant["VariantName"])
        n = variant["InstanceCount"]
        if "Serverless" in variant:
            n = _serverless(variant["Serverless"], n, usage, key, now_s, world.settings.serverless_idle_s)
            look_s = min(look_s, BUSY_LOOK_S if n > 1 else IDLE_LOOK_S) if n else look_s
        elif variant.get("Room"):
            n = _occupied(job, world, variant)
            look_s = min(look_s, IDLE_LOOK_S)
        elif not n and usage.is_awaited(key, now_s):
            n = 1
        # who was asked while it had none is held until the first one answers, not only until it is launched
        woken = {"Woken": True} if n and not variant["InstanceCount"] and not variant.get("Room") else {}
        variants.append({**variant, "InstanceCount": n, **woken})
    return ({**plan, "variants": variants} if variants != plan["variants"] else plan), look_s


def _occupied(job: Job, world: World, variant: Mapping[str, Any]) -> int:
    """Return the instances that the copies of inference components need, within the variant's bounds."""
    scaling = variant.get("ManagedInstanceScaling", {})
    n = int(variant["InstanceCount"])
    if scaling.get("Status") != "ENABLED":
        return n
    placed = [
        place
        for component in world.store.read(of_endpoint, job.record)
        if component.document["VariantName"] == variant["VariantName"]
        for place in component.private.get("placed", ())
    ]
    least, most = int(scaling.get("MinInstanceCount", 0)), int(scaling.get("MaxInstanceCount", max(1, n)))
    return min(most, max(least, 1 + max(placed, default=-1)))


def _serverless(terms: Mapping[str, Any], n: int, usage: Usage, key: Key, now_s: float, idle_s: float) -> int:
    least = int(terms.get("ProvisionedConcurrency", 0))
    last = usage.last(key)
    is_awaited = usage.is_awaited(key, now_s)
    if not is_awaited and (last is None or now_s - last > idle_s) and not usage.is_new(now_s, idle_s):
        return least
    concurrency = usage.counted(key, now_s, WINDOW_S).model_s / WINDOW_S
    wanted = max(1 if is_awaited or n else 0, math.ceil(concurrency - 0.25), least)
    return min(int(terms["MaxConcurrency"]), max(n, wanted))
