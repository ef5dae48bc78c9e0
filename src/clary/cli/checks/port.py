"""The public port."""

from collections.abc import Iterator

from clary.cli import preflight
from clary.cli.checks.base import Finding, Grade
from clary.cli.supervisor import state
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings


def check(settings: Settings) -> Iterator[Finding]:
    """Look whether the port is free, or Clary's own."""
    running = state.running(settings.data_dir)
    if running is not None:
        yield Finding(subject="Port", grade=Grade.OK, text=f"Clary runs at {running.url}")
        return
    try:
        preflight.check_host(settings)
        preflight.check_port(settings)
    except SetupError as error:
        text, _, mend = str(error).partition("; ")
        yield Finding(subject="Port", grade=Grade.BROKEN, text=text, mend=mend)
    else:
        yield Finding(subject="Port", grade=Grade.OK, text=f"{settings.host}:{settings.port} is free")
