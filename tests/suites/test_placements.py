"""Every placement passes the suite of placements; members are found by their files."""

import pytest

from clary.kernel import registry
from clary.testing.placement_suite import PlacementSuite

for _stem in registry.stems("clary.compute.placements"):
    _name = f"Test{_stem.title()}Placement"
    globals()[_name] = pytest.mark.timeout(120)(type(_name, (PlacementSuite,), {"stem": _stem}))
