"""`clary console`: the way into the console."""

from typing import Annotated

import typer

from clary.cli import control, options
from clary.cli.supervisor import state

EXAMPLE = "clary console"
console = typer.Typer(invoke_without_command=True, rich_markup_mode=None, help="Sign in to the console.")


@console.callback(epilog="Example:  clary console")
def link(
    context: typer.Context, account: options.Account = "default", data_dir: options.DataDir = None
) -> None:
    """Print a link that signs a browser in, once, within five minutes."""
    if context.invoked_subcommand:
        return
    settings = options.settings_of(data_dir)
    url = state.expect_running(settings.data_dir).url
    answer = control.ask(settings, "POST", "/internal/console/link", {"account": account})
    print(f"{url}{answer['path']}")


@console.command(epilog="Example:  clary console password --account default")
def password(
    account: options.Account = "default",
    value: Annotated[
        str,
        typer.Option(
            "--password",
            prompt="Password",
            hide_input=True,
            confirmation_prompt=True,
            help="Asked for if missing.",
        ),
    ] = "",
    data_dir: options.DataDir = None,
) -> None:
    """Set the password that signs in to the console with the account's name."""
    settings = options.settings_of(data_dir)
    url = state.expect_running(settings.data_dir).url
    control.ask(settings, "POST", "/internal/console/password", {"account": account, "password": value})
    print(f"Sign in as {account} at {url}/_clary/console")
