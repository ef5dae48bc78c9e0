"""Python environments on top of a runtime: a script's `requirements.txt`, installed once and kept.

    runtime's Python and packages ◀── bin/python, lib/python3.x/site-packages (its own packages come first)

An overlay is a virtual environment that sees the packages of the runtime, so that pip installs only what is
missing, never takes from the runtime, and `python` and `pip` on the PATH are the runtime's.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = "requirements.txt"
_LOCAL = re.compile(
    r"^\s*(-r|-c|-e|--requirement|--constraint|--editable|\.{1,2}/|/|file:)|@\s*file:|\.whl\s*$", re.M
)
_PIP = '#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n'
_ASK = """
import glob, importlib.util, json, os, sys, sysconfig
def pip():
    if importlib.util.find_spec("pip"):
        return ""
    import ensurepip
    found = sorted(glob.glob(os.path.join(os.path.dirname(ensurepip.__file__), "_bundled", "pip-*.whl")))
    return found[-1] if found else "-"
print(json.dumps({
    "executable": sys.executable,
    "base": getattr(sys, "_base_executable", sys.executable),
    "version": "%d.%d" % sys.version_info[:2],
    "tag": "%s-%s" % (sys.implementation.cache_tag, sysconfig.get_platform()),
    "packages": list(dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])),
    "prefixes": list(dict.fromkeys([sys.prefix, sys.base_prefix])),
    "pip": pip(),
}))
"""


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """A runtime's Python."""

    executable: str
    base: str
    """The installed one below a virtual environment."""
    version: str
    tag: str
    packages: tuple[str, ...]
    """Its `site-packages`."""
    prefixes: tuple[str, ...] = ()
    """Folders it needs to run."""
    pip: str = ""
    """Wheel to run pip from where it is not installed; `-` where there is none."""

    @property
    def folder(self) -> str:
        """Of its console scripts."""
        return str(Path(self.executable).parent)


@cache
def interpreter(executable: str = "") -> Interpreter:
    """Return the Python at `executable`; of this process where that is empty.

    Raises
    ------
    OSError, subprocess.CalledProcessError
        It cannot be run.
    """
    if executable in {"", sys.executable} and _has_pip():
        purelib, platlib = sysconfig.get_path("purelib"), sysconfig.get_path("platlib")
        return Interpreter(
            executable=sys.executable,
            base=getattr(sys, "_base_executable", sys.executable),
            version=f"{sys.version_info[0]}.{sys.version_info[1]}",
            tag=f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}",
            packages=tuple(dict.fromkeys([purelib, platlib])),
            prefixes=tuple(dict.fromkeys([sys.prefix, sys.base_prefix])),
        )
    answer = subprocess.run(  # noqa: S603 - the Python that the settings name
        [executable or sys.executable, "-c", _ASK], capture_output=True, text=True, check=True, timeout=60
    )
    found: dict[str, Any] = json.loads(answer.stdout)
    lists: dict[str, Any] = {name: tuple(found.pop(name)) for name in ("packages", "prefixes")}
    return Interpreter(**found, **lists)


def _has_pip() -> bool:
    return (Path(sysconfig.get_path("purelib")) / "pip/__main__.py").is_file()


def wants(code: Path) -> bool:
    """Return whether a code folder asks for packages of its own."""
    return (code / FILE).is_file() or (code / "setup.py").is_file()


def names_files(text: str) -> bool:
    """Return whether a requirements file names other files, which lie beside it."""
    return _LOCAL.search(text) is not None


def digest(account: str, python: Interpreter, code: Path) -> str:
    """Return the name under which what `code` asks for is kept.

    The same text gives the same name within an account: another account's packages are never used, for they
    may have been built by code of its own. Where the text names files, their content counts as well.
    """
    mark = hashlib.sha256(json.dumps([account, asdict(python)]).encode())
    text = (code / FILE).read_text(errors="replace") if (code / FILE).is_file() else ""
    mark.update(text.encode())
    if (code / "setup.py").is_file() or names_files(text):
        for path in sorted(path for path in code.rglob("*") if path.is_file() and not path.is_symlink()):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            mark.update(f"\0{path.relative_to(code)}\0{content}".encode())
    return mark.hexdigest()[:32]


def overlay(folder: Path, python: Interpreter) -> None:
    """Make an empty overlay of `python` in `folder`."""
    packages = folder / f"lib/python{python.version}/site-packages"
    packages.mkdir(parents=True, exist_ok=True)
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "pyvenv.cfg").write_text(
        f"home = {Path(python.base).parent}\ninclude-system-site-packages = false\n"
    )
    lines = [f"import site; site.addsitedir({each!r})" for each in python.packages]
    if python.pip not in {"", "-"}:
        lines.append(python.pip)
    (packages / "_runtime.pth").write_text("\n".join(lines) + "\n")
    for name in ("python", "python3", f"python{python.version}"):
        link = folder / "bin" / name
        if not link.is_symlink():
            os.symlink(python.base, link)
    for name in ("pip", "pip3"):
        script = folder / "bin" / name
        script.write_text(_PIP)
        script.chmod(0o755)


def site_packages(folder: Path | str, python: Interpreter) -> str:
    """Return where an overlay's own packages are."""
    return f"{folder}/lib/python{python.version}/site-packages"


def install_command(folder: str, code: Path) -> tuple[str, ...]:
    """Return the command that installs what `code` asks for; its working directory is the code folder.

    Parameters
    ----------
    folder : str
        The overlay, as the command sees it.
    code : Path
        The code folder, as the caller sees it.
    """
    words = [f"{folder}/bin/python", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    words += ["--no-cache-dir", "--progress-bar", "off"]
    if (code / "setup.py").is_file():
        words.append(".")
    if (code / FILE).is_file():
        words += ["-r", FILE]
    return tuple(words)
