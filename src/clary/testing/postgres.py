"""A PostgreSQL server for tests and benchmarks: private, on a unix socket, gone afterwards."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path


def missing() -> str:
    """Return why there can be no server here; empty where there can."""
    if programs() is None:
        return "no PostgreSQL here: install the package postgresql"
    if find_spec("psycopg") is None:
        return "no psycopg here: pip install 'clary[postgres]'"
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "no setpriv here: as root, PostgreSQL must be started as another user"
    return ""


def programs() -> Path | None:
    """Return the folder of the server's programs, the newest."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((each for each in folders if (each / "pg_ctl").exists() and (each / "initdb").exists()), None)


@contextlib.contextmanager
def server(*, is_durable: bool = False, connections: int = 40, **options: str) -> Iterator[str]:
    """Run a server; yield the URL of its database.

    Parameters
    ----------
    is_durable : bool
        Whether a commit waits for the disk, as it does in earnest.
    connections : int
        How many it takes at a time.
    options : str
        Further settings of `postgresql.conf`.
    """
    assert not missing(), missing()
    home = Path(tempfile.mkdtemp(prefix="clary-pg-", dir="/tmp"))  # short: a socket's path has 107 bytes
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(home, "postgres", "postgres")
    data = str(home / "data")
    settings = {"fsync": "on" if is_durable else "off", "max_connections": str(connections)} | options
    given = " ".join(f"-c {name}={value}" for name, value in settings.items())
    try:
        _run(home, "initdb", "-D", data, "-U", "clary", "-A", "trust", "-E", "UTF8", "--no-sync")
        where = f"-k {home} -c listen_addresses='' {given}"
        _run(home, "pg_ctl", "-D", data, "-w", "-l", str(home / "log"), "-o", where, "start")
        try:
            yield f"postgresql://clary@/postgres?host={home}"
        finally:
            _run(home, "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _run(home: Path, program: str, *arguments: str) -> None:
    folder = programs()
    assert folder is not None
    drop = []
    if os.geteuid() == 0:
        drop = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
    done = subprocess.run(  # noqa: S603, PLW1510 - PostgreSQL's own; checked below, with what it printed
        [*drop, str(folder / program), *arguments],
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
