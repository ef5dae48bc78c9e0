"""Checks before a start: each refusal is one line that says what is wrong and how to mend it."""

import errno
import os
import shutil
import socket
import ssl
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from clary.cli.checks import store
from clary.cli.checks.base import Grade
from clary.compute.cluster import link
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

MIN_FREE_BYTES = 200 * 1024 * 1024


def check_host(settings: Settings) -> None:
    """Refuse a certificate that cannot be used."""
    chain, key = settings.tls_certificate, settings.tls_key
    if bool(chain) != bool(key):
        raise SetupError("CLARY_TLS_CERTIFICATE and CLARY_TLS_KEY go together: name both files, or neither")
    if chain:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key)
        except (OSError, ssl.SSLError) as error:
            raise SetupError(
                f"CLARY_TLS_CERTIFICATE {chain} with CLARY_TLS_KEY {key} cannot be used: "
                f"{error.strerror or error}"
            ) from None


def check_cluster(settings: Settings) -> None:
    """Refuse a cluster that cannot be spoken to, or whose nodes could not reach Clary."""
    if not settings.cluster:
        return
    address, _ = link.check(settings.cluster)
    is_elsewhere = (urlsplit(address).hostname or "") not in {"localhost", "127.0.0.1", "::1"}
    if is_elsewhere and settings.host in {"localhost", "127.0.0.1", "::1"} and not settings.advertise:
        raise SetupError(
            f"the nodes of the cluster at {address} cannot reach Clary, which listens on {settings.host} "
            "alone; add --host 0.0.0.0, or name with CLARY_ADVERTISE what leads here"
        )


def check_data_dir(settings: Settings) -> None:
    """Make the data folder, and prove that it can be written."""
    folder = settings.data_dir
    try:
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)  # jobs' own users pass
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".write-"):
            pass
        settings.socket_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "logs").mkdir(mode=0o700, exist_ok=True)
        if settings.socket_dir.stat().st_uid != os.getuid():
            raise SetupError(
                f"{settings.socket_dir} belongs to another user; remove it, or choose a shorter --data-dir"
            )
    except FileExistsError as error:
        raise SetupError(
            f"data folder {folder}: {error.filename} is a file, not a folder; choose --data-dir"
        ) from None
    except NotADirectoryError:
        raise SetupError(
            f"data folder {folder}: a part of this path is a file; choose another --data-dir"
        ) from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise SetupError(
                f"data folder {folder}: the disk is full; free some, or choose --data-dir"
            ) from None
        raise SetupError(
            f"data folder {folder} cannot be written by {user()}: {error.strerror}; "
            "choose another with --data-dir or CLARY_DATA_DIR"
        ) from None


def check_store(settings: Settings) -> None:
    """Refuse a database that cannot be used, before a control plane fails on it again and again."""
    for finding in store.check(settings):
        if finding.grade is Grade.BROKEN:
            raise SetupError(f"{finding.text}; {finding.mend}")


def check_disk(settings: Settings, *, least: int = MIN_FREE_BYTES) -> None:
    """Refuse to start on a disk that is nearly full."""
    free = shutil.disk_usage(settings.data_dir).free
    if free < least:
        raise SetupError(
            f"only {free / 2**20:.0f} MB are free on the disk of {settings.data_dir}, "
            f"Clary needs {least / 2**20:.0f} MB; free some, or choose another disk with --data-dir"
        )


def check_port(settings: Settings) -> None:
    """Refuse a port that is taken, and say by whom where the system tells."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            if error.errno == errno.EACCES:
                raise SetupError(
                    f"port {settings.port} may not be used by {user()}; choose one above 1023"
                ) from None
            if error.errno != errno.EADDRINUSE:
                raise SetupError(
                    f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
                ) from None
            who = holder(settings.port)
            raise SetupError(
                f"port {settings.port} is taken{' by ' + who if who else ''}; end that, or choose another: "
                f"clary up --port {settings.port + 1}"
            ) from None
        except OverflowError:
            raise SetupError(f"port {settings.port} does not exist; choose one from 1 to 65535") from None


def free_port(host: str) -> int:
    """Return a port that is free now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def holder(port: int) -> str:
    """Return who listens on a TCP port, as `python3 my.py (pid 12)`; empty where /proc does not tell."""
    if sys.platform != "linux":
        return ""
    inodes = _listening_inodes(port)
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            links = {os.readlink(each) for each in folder.iterdir()}
        except OSError:  # another user's, or gone
            continue
        if links & inodes:
            command = (
                (folder.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            )
            return f"`{command[:80]}` (pid {folder.parent.name})"
    return ""


def user() -> str:
    """Return who runs this, for error texts."""
    return f"user id {os.getuid()}"


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return inodes
