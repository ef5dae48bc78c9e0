"""`clary run`: any program, with the environment of `clary env`."""

import os
import shutil
from typing import Annotated

import typer

from clary.cli import environment, options
from clary.cli.errors import CommandError
from clary.cli.supervisor import state
from clary.kernel.errors import SetupError

EXAMPLE = "clary run -- python train.py"
EXIT_CODES = "those of the program; 125 Clary itself failed; 126 it cannot be executed; 127 it was not found"
CONTEXT = {"allow_interspersed_args": False, "ignore_unknown_options": False}


def run(
    command: Annotated[list[str], typer.Argument(metavar="CMD", help="Program and its arguments.")],
    account: options.Account = "default",
    is_up: Annotated[bool, typer.Option("--up", help="Start Clary first where it is not running.")] = False,
    data_dir: options.DataDir = None,
) -> None:
    """Run a program against Clary, unchanged. Same signals, same exit code."""
    try:
        settings = options.settings_of(data_dir)
        if is_up and not state.is_locked(settings.data_dir):
            from clary.cli import starting  # noqa: PLC0415 - loads rich and asyncio, which a plain run need not

            starting.detached(settings, to_stderr=True)
        running = state.expect_running(settings.data_dir)
        variables = environment.environment(running, account)
    except SetupError as error:
        raise CommandError(str(error), code=125) from None
    environ = environment.applied(variables, os.environ)
    program = shutil.which(command[0], path=environ.get("PATH", os.defpath))
    if program is None and not os.path.exists(command[0]):
        raise CommandError(f"{command[0]}: no such program on the PATH", code=127)
    try:
        os.execve(program or command[0], command, environ)  # noqa: S606 - the program is the caller's own
    except OSError as error:
        raise CommandError(f"{command[0]} cannot be executed: {error.strerror}", code=126) from None
