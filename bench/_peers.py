"""Runs the servers that a user would choose instead (`_peer_list.py`), each in an environment of its own.

Environments are made with `venv` and `pip` below `CLARY_BENCH_CACHE` (by default `~/.cache/clary-bench`),
once. One that cannot be made is reported with its reason.
"""

import contextlib
import hashlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

INSTALL_S = 900
START_S = 120.0
FURTHER = {"torch": ("torch==2.13.0",)}
"""Packages that a kind of model needs beside the peer's own."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One server."""

    name: str
    requirements: tuple[str, ...]
    program: str
    command: tuple[str, ...]
    """`{python}`, `{bin}`, `{program}`, `{port}`, `{kind}` and `{home}` are filled in."""
    path: str = "/predict"
    content_type: str = "application/json"
    body: str = '{{"instances": [[{row}]]}}'
    """`{row}` is filled in: the row's numbers with commas between."""
    kinds: tuple[str, ...] = ("xgboost", "sklearn")
    """Models that it serves here."""
    environment: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    """Files beside the program, by name."""
    needs: str = ""
    """A program of the system's that it cannot do without."""


class NotInstalledError(Exception):
    """The peer's environment cannot be made; the text says why."""


def cache() -> Path:
    """Return the folder of the environments."""
    return Path(os.environ.get("CLARY_BENCH_CACHE") or Path("~/.cache/clary-bench").expanduser())


def installed(peer: Peer, kind: str = "") -> Path:
    """Return the folder of a peer's environment for a kind of model, made if need be.

    Raises
    ------
    NotInstalledError
        pip could not.
    """
    name = re.sub(r"[^a-z]+", "-", peer.name.lower())
    requirements = dict.fromkeys((*peer.requirements, *FURTHER.get(kind, ())))
    mark = hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:12]
    home = cache() / f"{name}-{mark}"
    if (home / ".ready").exists():
        return home
    shutil.rmtree(home, ignore_errors=True)
    print(f"  making the environment of {peer.name} ...", flush=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, capture_output=True)
        pip = [str(home / "bin/pip"), "install", "-q", "--disable-pip-version-check", *requirements]
        subprocess.run(pip, check=True, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or "").strip().splitlines()
        raise NotInstalledError(lines[-1][:200] if lines else "pip failed") from error
    except (subprocess.TimeoutExpired, OSError) as error:
        raise NotInstalledError(str(error)[:200]) from error
    (home / ".ready").touch()
    return home


@contextlib.contextmanager
def serving(peer: Peer, kind: str, root: Path) -> Iterator[tuple[int, int]]:
    """Run a peer; yield its port and its process id once it answers.

    Raises
    ------
    NotInstalledError
        It cannot be installed, or does not start.
    """
    if kind not in peer.kinds:
        raise NotInstalledError(f"it is not asked for models of {kind}")
    if peer.needs and shutil.which(peer.needs) is None:
        raise NotInstalledError(f"there is no {peer.needs} on this machine")
    environment = installed(peer, kind)
    home = root / re.sub(r"[^a-z]+", "-", f"{peer.name.lower()}-{kind}")
    home.mkdir(parents=True, exist_ok=True)
    program = home / "program.py"
    for name, text in {program.name: peer.program, **peer.beside}.items():
        (home / name).write_text(text)
    port = _free_port()
    words = {"python": environment / "bin/python", "bin": environment / "bin", "program": program,
             "port": port, "kind": kind, "home": home}  # fmt: skip
    log = home / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [part.format(**words) for part in peer.command],
            cwd=home,
            env={
                **os.environ,
                **ONE_THREAD,
                **peer.environment,
                "BENCH_ROOT": str(root),
                "BENCH_KIND": kind,
                "TMPDIR": str(home),
            },  # where multi-model-server looks for another of its kind
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _await(process, port, log)
        yield port, process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def request(peer: Peer, port: int, row: Sequence[float]) -> bytes:
    """Return the request that asks for one row."""
    body = peer.body.format(row=",".join(f"{value:.6g}" for value in row)).encode()
    head = (
        f"POST {peer.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\nContent-Type: "
        f"{peer.content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _free_port() -> int:
    """Return a port with two free ones behind it, below those that some servers refuse."""
    while True:
        first = random.randrange(20_000, 30_000)
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for port in range(first, first + 3):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def _await(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            time.sleep(2.0)  # a server that listens may still load its model
            return
        time.sleep(0.2)
    lines = log.read_text(errors="replace").strip().splitlines()
    raise NotInstalledError(f"it does not start: {lines[-1][:200] if lines else 'no word'}")
