"""Processes as hosts: each in namespaces of its own where the system has them, else plain."""

import contextlib
import fcntl
import json
import logging
import os
import select
import signal
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import Any, ClassVar

from clary.compute import launcher, limits, linux, mounts, sandbox
from clary.compute.base import RunSpec
from clary.compute.runners._ahead import Ahead
from clary.compute.runners._relocation import relocated
from clary.compute.runners.base import Exit, Program, Running
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

MIB = limits.MIB
SLOTS = 4096
"""Runs that one machine tells apart by user id and loopback addresses."""
FOLDERS = ("ml", "tmp", "user", "etc")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

log = logging.getLogger(__name__)


class ProcessRunner:
    """Run a host's program in a fork of this agent's launcher.

    Parameters
    ----------
    settings : Settings
        For the data folder, `bwrap`, `sandbox` and `isolation_uid`.
    """

    name: ClassVar[str] = "process"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ahead: Ahead | None = None

    def prepare(self, home: Path, spec: RunSpec, host: str, binds: tuple[tuple[str, str], ...] = ()) -> None:
        """Open the sandbox of a program with the network, as most have it."""
        how = sandbox.means(self._settings)
        if how.kind == "none" or self._ahead is not None:
            return
        uid = self._settings.isolation_uid + slot_of(home, spec) if how.kind == "root" else None
        plain = Program(argv=("true",), binds=binds)
        self._furnish(home, spec, host, plain, uid)
        view = self._view(home, spec, plain, uid)
        self._ahead = Ahead(view, lambda: sandbox.Sandbox.open(how, view, hostname=host))

    def withdraw(self) -> None:
        """Close a sandbox that was prepared and that nobody took."""
        if self._ahead is not None:
            self._ahead.take(None)
            self._ahead = None

    def start(
        self, home: Path, spec: RunSpec, host: str, program: Program, *, stdout: int, stderr: int
    ) -> Running:
        """Start `program` as `host` of the run."""
        how = sandbox.means(self._settings)
        if how.kind == "none" and self._settings.sandbox == "bwrap":
            sandbox.probe(self._settings)  # raises, with the reason
        uid = self._settings.isolation_uid + slot_of(home, spec) if how.kind == "root" else None
        self._furnish(home, spec, host, program, uid)
        if uid is not None:
            for name in ("ml", "tmp", "user"):
                give(home / name, uid)
        box: sandbox.Sandbox | None = None
        if how.kind != "none":
            try:
                box = self._open(how, home, spec, host, program, uid)
            except SetupError:
                if sandbox.probe(self._settings).kind != "none":
                    raise
                log.warning("no sandbox: %s", sandbox.probe(self._settings).reason)
        if box is None:
            uid = None
            program = relocated(program, home)
        try:
            return self._launch(home, spec, host, program, box, uid, stdout, stderr)
        except BaseException:
            if box is not None:
                box.close()
            raise

    def _furnish(self, home: Path, spec: RunSpec, host: str, program: Program, uid: int | None) -> None:
        """Make the host's folders."""
        for name in FOLDERS:
            (home / name).mkdir(parents=True, exist_ok=True)
        for outside, inside in (*program.binds, *program.ro_binds):
            if inside.startswith(f"{mounts.ML}/") and os.path.isdir(outside):
                # here, so that it is the run's user's: bubblewrap would make it the server's
                (home / "ml" / os.path.relpath(inside, mounts.ML)).mkdir(parents=True, exist_ok=True)
        addresses = addresses_of(home, spec)
        number = os.geteuid() if uid is None else uid
        mounts.Identity(uid=number, gid=number, hostname=host, addresses=addresses).write(home / "etc")

    def _open(
        self, how: sandbox.Means, home: Path, spec: RunSpec, host: str, program: Program, uid: int | None
    ) -> sandbox.Sandbox:
        view = self._view(home, spec, program, uid)
        ahead, self._ahead = self._ahead, None
        box = ahead.take(view if program.network else None) if ahead is not None else None
        if box is not None:
            return box
        if program.network or len(spec.hosts) == 1:
            return sandbox.Sandbox.open(how, view, hostname=host, network=program.network)
        with _locked(home.parent.parent / "network.lock"):
            record = home.parent.parent / "network"
            keeper = linux.stamped(record)
            box = sandbox.Sandbox.open(how, view, hostname=host, network=False, joins=keeper)
            if keeper is None:
                record.write_text(linux.stamp(box.pid))
            return box

    def _view(self, home: Path, spec: RunSpec, program: Program, uid: int | None) -> mounts.Mounts:
        return mounts.Mounts(
            home=home,
            binds=program.binds,
            ro_binds=program.ro_binds,
            hidden=(self._settings.data_dir, self._settings.socket_dir),
            environment=mounts.python_environment(self._settings.runtime_python),
            shared_memory_bytes=spec.size.memory_mib * MIB,
            is_foreign=uid is not None,
            devices=devices(home, spec),
        )

    def _launch(
        self,
        home: Path,
        spec: RunSpec,
        host: str,
        program: Program,
        box: sandbox.Sandbox | None,
        uid: int | None,
        stdout: int,
        stderr: int,
    ) -> Running:
        cpus = max(1, min(spec.size.cpus, os.cpu_count() or 1))
        program = replace(
            program, environment=self._environment(program, home, host, cpus, boxed=box is not None)
        )
        parent = launcher.current()
        fence = limits.fence(group_name(spec, host), spec.size.memory_mib)
        entrance = fence.entrance() if fence is not None else None
        namespaces = box.descriptors() if box else []
        try:
            launched = parent.launch(
                program,
                kinds=box.namespaces if box else (),
                namespaces=namespaces,
                stdout=stdout,
                stderr=stderr,
                uid=uid,
                cpus=cpus,
                entrance=entrance,
            )
        except BaseException:
            if fence is not None:
                fence.close()
            raise
        finally:
            for each in (*namespaces, *(() if entrance is None else (entrance,))):
                os.close(each)
        running = ProcessRunning(launched, box, parent.pid)
        running.fence_in(fence, spec.size.memory_mib)
        (home / "program").write_text(linux.stamp(launched.pid))
        running.let_go()
        return running

    def _environment(
        self, program: Program, home: Path, host: str, cpus: int, *, boxed: bool
    ) -> dict[str, str]:
        """Return the program's environment: what it asked for over the defaults of any program."""
        python = str(Path(self._settings.runtime_python or sys.executable).parent)
        defaults = {
            "PATH": f"{python}:{_SYSTEM_PATH}",
            "HOME": mounts.HOME if boxed else str(home / "user"),
            "TMPDIR": mounts.TMP if boxed else str(home / "tmp"),
            "USER": "clary",
            "LOGNAME": "clary",
            "LANG": "C.UTF-8",
            "HOSTNAME": host,
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": str(cpus),
            **limits.PATIENT_THREADS,
        }
        if numbers := gpus_of(home):
            defaults["CUDA_VISIBLE_DEVICES"] = ",".join(numbers)
        if not boxed:
            defaults["SAGEMAKER_BASE_DIR"] = str(home / "ml")
        return {**defaults, **program.environment}


class ProcessRunning:
    """A program that a launcher forked."""

    address = ""

    def __init__(self, launched: launcher.Launched, box: sandbox.Sandbox | None, parent: int) -> None:
        self.pid = launched.pid
        self._launched = launched
        self._started = linux.start_time(launched.pid)
        self._box = box
        self._parent = parent
        self._fence: limits.Fence | None = None
        self._exit: Exit | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    def fence_in(self, fence: limits.Fence | None, memory_mib: int) -> None:
        """Hold the program to its memory before it begins: by its group, else by a watchdog."""
        if fence is not None and not self._launched.is_fenced:
            try:
                fence.attach(self.pid)
            except OSError:
                fence.close()
                fence = None
        if fence is None:
            fence = limits.Watchdog(memory_mib, self._members, self.kill)
            fence.attach(self.pid)
        self._fence = fence

    def let_go(self) -> None:
        """Open the gate: the program begins."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._launched.gate, b"1")
        os.close(self._launched.gate)

    def wait(self, timeout_s: float | None = None) -> Exit | None:
        """Wait for the first process; its end is the end of all."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while self._exit is None:
            left = 1.0 if until is None else max(0.0, min(1.0, until - time.monotonic()))
            with self._lock:
                if self._exit is None and select.select([self._launched.report], [], [], 0)[0]:
                    self._end()
                    break
            if until is not None and time.monotonic() >= until:
                return None
            with contextlib.suppress(OSError, ValueError):  # closed by another thread: look again
                select.select([self._launched.report], [], [], left)
        return self._exit

    def _end(self) -> None:
        line = launcher.read_line(self._launched.report)
        os.close(self._launched.report)
        # no line: the launcher itself was killed, and with it the program
        status = int(line.split()[1]) if line.startswith("exit ") else int(signal.SIGKILL)
        self._sweep()
        out_of_memory = status != 0 and self._fence is not None and self._fence.was_exceeded()
        if self._fence is not None:
            self._fence.close()
        if os.WIFSIGNALED(status):
            name = signal_name(os.WTERMSIG(status))
            self._exit = Exit(signal=name, is_out_of_memory=out_of_memory)
        else:
            self._exit = Exit(code=os.WEXITSTATUS(status), is_out_of_memory=out_of_memory)

    def signal(self, number: int) -> None:
        """Send a signal to every process of the program."""
        if self._exit is None:
            for pid in self._members():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)

    def kill(self) -> None:
        """Kill every process of the program."""
        if self._exit is None:
            if self._box is not None:
                self._box.kill()
            else:
                self.signal(signal.SIGKILL)

    def memory_bytes(self) -> int:
        """Return what the program uses now."""
        return self._fence.memory_bytes() if self._fence is not None and self._exit is None else 0

    def close(self) -> None:
        """Kill what is left, wait for it, and free the sandbox."""
        self.kill()
        self.wait(10.0)
        self._sweep()
        if self._fence is not None:
            self._fence.close()

    def _members(self) -> list[int]:
        if self._box is not None:
            found = self._box.members()
            first = [self.pid] if linux.start_time(self.pid) == self._started else []
            return list(dict.fromkeys([*first, *found]))
        # the launcher is the parent of orphans, so all that the program left behind is below it
        return launcher.descendants(self._parent)

    def _sweep(self) -> None:
        """Leave no process behind, daemons included."""
        if self._box is not None:
            self._box.close()
            return
        for _ in range(200):
            left = self._members()
            if not left:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)


def slot_of(home: Path, spec: RunSpec) -> int:
    """Return the run's number on this machine: the placement's, else one made from the run's id."""
    return int(_place(home).get("slot", zlib.crc32(spec.run_id.encode()))) % SLOTS


def addresses_of(home: Path, spec: RunSpec) -> dict[str, str]:
    """Return the address of each host: its machine's where they are on several, else one of the loopback."""
    slot, given = slot_of(home, spec), machines_of(home)
    return {each: given.get(each) or address(slot, index) for index, each in enumerate(spec.hosts)}


def machines_of(home: Path) -> dict[str, str]:
    """Return the address of each host's machine, where they are on several; else nothing."""
    given: dict[str, str] = _place(home).get("addresses") or {}
    return given


def _place(home: Path) -> dict[str, Any]:
    """Return what the placement has decided on the run; nothing where none has."""
    with contextlib.suppress(OSError, ValueError):
        found: dict[str, Any] = json.loads((home.parent.parent / "place.json").read_text())
        return found
    return {}


def address(slot: int, index: int) -> str:
    """Return the loopback address of the run's host number `index`, from 127.77.0.1 on."""
    return f"127.{77 + slot // 256}.{slot % 256}.{index + 1}"


def group_name(spec: RunSpec, host: str) -> str:
    """Return the cgroup's name for one host."""
    return f"{spec.run_id}.{host}"


def gpus_of(home: Path) -> list[str]:
    """Return the numbers of the host's GPUs, as CUDA_VISIBLE_DEVICES has them."""
    with contextlib.suppress(OSError):
        return [each for each in (home / "gpus").read_text().strip().split(",") if each]
    return []


def devices(home: Path, spec: RunSpec) -> tuple[str, ...]:
    """Return the device files of the host's GPUs, and those that all GPUs share."""
    if not spec.size.gpus:
        return ()
    own = {f"/dev/nvidia{number}" for number in gpus_of(home)}
    found = sorted(glob("/dev/nvidia*"))
    return tuple(path for path in found if path in own or not path.removeprefix("/dev/nvidia").isdecimal())


def give(folder: Path, uid: int) -> None:
    """Hand a tree to `uid`, save files with other hard links: those belong to a cache."""
    os.lchown(folder, uid, uid)
    own = os.geteuid()
    for top, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(top, name)
            status = os.lstat(path)
            if status.st_uid == own and (status.st_nlink == 1 or name in folders):
                os.lchown(path, uid, uid)


def signal_name(number: int) -> str:
    """Return `SIGKILL` for 9, and so on."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
