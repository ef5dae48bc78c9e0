"""The tables' versions, by Alembic; run from Python, at `Store.open`."""

from pathlib import Path

import sqlalchemy as sa

from clary.kernel.errors import SetupError

HEAD = "0003"
"""Version that this release needs; equals the newest file in `versions`."""

_LOCK = 0x636C617279
"""PostgreSQL advisory lock under which one process migrates: `clary`."""


def current(conn: sa.Connection) -> str | None:
    """Return the version of the tables; None before the first."""
    return conn.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(conn: sa.Connection) -> None:
    """Bring the tables to `HEAD`, all or nothing.

    Raises
    ------
    SetupError
        They belong to a newer release.
    """
    from alembic import command  # noqa: PLC0415 - slow to import, and rarely needed
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    if conn.dialect.name == "postgresql":
        conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = conn
    try:
        command.upgrade(config, HEAD)
    except CommandError as fault:
        raise SetupError(f"the store was written by a newer Clary: update this one ({fault})") from None
