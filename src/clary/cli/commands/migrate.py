"""`clary migrate`: from the embedded store to PostgreSQL, or between two databases."""

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
    to: Annotated[str, typer.Option(metavar="URL", help="Empty database: postgresql://… or sqlite:///….")],
    data_dir: options.DataDir = None,
) -> None:
    """Copy every row of the store into another database, all or nothing. Clary must be stopped."""
    settings = options.settings_of(data_dir)
    if state.is_locked(settings.data_dir):
        raise SetupError("Clary is running on this data: `clary down` first, jobs go on meanwhile")
    key = settings.data_dir / "secret.key"
    if not key.exists():
        raise SetupError(f"no Clary has run in {settings.data_dir}: there is nothing to copy")
    console = Console(soft_wrap=True)
    shown = console.status("copying")
    with Store.open(settings.store_dsn, key) as source, Store.open(to, key) as target, shown:
        counts = copying.copy(
            source, target, lambda table, rows: shown.update(f"copying {table}: {rows:,} rows")
        )
    hidden = sa.make_url(to).render_as_string(hide_password=True)
    console.print(f"{sum(counts.values()):,} rows of {len(counts)} tables are in {hidden}.", highlight=False)
    console.print("Set CLARY_STORE_URL to its URL and start Clary; the old store is as it was.")
