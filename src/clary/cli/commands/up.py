"""`clary up`: start the platform."""

from typing import Annotated

import typer

from clary.cli import options, preflight, starting
from clary.cli.supervisor import state
from clary.kernel.errors import SetupError

EXAMPLE = "clary up --detach --port 4747"
EXIT_CODES = "0 ready (-d), or stopped on request; 1 it could not start, and one line says why"


def up(
    is_detached: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when ready; `clary down` stops it.")
    ] = False,
    data_dir: options.DataDir = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="PORT", min=0, max=65535, help="Public port (default 4747); 0 takes a free one."
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="ADDRESS", help="Address to listen on (default 127.0.0.1)."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster", metavar="ADDRESS", help="Ray cluster for jobs: ray://HOST:PORT, or a file with that."
        ),
    ] = None,
) -> None:
    """Start Clary. That is: object store, control plane, edge, and a warm runtime for jobs."""
    settings = options.settings_of(data_dir, port=port, host=host, cluster=cluster)
    preflight.check_host(settings)
    preflight.check_cluster(settings)
    preflight.check_data_dir(settings)
    if state.is_locked(settings.data_dir):
        raise SetupError(state.already(settings.data_dir))
    preflight.check_store(settings)
    if is_detached:
        starting.detached(settings)
    else:
        starting.foreground(settings)
