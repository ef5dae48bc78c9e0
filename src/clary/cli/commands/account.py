"""`clary account`: make accounts, and list them."""

import json
from typing import Annotated

import typer

from clary.cli import control, credentials, options
from clary.cli.credentials import Keys
from clary.cli.supervisor import state

EXAMPLE = "clary account create research"
account = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Make and list accounts: each sees only its own."
)


@account.command(epilog="Example:  clary account create research --json")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the account, for people.")],
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
) -> None:
    """Make an account and print its keys, once."""
    settings = options.settings_of(data_dir)
    state.expect_running(settings.data_dir)
    made = control.ask(settings, "POST", "/internal/accounts", {"name": name})
    keys = Keys(**{key: made[key] for key in ("account", "access_key_id", "secret_access_key")})
    credentials.keep(settings.data_dir, name, keys)
    if as_json:
        print(json.dumps(made, indent=2))
        return
    print(f"Account {name} ({keys.account})")
    print(f"  access key id      {keys.access_key_id}")
    print(f"  secret access key  {keys.secret_access_key}")
    print(f"The secret is not shown again. This machine keeps it for you: clary run --account {name} -- CMD")


@account.command("list", epilog="Example:  clary account list")
def list_accounts(as_json: options.AsJson = False, data_dir: options.DataDir = None) -> None:
    """List the accounts."""
    settings = options.settings_of(data_dir)
    state.expect_running(settings.data_dir)
    answer = control.ask(settings, "GET", "/internal/accounts")
    rows = answer["accounts"] if isinstance(answer, dict) else answer
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    kept = credentials.read(settings.data_dir)
    for row in rows:
        where = "" if row["name"] in kept else "   (its keys are not on this machine)"
        print(f"{row['account']}  {row['name']}{where}")
