"""Installing what a program's `requirements.txt` asks for: in the sandbox, once, then from the cache."""

import time
from pathlib import Path

from clary.compute.agent import failure
from clary.compute.agent.execute import Executor
from clary.compute.agent.host import INSIDE, Host
from clary.compute.agent.packages import FOLDER, Packages, cached, keep, locked
from clary.compute.agent.programs import machine_environment, platform_environment
from clary.compute.agent.watch import InterruptionError, Watch
from clary.compute.runners.base import Exit, Program
from clary.toolkit import requirements


class InstallError(Exception):
    """pip could not do it; the text is the FailureReason."""

    def __init__(self, reason: str, exit_: Exit) -> None:
        super().__init__(reason)
        self.exit = exit_


def install(
    host: Host, watch: Watch, executor: Executor, python: requirements.Interpreter, code: Path
) -> Packages:
    """Return the packages that `code`, a folder below the host's `/opt/ml`, asks for.

    Raises
    ------
    InstallError
        pip failed.
    InterruptionError
        A stop was asked for.
    """
    if not requirements.wants(code):
        return Packages(python)
    folder, lock = cached(host, python, code)

    def wait(seconds: float) -> None:
        if stop := watch.look():
            raise InterruptionError(stop.outcome)
        time.sleep(seconds)

    if not folder.is_dir():
        with locked(lock, wait):
            if not folder.is_dir():
                _build(host, executor, python, code)
                keep(host, folder)
    return Packages(python, folder)


def _build(host: Host, executor: Executor, python: requirements.Interpreter, code: Path) -> None:
    requirements.overlay(host.ml / Path(FOLDER).name, python)
    inside = f"{INSIDE}/{code.relative_to(host.ml)}"
    packages = Packages(python, host.ml / Path(FOLDER).name, is_writable=True)
    base = platform_environment(host)
    program = Program(
        argv=requirements.install_command(FOLDER, code),
        environment={**machine_environment(), **base, "PATH": packages.path(base)},
        directory=inside,
        network=not host.spec.request.get("EnableNetworkIsolation", False),
        ro_binds=packages.ro_binds,
    )
    ending, pump = executor.to_end(program)
    if ending.outcome is not None:
        raise InterruptionError(ending.outcome)
    if ending.exit.code != 0:
        command = " ".join(["python3", *program.argv[1:]])
        reason = failure.of_script("InstallRequirementsError", ending.exit, pump.tail, command)
        raise InstallError(reason, ending.exit)
