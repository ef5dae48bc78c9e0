"""What every test may use."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["clary.testing.server"]

_SLOW_MACHINE = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("steady", derandomize=True, **_SLOW_MACHINE)
settings.register_profile("wide", **_SLOW_MACHINE)  # new examples every time: `make test-all`
settings.load_profile("steady")
