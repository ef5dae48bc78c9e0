"""`clary backup`: everything of a Clary in one file, while it runs or not."""

from pathlib import Path
from typing import Annotated

import typer

from clary.cli import options
from clary.cli.backups import reading, writing
from clary.gateway import objects

EXAMPLE = "clary backup /backups/clary-2026-01-31.tar"
EXIT_CODES = "0 written, or whole; 1 it cannot be written, or is damaged"


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; never half-written.")],
    is_check: Annotated[
        bool, typer.Option("--verify", help="Write nothing: read FILE and check every byte of it.")
    ] = False,
    data_dir: options.DataDir = None,
) -> None:
    """Write store, objects, keys and notebook volumes into one file. Keep it as secret as the keys."""
    if is_check:
        found = reading.verify(file)
        print(f"{file} is whole: {found.n_objects} objects, {found.n_bytes / 1e6:.1f} MB.")
        return
    settings = options.settings_of(data_dir)
    written = writing.write(settings, file)
    what = f"{written.n_rows} rows, {written.n_objects} objects, {written.n_bytes / 1e6:.1f} MB"
    print(f"{file} has {what}. Put it back with `clary restore {file} --data-dir FOLDER`.")
    if not objects.is_embedded(settings):
        print(f"The objects are not in it: they are in {settings.objects_url}, which has its own backups.")
