"""Options that several commands share, and the settings they make."""

from pathlib import Path
from typing import Annotated

import typer

from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="FOLDER",
        help="Data folder (default ~/.clary, or CLARY_DATA_DIR).",
        show_default=False,
    ),
]
Account = Annotated[str, typer.Option("--account", metavar="NAME", help="Account to act in, by its name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings_of(data_dir: Path | None, **given: int | str | None) -> Settings:
    """Return the settings: options first, then `CLARY_*`, then defaults.

    Raises
    ------
    SetupError
        A variable is not what it should be.
    """
    try:
        return Settings.load(None, data_dir=data_dir, **given)
    except (ValueError, RuntimeError) as error:  # RuntimeError: no home folder
        raise SetupError(str(error)) from None
