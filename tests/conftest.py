"""What every test may use."""

import tracemalloc  # noqa: F401 - kept ready, see below

import pytest
from hypothesis import HealthCheck, settings

# pytest imports tracemalloc when an unclosed file is collected. That may be in the midst of another import,
# which Python 3.11 does not outlive (KeyError in _ModuleLock, python/cpython#91351) without the module.

pytest_plugins = ["clary.testing.server"]

settings.register_profile("wide", deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For a loaded machine; new examples every time: `make test-all`."""
settings.register_profile("steady", settings.get_profile("wide"), derandomize=True)
settings.load_profile("steady")

LONG = ("tests/docs/", "tests/contract/sdk/", "tests/contract/", "tests/suites/")
"""Folders whose modules take long, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long: no worker shall be left alone with it while the other has nothing to do."""
    items.sort(
        key=lambda item: next((n for n, each in enumerate(LONG) if item.nodeid.startswith(each)), len(LONG))
    )
