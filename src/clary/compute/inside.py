"""What a fresh fork does to become a job's program: shed everything, then exec or call.

This runs in a clean fork of the launcher, in the job's namespaces, and never returns.
"""

import atexit
import contextlib
import faulthandler
import fcntl
import gc
import importlib
import io
import os
import random
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from clary.compute import limits, linux

NOT_STARTED = 127
"""Exit code of a program that could not be begun, as a shell has it."""

pools: list[Any] = []
"""`threadpoolctl` controllers of the libraries that the zygote has loaded."""


@dataclass(frozen=True, kw_only=True)
class Rights:
    """Who the program is."""

    drops: bool
    """Capabilities are given up: it is in a sandbox."""
    switch_to: int | None = None
    """User and group id that this process, being root, takes."""
    map_to: tuple[int, int] | None = None
    """User and group id that this process, user 0 of a user namespace, appears under."""


def become(program: Mapping[str, Any], rights: Rights, *, gate: int, stdout: int, stderr: int) -> NoReturn:
    """Turn this process into `program` and end with its exit code.

    Parameters
    ----------
    program : mapping
        `argv` or `call`, `arguments`, `environment`, `directory`, `cpus`.
    gate : int
        A byte comes through it when the limits stand; end of file says that nobody waits any more.
    """
    code = NOT_STARTED
    try:
        if not os.read(gate, 1):
            os._exit(NOT_STARTED)
        _take_streams(stdout, stderr)
        _shed(rights)
        environment = dict(program["environment"])
        os.chdir(_existing(program["directory"]))
        if program["argv"]:
            _execute(list(program["argv"]), environment)
        code = _call(program["call"], program["arguments"], environment, cpus=int(program["cpus"]))
    except OSError as error:
        _say(f"clary: cannot start the program: {error}")
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _take_streams(stdout: int, stderr: int) -> None:
    """Put the three standard streams in place and close every other descriptor."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    # first out of the way: one of the given numbers may be 0, 1 or 2
    high = [_above(each) for each in (nothing, stdout, stderr)]
    for number, descriptor in enumerate(high):
        os.dup2(descriptor, number)
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _above(descriptor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD, 64)


def _shed(rights: Rights) -> None:
    """Leave the launcher's session, signals, user and rights."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    os.umask(0o022)
    limits.set_rlimits(processes=rights.switch_to is not None)
    if rights.map_to is not None:
        linux.map_user(*rights.map_to)
    if rights.drops:
        linux.drop_bounds()
    if rights.switch_to is not None:
        uid = rights.switch_to
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    if rights.drops:
        linux.drop_capabilities()
        linux.set_dumpable()


def _existing(directory: str) -> str:
    """Return `directory`, made if need be; `/` where it cannot be made."""
    with contextlib.suppress(OSError):
        os.makedirs(directory, exist_ok=True)
    return directory if os.path.isdir(directory) else "/"


def _execute(argv: list[str], environment: dict[str, str]) -> NoReturn:
    try:
        os.execvpe(argv[0], argv, environment)  # noqa: S606 - running the customer's program is the purpose
    except OSError as error:
        _say(f"clary: cannot run {argv[0]!r}: {error.strerror}")
        os._exit(NOT_STARTED)


def _call(call: str, arguments: Any, environment: dict[str, str], *, cpus: int) -> int:
    """Run `module:function` as a fresh interpreter would, and return the exit code."""
    os.environ.clear()
    os.environ.update(environment)
    _fresh_interpreter(call, cpus)
    module, _, function = call.partition(":")
    try:
        target = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        _say(f"clary: cannot load {call!r}: {error}")
        return NOT_STARTED
    code = _guarded(target, arguments)
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]  # joins the threads that a script left running
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    return code


def _guarded(target: Any, arguments: Any) -> int:
    try:
        returned = target(arguments)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        _say(str(end.code))
        return 1
    except KeyboardInterrupt:
        return 130
    except BaseException:
        traceback.print_exc()
        return 1
    return returned if isinstance(returned, int) and not isinstance(returned, bool) else 0


def _fresh_interpreter(call: str, cpus: int) -> None:
    """Undo what the launcher's life has left in the interpreter."""
    renew_interpreter()
    sys.argv = [call]
    faulthandler.enable()
    gc.enable()
    for pool in pools:
        pool.limit(limits=cpus)  # the pools of linear algebra, held at one thread in the zygote


def renew_interpreter() -> None:
    """After a fork: streams of its own over the new descriptors, random numbers of its own."""
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - it lives as long as the process
    for name, number in (("stdout", 1), ("stderr", 2)):
        raw = open(number, "wb", closefd=False)  # noqa: SIM115 - it lives as long as the process
        text = io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        setattr(sys, name, text)
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()  # else every fork of one parent draws the same numbers


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode(errors="backslashreplace"))
