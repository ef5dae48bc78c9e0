"""The launcher: a process that knows no secret and forks itself into programs.

agent ──Program, namespaces, streams──▶ launcher ──fork──▶ program
      ◀───────── pid, exit status, through a pipe of the program's own ─────────

An agent holds the run's token and the object store's keys, and has threads; a fork of it would hand all that
to the customer's code. So the agent's first act is to fork a launcher, which stays as it was: warm from the
zygote, single-threaded, ignorant.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from clary.compute import inside, linux, sandbox
from clary.compute.runners.base import Program
from clary.kernel.errors import SetupError

SECRETS = ("CLARY_OBJECTS_ACCESS_KEY", "CLARY_OBJECTS_SECRET_KEY", "CLARY_STORE_URL")
"""Variables that neither zygote nor launcher may have in memory."""
KEPT = (
    "CLARY_", "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_", "TZ", "TERM", "TMPDIR", "PYTHON",
    "VIRTUAL_ENV", "LD_", "DYLD_", "OMP_", "OPENBLAS_", "MKL_", "KMP_", "GOTO_", "GOMP_", "CUDA_", "NVIDIA_",
    "PIP_", "UV_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT", "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE", "XDG_", "NUMBA_CACHE_DIR", "__",
)  # fmt: skip
"""Beginnings of the variables that they keep: the shell of `clary up` may hold anybody's tokens."""
_FRAME = 8
_MAX_DESCRIPTORS = 16


def is_kept(name: str) -> bool:
    """Say whether a variable may be in the memory that customers' programs are forked from."""
    return name not in SECRETS and name.upper().startswith(KEPT)


@dataclass
class Launched:
    """A program's process, as the launcher told of it."""

    pid: int
    report: int
    """Read end of the pipe on which the launcher says `exit <wait status>`."""
    gate: int
    """Write end of the pipe on which the program waits for one byte."""
    is_fenced: bool = False
    """It went through the entrance that it was given."""


class Launcher:
    """The agent's end of a launcher."""

    def __init__(self, channel: socket.socket, pid: int) -> None:
        self._channel = channel
        self.pid = pid
        """Of the launcher."""

    @classmethod
    def forked(cls) -> "Launcher":
        """Fork one off this process, which must be single-threaded and know no secret yet."""
        here, there = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                _hold_only(there.fileno())
                serve(there)
            finally:
                os._exit(0)
        there.close()
        return cls(here, pid)

    @classmethod
    def spawned(cls) -> "Launcher":
        """Start one in a new interpreter: slower, and cold, but from anywhere."""
        here, there = socket.socketpair()
        environment = {name: value for name, value in os.environ.items() if is_kept(name)}
        child = subprocess.Popen(  # noqa: S603 - this interpreter, this package
            [sys.executable, "-P", "-m", "clary.compute.launcher", str(there.fileno())],
            pass_fds=[there.fileno()],
            env={**environment, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stdin=subprocess.DEVNULL,
        )
        there.close()
        child.returncode = 0  # it ends with its channel; nobody waits for it
        return cls(here, child.pid)

    def launch(
        self,
        program: Program,
        *,
        kinds: tuple[str, ...],
        namespaces: list[int],
        stdout: int,
        stderr: int,
        uid: int | None,
        cpus: int,
        entrance: int | None = None,
    ) -> Launched:
        """Have `program` begun; it waits at its gate.

        Parameters
        ----------
        entrance : int or None
            Descriptor through which it enters its memory group.

        Raises
        ------
        SetupError
            The launcher is gone, or the namespaces cannot be entered.
        """
        read_report, write_report = os.pipe()
        read_gate, write_gate = os.pipe()
        ids = (os.geteuid(), os.getegid())  # here, for inside its user namespace the fork is user 0
        order = {"program": asdict(program) | {"cpus": cpus}, "kinds": kinds, "uid": uid, "ids": ids}
        order["has_entrance"] = entrance is not None
        text = json.dumps(order).encode()
        try:
            descriptors = [stdout, stderr, read_gate, write_report, *namespaces]
            descriptors += [] if entrance is None else [entrance]
            socket.send_fds(self._channel, [len(text).to_bytes(_FRAME, "little")], descriptors)
            self._channel.sendall(text)
        except OSError as error:
            os.close(read_report)
            os.close(write_gate)
            raise SetupError(f"the launcher of this host is gone: {error.strerror}") from None
        finally:
            os.close(write_report)
            os.close(read_gate)
        # the launcher tells the pid, the program whether it is fenced: in either order
        told = [read_line(read_report) for _ in range(1 if entrance is None else 2)]
        pids = [line[4:] for line in told if line.startswith("pid ")]
        if not pids or "" in told:
            os.close(read_report)
            os.close(write_gate)
            raise SetupError("the launcher could not enter the sandbox; the log says why")
        return Launched(int(pids[0]), read_report, write_gate, "fenced" in told)

    def close(self) -> None:
        """Let the launcher end."""
        self._channel.close()


_current: list[Launcher] = []


def prepare() -> None:
    """Fork this process's launcher now, while it is clean; once is enough."""
    if not _current:
        _current.append(Launcher.forked())


def current() -> Launcher:
    """Return this process's launcher: the prepared one, else a new, cold one."""
    if not _current:
        _current.append(Launcher.spawned())
    return _current[0]


def read_line(descriptor: int) -> str:
    """Read up to a line's end, byte by byte: what follows stays in the pipe."""
    text = b""
    while not text.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            break
        text += byte
    return text.decode().strip()


def serve(channel: socket.socket) -> None:
    """Fork programs as told until the channel ends; then kill those that are left."""
    read_wake, write_wake = os.pipe()
    os.set_blocking(write_wake, False)
    os.set_blocking(read_wake, False)
    signal.set_wakeup_fd(write_wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the channel's end is the sign to stop
    with contextlib.suppress(OSError):
        linux.adopt_orphans()
    reports: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        selector.register(read_wake, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if read_wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(read_wake, 4096)
                _reap(reports)
            if channel.fileno() in ready:
                order = _receive(channel)
                if order is None:
                    break
                _begin(*order, reports)
    kill_tree(os.getpid())


def _hold_only(channel: int) -> None:
    """Close every descriptor of the agent's but one; what is said goes into the logs of programs."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    os.closerange(3, channel)
    os.closerange(channel + 1, os.sysconf("SC_OPEN_MAX"))


def kill_tree(root: int) -> None:
    """Kill every descendant of `root`, again until there is none."""
    for _ in range(100):
        found = descendants(root)
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def descendants(root: int) -> list[int]:
    """Return the living descendants of `root`."""
    parents = {pid: linux.parent_of(pid) for pid in linux.pids()}
    found = {root}
    grew = True
    while grew:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        grew = bool(more)
        found |= more
    return [pid for pid in found - {root} if linux.start_time(pid) is not None]


def _reap(reports: dict[int, int]) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            report = reports.pop(pid, None)
            if report is not None:
                with contextlib.suppress(OSError):
                    os.write(report, f"exit {status}\n".encode())
                os.close(report)


def _receive(channel: socket.socket) -> tuple[Mapping[str, Any], list[int]] | None:
    try:
        head, descriptors, _, _ = socket.recv_fds(channel, _FRAME, _MAX_DESCRIPTORS)
        length = int.from_bytes(head, "little")
        text = b""
        while head and len(text) < length:
            chunk = channel.recv(length - len(text))
            if not chunk:
                return None
            text += chunk
        return (json.loads(text), descriptors) if head else None
    except OSError:
        return None


def _begin(order: Mapping[str, Any], descriptors: list[int], reports: dict[int, int]) -> None:
    stdout, stderr, gate, report, *namespaces = descriptors
    entrance = namespaces.pop() if order["has_entrance"] else None
    own, pid = os.getpid(), -1
    try:
        pid = sandbox.enter(list(order["kinds"]), namespaces, report)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.write(stderr, f"clary: cannot enter the sandbox: {error}\n".encode())
        if os.getpid() != own:
            os._exit(inside.NOT_STARTED)
    if pid == 0:
        if entrance is not None:
            os.write(report, b"fenced\n" if _enter_group(entrance) else b"outside\n")
        _become(order, gate, stdout, stderr)
    for each in descriptors:
        if each != report:
            os.close(each)
    if pid > 0:
        reports[pid] = report
    else:
        os.close(report)


def _enter_group(entrance: int) -> bool:
    with contextlib.suppress(OSError):
        return os.write(entrance, b"0") == 1
    return False


def _become(order: Mapping[str, Any], gate: int, stdout: int, stderr: int) -> NoReturn:
    if not order["kinds"] and linux.IS_LINUX:
        linux.die_with_parent()
    rights = inside.Rights(
        drops=bool(order["kinds"]),
        switch_to=order["uid"],
        map_to=tuple(order["ids"]) if "user" in order["kinds"] else None,
    )
    inside.become(order["program"], rights, gate=gate, stdout=stdout, stderr=stderr)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
