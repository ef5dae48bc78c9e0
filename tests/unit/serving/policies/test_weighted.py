import random
from collections import Counter
from pathlib import Path

from clary.serving.policies.base import Replica, Route, Variant
from clary.serving.policies.weighted import Weighted


def variant(name: str, weight: float, n_replicas: int = 1) -> Variant:
    return Variant(name, weight, tuple(Replica(f"{name}{n}", f"/{name}{n}") for n in range(n_replicas)))


def route(*variants: Variant) -> Route:
    return Route("InService", variants)


def test_variants_get_their_share() -> None:
    policy, both = Weighted(random.Random(7)), route(variant("A", 3), variant("B", 1))
    seen = Counter(getattr(policy.variant(both, None), "name", None) for _ in range(4000))
    assert 2850 < seen["A"] < 3150
    assert seen["A"] + seen["B"] == 4000


def test_a_named_variant_is_chosen_whatever_its_weight() -> None:
    policy, both = Weighted(), route(variant("A", 1), variant("B", 0))
    assert policy.variant(both, "B") is both.variants[1]
    assert policy.variant(both, "C") is None


def test_weights_of_zero_get_nothing() -> None:
    policy = Weighted()
    assert policy.variant(route(variant("A", 0), variant("B", 0)), None) is None
    both = route(variant("A", 0), variant("B", 0.1))
    assert {getattr(policy.variant(both, None), "name", None) for _ in range(50)} == {"B"}


def test_a_variant_without_replicas_is_passed_over_while_another_has_some() -> None:
    both = route(variant("A", 9, 0), variant("B", 1))
    assert all(Weighted().variant(both, None) is both.variants[1] for _ in range(50))
    none = route(variant("A", 9, 0), variant("B", 1, 0))
    assert Weighted().variant(none, None) in none.variants


def test_the_least_loaded_replica_is_chosen_and_ties_take_turns() -> None:
    policy, one = Weighted(), variant("A", 1, 3)
    load = {"/A0": 2, "/A1": 1, "/A2": 1}
    seen = Counter(getattr(policy.replica(one, load.__getitem__, ()), "id", None) for _ in range(60))
    assert set(seen) == {"A1", "A2"}
    assert min(seen.values()) > 10


def test_a_replica_that_was_tried_is_not_chosen_again() -> None:
    policy, one = Weighted(), variant("A", 1, 2)
    assert policy.replica(one, lambda _: 0, ("/A0",)) == one.replicas[1]
    assert policy.replica(one, lambda _: 0, ("/A0", "/A1")) is None
    assert policy.replica(variant("B", 1), lambda _: 0, ("/B0",)) is None


def test_a_route_is_read_as_the_control_plane_writes_it() -> None:
    document = {
        "status": "Updating",
        "variants": [{"name": "A", "weight": 1, "replicas": [{"id": "r", "address": str(Path("/s"))}]}],
    }
    assert Route.parse(document) == Route("Updating", (Variant("A", 1.0, (Replica("r", "/s"),), key="0/A"),))


def test_a_variant_that_wants_it_draws_its_replicas():
    busy = Variant("A", 1.0, tuple(Replica(f"r{n}", f"/{n}") for n in range(2)), is_random=True)
    policy = Weighted(random.Random(3))
    found = [policy.replica(busy, lambda address: int(address == "/0"), ()) for _ in range(200)]
    drawn = Counter(each.id for each in found if each is not None)
    assert 60 < drawn["r0"] < 140


def test_of_two_fleets_of_one_name_each_gets_its_share_by_name_too():
    entry = {"name": "A", "replicas": [{"id": "r", "address": "/s"}]}
    document = {"status": "InService", "variants": [{**entry, "weight": 0.75}, {**entry, "weight": 0.25}]}
    route = Route.parse(document)
    policy = Weighted(random.Random(3))
    for target in (None, "A"):
        found = [policy.variant(route, target) for _ in range(400)]
        keys = Counter(each.key for each in found if each is not None)
        assert 250 < keys["0/A"] < 350
        assert keys["1/A"] == 400 - keys["0/A"]
