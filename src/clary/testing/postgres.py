"""A PostgreSQL server for tests and benchmarks: private, on a unix socket, gone afterwards."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

START_S = 60.0


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
    return next(
        (each for each in folders if (each / "postgres").exists() and (each / "initdb").exists()), None
    )


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
    given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    try:
        _run(home, "initdb", "-D", data, "-U", "clary", "-A", "trust", "-E", "UTF8", "--no-sync")
        argv = _as_its_user(
            "postgres", "-D", data, "-k", str(home), "-c", "listen_addresses=", *given, is_mortal=True
        )
        with (home / "log").open("wb") as log:
            own = subprocess.Popen(argv, cwd=home, stdout=log, stderr=log)  # noqa: S603 - PostgreSQL's own
            try:
                _wait(home, own)
                yield f"postgresql://clary@/postgres?host={home}"
            finally:
                own.send_signal(signal.SIGQUIT)  # at once: what is in it is over
                own.wait()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _wait(home: Path, server: "subprocess.Popen[bytes]") -> None:
    """Wait until a server takes connections: the eighth line of its file says so, as `pg_ctl` reads it."""
    told, deadline = home / "data/postmaster.pid", time.monotonic() + START_S
    while not told.exists() or told.read_text().splitlines()[7:8] != ["ready   "]:
        is_lost = server.poll() is not None or time.monotonic() > deadline
        assert not is_lost, (home / "log").read_text(errors="replace")
        time.sleep(0.02)


def _as_its_user(program: str, *arguments: str, is_mortal: bool = False) -> list[str]:
    """Return a command of PostgreSQL's as the user that it wants; a mortal one ends with this process."""
    folder = programs()
    assert folder is not None
    drop = ["--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.geteuid() == 0 else []
    drop += ["--pdeathsig", "QUIT"] if is_mortal and shutil.which("setpriv") else []
    return [*(["setpriv", *drop] if drop else []), str(folder / program), *arguments]


def _run(home: Path, program: str, *arguments: str) -> None:
    done = subprocess.run(  # noqa: S603, PLW1510 - PostgreSQL's own; checked below, with what it printed
        _as_its_user(program, *arguments),
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
