"""`clary migrate`: from the embedded store to PostgreSQL, between two databases, or back in version."""

from typing import Annotated

import sqlalchemy as sa
import typer
from rich.console import Console

from clary.cli import options
from clary.cli.supervisor import state
from clary.kernel.errors import SetupError
from clary.store import copying
from clary.store.database import Store

EXAMPLE = "clary migrate --to postgresql://clary@db.example.com/clary"
EXIT_CODES = "0 all rows are there; 1 nothing was changed, and the line says why"


def migrate(
    to: Annotated[
        str | None, typer.Option(metavar="URL", help="Empty database: postgresql://… or sqlite:///….")
    ] = None,
    back: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="Version of the tables that an older release needs, like 0003."),
    ] = None,
    data_dir: options.DataDir = None,
) -> None:
    """Copy every row of the store into another database, or take its tables back to an older release's.

    All or nothing. Clary must be stopped.
    """
    settings = options.settings_of(data_dir)
    if (to is None) == (back is None):
        raise SetupError("name where to (--to URL), or which version to go back to (--back VERSION)")
    if state.is_locked(settings.data_dir):
        raise SetupError("Clary is running on this data: `clary down` first, jobs go on meanwhile")
    key = settings.data_dir / "secret.key"
    if not key.exists():
        raise SetupError(f"no Clary has run in {settings.data_dir}: there is nothing to copy")
    console = Console(soft_wrap=True)
    if to is None:
        Store.open(settings.store_dsn, key).go_back(back or "")
        console.print(f"The tables are at version {back}; start the release that needs it.", highlight=False)
        return
    shown = console.status("copying")
    with Store.open(settings.store_dsn, key) as source, Store.open(to, key) as target, shown:
        counts = copying.copy(
            source, target, lambda table, rows: shown.update(f"copying {table}: {rows:,} rows")
        )
    hidden = sa.make_url(to).render_as_string(hide_password=True)
    console.print(f"{sum(counts.values()):,} rows of {len(counts)} tables are in {hidden}.", highlight=False)
    console.print("Set CLARY_STORE_URL to its URL and start Clary; the old store is as it was.")
