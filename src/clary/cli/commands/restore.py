"""`clary restore`: a backup into an empty data folder."""

from pathlib import Path
from typing import Annotated

import typer

from clary.cli import options
from clary.cli.backups import reading

EXAMPLE = "clary restore /backups/clary-2026-01-31.tar --data-dir ~/.clary-restored"
EXIT_CODES = "0 restored; 1 the folder is not empty, or the file is damaged"


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `clary backup` wrote.")],
    data_dir: options.DataDir = None,
) -> None:
    """Put a backup into an empty data folder, or with CLARY_STORE_URL into an empty database."""
    settings = options.settings_of(data_dir)
    found = reading.read(file, settings)
    print(f"{found.n_rows} rows and {found.n_objects} objects are in {settings.data_dir}.")
    print(f"Start it with `clary up --data-dir {settings.data_dir}`: endpoints come up, jobs are run again.")
