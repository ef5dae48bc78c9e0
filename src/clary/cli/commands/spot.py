"""`clary spot`: play the part of the spot market."""

from pathlib import Path
from typing import Annotated

import typer

from clary.cli import control, credentials, options
from clary.cli.supervisor import state
from clary.kernel.errors import SetupError

EXAMPLE = "clary spot interrupt my-training-job"
spot = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Interrupt jobs that use managed spot training."
)


@spot.callback()
def _group() -> None:
    """Keep `interrupt` a command of its own."""


@spot.command(epilog="Example:  clary spot interrupt my-training-job")
def interrupt(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Name of a running training job.")],
    region: Annotated[
        str | None, typer.Option("--region", metavar="REGION", help="Region of the job.")
    ] = None,
    account: options.Account = "default",
    data_dir: options.DataDir = None,
) -> None:
    """Take a spot job's instance away. It starts again from its checkpoint."""
    settings = options.settings_of(data_dir)
    running = state.expect_running(settings.data_dir)
    keys = credentials.find(Path(running.data_dir), account)
    where = {"account": keys.account, "region": region or running.region, "name": job}
    try:
        control.ask(settings, "POST", "/internal/jobs/interrupt", where)
    except SetupError as error:
        raise SetupError(f"{job} is not interrupted: {error}") from None
    print(f"{job} was interrupted. It goes on from its last checkpoint: clary logs {job} -f")
