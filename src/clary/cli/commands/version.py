"""`clary version`."""

from clary import __version__

EXAMPLE = "clary version"


def version() -> None:
    """Print the version."""
    print(f"clary {__version__}")
