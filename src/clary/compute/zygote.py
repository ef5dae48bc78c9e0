"""The zygote: a process that has imported everything and forks itself into host agents.

placement ──{"home": …, "account": …}──▶ zygote ──fork──▶ launcher ◀── agent (own session, own log)
          ◀──────────{"pid": …}─────────        or a spare agent of the account (spares.py)

A cold start of the same imports costs 2.7 s. The zygote only imports: pools of threads do not survive a fork.
"""

import argparse
import contextlib
import fcntl
import gc
import importlib
import json
import logging
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from clary.compute import inside, launcher, limits, linux, spares, warming
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings
from clary.toolkit.kernels import warm

_MAX_REQUEST = 65536
_ANSWER_S = 10.0
_CHANNEL = 3
"""Descriptor of an agent's own channel to its zygote."""

log = logging.getLogger("clary.zygote")


def socket_path(settings: Settings, runtime: str = "base") -> Path:
    """Return where the zygote of `runtime` listens."""
    return settings.socket_dir / f"zygote-{runtime}.sock"


def command(runtime: str = "base") -> list[str]:
    """Return the command that runs a zygote in the foreground."""
    return [sys.executable, "-P", "-m", "clary.compute.zygote", "--runtime", runtime]


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment for a zygote: ours and the settings, without the secrets among them."""
    merged = {**limits.PATIENT_THREADS, **os.environ, **settings.environment()}
    return {name: value for name, value in merged.items() if launcher.is_kept(name)}


def listens(settings: Settings, runtime: str = "base") -> bool:
    """Return whether a zygote of `runtime` takes requests."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_ANSWER_S)
        with contextlib.suppress(OSError):
            probe.connect(str(socket_path(settings, runtime)))
            return True
    return False


def ensure(settings: Settings, runtime: str = "base", *, within_s: float = 60.0) -> Path:
    """Start a zygote of `runtime` if none listens, and return its socket.

    Raises
    ------
    SetupError
        It does not come up.
    """
    path = socket_path(settings, runtime)
    if listens(settings, runtime):
        return path
    settings.socket_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    output = settings.data_dir / f"zygote-{runtime}.log"
    with output.open("ab") as file:
        child = subprocess.Popen(  # noqa: S603 - this interpreter, this package
            command(runtime),
            env=environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if listens(settings, runtime):
            child.returncode = 0  # not ours to wait for
            return path
        if child.poll() not in {None, 0}:
            break
        time.sleep(0.02)
    raise SetupError(f"the {runtime} zygote did not start; {output} says why")


def fork_agent(settings: Settings, home: Path, runtime: str = "base", *, account: str = "") -> int | None:
    """Ask the zygote for an agent of the host folder `home`; None where no zygote answers.

    Parameters
    ----------
    account : str
        Whose run it is: a spare agent of this account may take it. Empty has a fresh one forked.

    Returns
    -------
    int or None
        Pid of the agent.
    """
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(_ANSWER_S)
        try:
            channel.connect(str(socket_path(settings, runtime)))
            channel.sendall(json.dumps({"home": str(home), "account": account}).encode() + b"\n")
            answer = json.loads(channel.makefile("rb").readline(_MAX_REQUEST) or b"{}")
        except (OSError, ValueError):
            return None
    pid = answer.get("pid")
    return int(pid) if pid else None


class Zygote:
    """The server's side: listens, forks, reaps."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listener: socket.socket | None = None
        self._selector = selectors.DefaultSelector()
        self._spares = spares.Spares(self._selector)
        self._has_kernels = False
        self._compiling: subprocess.Popen[bytes] | None = None

    def serve(self) -> None:
        """Fork agents until SIGTERM."""
        read_wake, write_wake = os.pipe()
        os.set_blocking(read_wake, False)
        os.set_blocking(write_wake, False)
        signal.set_wakeup_fd(write_wake, warn_on_full_buffer=False)
        ended: list[int] = []
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda got, _: ended.append(got))
        self._listener = self._listen()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(read_wake, selectors.EVENT_READ)
        self._load_kernels()
        while not ended:
            for key, _ in self._selector.select(self._spares.expire()):
                if isinstance(key.data, spares.Agent):
                    self._spares.hear(key.data)
                elif key.fd == read_wake:
                    with contextlib.suppress(BlockingIOError):
                        os.read(read_wake, 4096)
                    _reap()
                    self._load_kernels()
                elif key.fileobj is self._listener:
                    self._accept(self._listener)
                else:
                    self._answer(key.fileobj)  # type: ignore[arg-type]  # only sockets are registered
        self._path.unlink(missing_ok=True)

    def _load_kernels(self) -> None:
        """Have compiled kernels in every fork; where there are none yet, another process compiles them."""
        if self._has_kernels:
            return
        self._has_kernels = warm.load()
        if self._has_kernels:
            gc.freeze()
            linux.gather_memory()
        elif self._compiling is None:
            self._compiling = subprocess.Popen(
                [sys.executable, "-P", "-m", "clary.toolkit.kernels.warm"],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._compiling.returncode = 0  # reaped with the others

    def _listen(self) -> socket.socket:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._path))
        self._path.chmod(0o600)
        listener.listen(128)
        listener.setblocking(False)
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            channel, _ = listener.accept()
            channel.setblocking(False)
            if not _is_ours(channel):
                log.warning("refused a connection of another user")
                channel.close()
                return
            self._selector.register(channel, selectors.EVENT_READ)

    def _answer(self, channel: socket.socket) -> None:
        """Take one request; the requests are short lines, so one read has all of it."""
        self._selector.unregister(channel)
        with channel, contextlib.suppress(OSError):
            text = channel.recv(_MAX_REQUEST)
            if not text:
                return
            try:
                asked = json.loads(text)
                home, account = Path(asked["home"]), str(asked.get("account", ""))
                if not (home.is_absolute() and home.is_dir()):
                    raise ValueError(f"no folder {home}")
                pid = self._spares.take(home, account) or self._fork(home, account)
                answer: dict[str, Any] = {"pid": pid}
            except (ValueError, KeyError, TypeError, OSError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            channel.sendall(json.dumps(answer).encode() + b"\n")

    def _fork(self, home: Path, account: str) -> int:
        here, there = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            _be_agent(home, there if account else None)
        there.close()
        if account:
            self._spares.add(pid, account, here)
        else:
            here.close()
        return pid


def _be_agent(home: Path | None, channel: socket.socket | None) -> NoReturn:
    """Become the agent of `home`, then of others: nothing of the zygote is left but its imports."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if channel is not None:
            os.dup2(channel.detach(), _CHANNEL)
            channel = socket.socket(fileno=_CHANNEL)
        os.closerange(_CHANNEL + (channel is not None), os.sysconf("SC_OPEN_MAX"))
        agent = importlib.import_module("clary.compute.agent")
        while home is not None:
            _take_streams(home / "agent.log")
            launcher.prepare()  # before anything secret is read
            code = agent.main(home) or 0
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            _take_streams(Path(os.devnull))
            is_clean = code == 0 and threading.active_count() == 1  # nothing of the run goes on
            home = spares.next_home(channel) if channel is not None and is_clean else None
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        logging.getLogger("clary.agent").exception("the agent ended on an error")
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _take_streams(log_file: Path) -> None:
    """Read nothing, and write to a log."""
    out = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for stream, descriptor in enumerate((nothing, out, out)):
        os.dup2(descriptor, stream)
    for descriptor in (nothing, out):
        os.close(descriptor)
    inside.renew_interpreter()


def main(arguments: list[str] | None = None) -> int:
    """Run a zygote in the foreground."""
    parser = argparse.ArgumentParser(
        prog="python -m clary.compute.zygote", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--runtime", choices=sorted(warming.RUNTIMES), default="base")
    given = parser.parse_args(arguments)
    if not all(map(launcher.is_kept, os.environ)):
        # even a variable that is unset stays readable in memory, and forks of this memory run customers' code
        clean = {name: value for name, value in os.environ.items() if launcher.is_kept(name)}
        os.execve(sys.executable, command(given.runtime), clean)  # noqa: S606 - ourselves again
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    settings = Settings.load()
    path = socket_path(settings, given.runtime)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another zygote of runtime %s runs", given.runtime)
            return 0
        os.chdir("/")
        started = time.monotonic()
        warming.warm_up(given.runtime)
        linux.gather_memory()
        log.info("%s: warm after %.1f s, %d threads", given.runtime, time.monotonic() - started, threads())
        Zygote(path).serve()
    return 0


def threads() -> int:
    """Return how many threads this process has."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


def _is_ours(channel: socket.socket) -> bool:
    if not linux.IS_LINUX:
        return True  # the socket's own mode, 0600 in a 0700 folder, guards it
    peer = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", peer)
    return uid in {0, os.geteuid()}


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    sys.exit(main())
