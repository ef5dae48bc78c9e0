"""The store's database."""

from collections.abc import Iterator
from importlib.util import find_spec

from clary.cli.checks.base import Finding, Grade
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

SUBJECT = "Store"
KINDS = ("sqlite", "postgresql")


def check(settings: Settings) -> Iterator[Finding]:
    """Connect, where a database is named in the settings."""
    if not settings.store_url:
        yield Finding(subject=SUBJECT, grade=Grade.OK, text="SQLite in the data folder")
        return
    kind = settings.store_url.partition(":")[0].partition("+")[0]
    if kind not in KINDS:
        what = f"CLARY_STORE_URL is no URL of a database that Clary knows ({kind!r})"
        yield Finding(
            subject=SUBJECT, grade=Grade.BROKEN, text=what, mend="use sqlite:///… or postgresql://…"
        )
        return
    if kind == "postgresql" and find_spec("psycopg") is None:
        mend = "pip install 'clary[postgres]'"
        yield Finding(subject=SUBJECT, grade=Grade.BROKEN, text="PostgreSQL's driver is missing", mend=mend)
        return
    yield _asked(settings.store_url)


def _asked(url: str) -> Finding:
    from sqlalchemy import create_engine, make_url, text  # noqa: PLC0415 - 0.1 s, only where it is used
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from clary.store import database  # noqa: PLC0415

    try:
        address = make_url(url)
        is_server = address.get_backend_name() == "postgresql"
        engine = database.postgresql_engine(address) if is_server else create_engine(address)
        with engine.connect() as connection:
            if is_server:
                database.check_encoding(connection)
            connection.execute(text("SELECT 1"))
        engine.dispose()
    except SetupError as error:
        reason, _, mend = str(error).partition("; ")
        return Finding(subject=SUBJECT, grade=Grade.BROKEN, text=reason, mend=mend)
    except SQLAlchemyError as error:
        reason = str(error).splitlines()[0]
        return Finding(subject=SUBJECT, grade=Grade.BROKEN, text=reason, mend="check CLARY_STORE_URL")
    shown = address.render_as_string(hide_password=True)
    return Finding(subject=SUBJECT, grade=Grade.OK, text=f"{shown} answers")
