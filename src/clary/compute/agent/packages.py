"""What a program imports beyond its runtime: the packages of its `requirements.txt`.

pip runs the customer's code, so it runs in the sandbox like the job itself; what it made is moved to the
cache and shown read-only to every later run of the same account that asks for the same.
"""

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from clary.compute.agent.host import INSIDE, Host
from clary.kernel.errors import CustomerError
from clary.kernel.settings import Settings
from clary.toolkit import requirements

FOLDER = f"{INSIDE}/.packages"
"""Where the program finds them."""
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Packages:
    """The Python environment of one program."""

    python: requirements.Interpreter
    folder: Path | None = None
    """Overlay, outside; None for the runtime as it is."""
    is_writable: bool = False
    """The overlay lies in `/opt/ml` and the program may install into it."""
    beneath: tuple[tuple[str, str], ...] = ()
    """Overlays between this one and the runtime, as read-only (path outside, path inside) pairs."""

    @property
    def is_warm(self) -> bool:
        """Whether this is the interpreter that the agent itself runs in."""
        return self.python.executable == sys.executable

    @property
    def inside(self) -> tuple[str, ...]:
        """Folders that the program imports from before the runtime's."""
        return (requirements.site_packages(FOLDER, self.python),) if self.folder else ()

    @property
    def outside(self) -> tuple[Path, ...]:
        """The same folders, as the agent sees them."""
        return (Path(requirements.site_packages(self.folder, self.python)),) if self.folder else ()

    @property
    def ro_binds(self) -> tuple[tuple[str, str], ...]:
        """Read-only mounts the program needs."""
        binds = [] if self.folder is None or self.is_writable else [(str(self.folder), FOLDER)]
        binds += self.beneath
        if not self.is_warm:
            binds += [(path, path) for path in self.python.prefixes if not path.startswith("/usr")]
        return tuple(binds)

    def path(self, environment: Mapping[str, str]) -> str:
        """Return `PATH`: `python` and `pip` are the runtime's."""
        folders = [f"{FOLDER}/bin"] if self.folder else []
        return ":".join([*folders, self.python.folder, environment.get("PATH") or _SYSTEM_PATH])


def runtime(setting: str = "runtime_python") -> requirements.Interpreter:
    """Return the Python that runs scripts, or the one that another setting names.

    Raises
    ------
    CustomerError
        The settings name one that does not run.
    """
    chosen: str = getattr(Settings.load(), setting)
    try:
        return requirements.interpreter(chosen)
    except (OSError, ValueError) as error:
        raise CustomerError(f"CLARY_{setting.upper()}, {chosen!r}, cannot be used: {error}") from error


def writable(host: Host, python: requirements.Interpreter) -> Packages:
    """Return an empty overlay that the program may install into."""
    folder = host.ml / Path(FOLDER).name
    requirements.overlay(folder, python)
    return Packages(python, folder, is_writable=True)


def on_top(host: Host, python: requirements.Interpreter, kept: Path, inside: str) -> Packages:
    """Return an empty overlay, for the program to install into, on top of a kept one.

    Parameters
    ----------
    kept : Path
        The overlay between it and the runtime.
    inside : str
        Where the program finds that one.
    """
    # both names: without a mount namespace there is only the second
    ours = tuple(requirements.site_packages(each, python) for each in (inside, kept))
    made = writable(host, replace(python, packages=(*ours, *python.packages)))
    return replace(made, python=python, beneath=((str(kept), inside),))


def cached(host: Host, python: requirements.Interpreter, code: Path) -> tuple[Path, Path]:
    """Return the cached overlay of what `code` asks for, there or not, and its lock."""
    name = requirements.digest(host.spec.account, python, code)
    folder = host.cache / "requirements"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name, folder / f"{name}.lock"


@contextlib.contextmanager
def locked(path: Path, wait: Callable[[float], None]) -> Iterator[None]:
    """Hold a lock file; `wait` sleeps between two tries, and raises to give up."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                wait(0.05)
        yield


def keep(host: Host, into: Path) -> None:
    """Move a finished overlay from `/opt/ml` to the cache."""
    built = host.ml / Path(FOLDER).name
    beside = into.with_name(f".{into.name}.{os.getpid()}")
    shutil.move(built, beside)
    beside.chmod(0o755)
    beside.rename(into)
