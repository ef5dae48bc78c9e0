"""Make a virtual environment hold exactly what its lock files say, quietly.

    python3.11 requirements/environment.py .venv clary.lock dev.lock --project

Standard library only: it runs before anything is installed.
"""

import argparse
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
OLDEST = (3, 11)
LOG_LINES = 30


class SetUpError(Exception):
    """Something on this machine is in the way; the text says what, and how to mend it."""


def python_of(folder: Path) -> Path:
    """Return the interpreter of the environment in `folder`."""
    return folder / "bin" / "python"


def run(arguments: list[str], log: Path) -> None:
    """Run a command with its output in `log`; show the end of it when it fails."""
    with log.open("a") as out:
        out.write(f"$ {' '.join(arguments)}\n")
        out.flush()
        done = subprocess.run(arguments, stdout=out, stderr=subprocess.STDOUT, check=False)  # noqa: S603
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])
        raise SetUpError(f"{tail}\n\nThe command above failed; its whole output is in {log}")


def create(folder: Path) -> None:
    """Create the environment when it is not there, or when its Python has gone."""
    if python_of(folder).exists():
        return
    try:
        venv.EnvBuilder(with_pip=True, clear=folder.exists(), symlinks=True).create(folder)
    except (subprocess.CalledProcessError, ImportError) as reason:
        version = ".".join(map(str, sys.version_info[:2]))
        raise SetUpError(
            f"Python {version} cannot create environments ({reason}).\n"
            f"On Debian and Ubuntu: apt install python{version}-venv"
        ) from None


def install(folder: Path, locks: list[str], first: list[str], *, project: bool) -> None:
    """Install what the lock files pin, hashes checked, and compile it on all cores."""
    pip = [str(python_of(folder)), "-m", "pip", "--disable-pip-version-check", "install", "--no-input"]
    log = folder / "install.log"
    log.write_text("")
    for requirement in first:
        run([*pip, requirement], log)
    for lock in locks:
        # The lock is the whole closure: with --no-deps pip has nothing to resolve.
        run([*pip, "--no-compile", "--no-deps", "--require-hashes", "-r", str(HERE / lock)], log)
    if project:
        # The locks are written on Linux; elsewhere pip adds what another system needs (plain xgboost).
        closed = ["--no-deps"] if sys.platform == "linux" else []
        run([*pip, *closed, "--no-build-isolation", "-e", str(HERE.parent)], log)
    packages = folder / "lib"
    # One compiler a core, where pip compiles one file after another. Templates that do not parse are none.
    compile_all = [str(python_of(folder)), "-m", "compileall", "-q", "-j", "0", str(packages)]
    with log.open("a") as out:
        subprocess.run(compile_all, stdout=out, stderr=subprocess.STDOUT, check=False)  # noqa: S603


def say(text: str) -> None:
    """Print without a line end; make's own output must not come between."""
    sys.stdout.write(text)
    sys.stdout.flush()


def main() -> int:
    """Bring one environment up to date and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("locks", nargs="+")
    parser.add_argument(
        "--first", action="append", default=[], help="a requirement to install before the locks"
    )
    parser.add_argument("--project", action="store_true", help="install Clary itself, editable")
    arguments = parser.parse_args()
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        say(f"Clary needs Python 3.11 or newer; {sys.executable} is {found}.\nTry: make PYTHON=python3.11\n")
        return 1
    os.environ.pop("PYTHONPATH", None)
    os.environ.pop("PYTHONHOME", None)
    begun = time.monotonic()
    shown = arguments.folder
    try:
        say(f"· {shown}: installing {', '.join(arguments.locks)} …\n")
        create(arguments.folder)
        install(arguments.folder, arguments.locks, arguments.first, project=arguments.project)
    except SetUpError as reason:
        say(f"{reason}\n")
        return 1
    say(f"· {shown}: ready after {time.monotonic() - begun:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
