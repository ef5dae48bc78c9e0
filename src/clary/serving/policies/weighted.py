"""Variants by their weights, replicas by the least load."""

import random
from collections.abc import Collection
from typing import ClassVar

from clary.serving.policies.base import Load, Replica, Route, Variant


class Weighted:
    """SageMaker's own rule: a variant gets its weight's share of the traffic, an idle replica comes first.

    A variant without replicas is passed over as long as another has some; one of weight zero is reached by
    name only.
    """

    name: ClassVar[str] = "weighted"

    def __init__(self, draw: random.Random | None = None) -> None:
        self._draw = draw or random.Random()  # noqa: S311 - shares of traffic are no secret
        self._turn = 0

    def variant(self, route: Route, target: str | None) -> Variant | None:
        """Choose a variant."""
        variants = route.variants
        if target is not None:
            variants = tuple(each for each in variants if each.name == target)
        if len(variants) == 1:
            return variants[0]
        live = [each for each in variants if each.weight > 0]
        live = [each for each in live if each.replicas] or live
        if not live and target is not None:
            live = [each for each in variants if each.replicas] or list(variants)
            return live[0] if live else None
        if not live:
            return None
        return self._draw.choices(live, [each.weight for each in live])[0]

    def replica(self, variant: Variant, load: Load, tried: Collection[str]) -> Replica | None:
        """Choose the least loaded replica, ties in turn."""
        replicas = variant.replicas
        if len(replicas) == 1:
            return None if replicas[0].address in tried else replicas[0]
        open_to = [each for each in replicas if each.address not in tried]
        if not open_to:
            return None
        if variant.is_random:
            return self._draw.choice(open_to)
        self._turn += 1
        start = self._turn % len(open_to)
        return min(open_to[start:] + open_to[:start], key=lambda each: load(each.address))
