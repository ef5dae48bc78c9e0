"""What every test may use."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["clary.testing.server"]

settings.register_profile("wide", deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For a loaded machine; new examples every time: `make test-all`."""
settings.register_profile("steady", settings.get_profile("wide"), derandomize=True)
settings.load_profile("steady")
