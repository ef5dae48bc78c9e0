"""The tables' versions, by Alembic; run from Python, at `Store.open`."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from clary.kernel.errors import SetupError

HEAD = "0004"
"""Version that this release needs; equals the newest file in `versions`."""

_LOCK = 0x636C617279
"""PostgreSQL advisory lock under which one process migrates: `clary`."""


def current(conn: sa.Connection) -> str | None:
    """Return the version of the tables; None before the first."""
    return conn.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(conn: sa.Connection, version: str = "") -> None:
    """Bring the tables to `version`, `HEAD` where none is given, all or nothing.

    Raises
    ------
    SetupError
        They belong to a newer release.
    """
    from alembic import command  # noqa: PLC0415 - slow to import, and rarely needed
    from alembic.util import CommandError  # noqa: PLC0415

    try:
        command.upgrade(_alone(conn), version or HEAD)
    except CommandError as fault:
        raise SetupError(f"the store was written by a newer Clary: update this one ({fault})") from None


def downgrade(conn: sa.Connection, version: str) -> None:
    """Take the tables back to an older `version`, all or nothing: for the release that needs it.

    Raises
    ------
    SetupError
        There is no such version, or the tables are older.
    """
    from alembic import command  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    if (current(conn) or "") < version:
        raise SetupError(f"the tables are at version {current(conn)}, and cannot go back to {version}")
    try:
        command.downgrade(_alone(conn), version)
    except CommandError as fault:
        raise SetupError(f"the tables cannot go back to version {version}: {fault}") from None


def _alone(conn: sa.Connection) -> Any:
    """Return Alembic's configuration on a connection that nobody else migrates beside."""
    from alembic.config import Config  # noqa: PLC0415

    if conn.dialect.name == "postgresql":
        conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = conn
    return config
