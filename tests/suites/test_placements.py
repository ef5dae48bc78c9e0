"""Every placement passes the suite of placements; members are found by their files."""

from clary.kernel import registry
from clary.testing.placement_suite import PlacementSuite

ELSEWHERE = {"ray": "test_ray.py"}
"""Placements that need machines of their own, and which file makes them."""

for _stem in registry.stems("clary.compute.placements"):
    if _stem not in ELSEWHERE:
        _name = f"Test{_stem.title()}Placement"
        globals()[_name] = type(_name, (PlacementSuite,), {"stem": _stem})
