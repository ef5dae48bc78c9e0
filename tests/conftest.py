"""What every test may use."""

pytest_plugins = ["clary.testing.server"]
