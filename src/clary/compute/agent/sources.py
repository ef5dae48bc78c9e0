"""What the SDK's FrameworkProcessor packs: its `requirements.txt` is installed once and kept, as training's.

    runtime's packages ◀── what requirements.txt asks for, kept ◀── the program's own, writable

The SDK's start script unpacks `sourcedir.tar.gz` and calls `pip install -r requirements.txt`, which then
finds everything there. What cannot be installed before is left to that call, which says why.
"""

import shutil
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clary.compute.agent import packages, processors
from clary.compute.agent.execute import Executor
from clary.compute.agent.host import INSIDE, Host
from clary.compute.agent.install import InstallError, install
from clary.compute.agent.packages import Packages
from clary.compute.agent.watch import Watch
from clary.toolkit import requirements

FOLDER = f"{INSIDE}/.requirements"
"""Where the program finds what is kept."""
MOST_BYTES = 1 << 20
"""A longer `requirements.txt` is no list of packages."""
_ARCHIVE, _START = "sourcedir.tar.gz", "/runproc.sh"
"""Source: SageMaker SDK 2.257, `processing.py`, `FrameworkProcessor`."""
_INDEX = b"codeartifact"
"""In a start script that installs from an index of its own."""


def packages_of(host: Host, watch: Watch, executor: Executor) -> Packages:
    """Return the Python environment of a processing host, with what its sources ask for."""
    text = asked(host) if host.spec.runtime.kind not in {"container", "processor"} else ""
    if not text:
        return processors.packages_of(host)
    return stacked(host, text, lambda code: install(host, watch, executor, packages.runtime(), code))


def asked(host: Host) -> str:
    """Return the `requirements.txt` of a staged FrameworkProcessor job; empty where there is none to keep.

    One that names files of its folder is not kept: only the start script unpacks these.
    """
    command = (host.spec.request.get("AppSpecification") or {}).get("ContainerEntrypoint") or ("",)
    start = _below(host.ml, command[-1])
    if start is None or not command[-1].endswith(_START) or _INDEX in start.read_bytes():
        return ""
    if _is_isolated(host.spec.request):
        return ""
    folders = (
        _below(host.ml, f"{each['S3Input'].get('LocalPath', '')}/{_ARCHIVE}")
        for each in host.spec.request.get("ProcessingInputs") or ()
        if "S3Input" in each
    )
    archive = next((each for each in folders if each is not None), None)
    text = _read(archive) if archive is not None else ""
    return "" if requirements.names_files(text) else text


def stacked(host: Host, text: str, installed: Callable[[Path], Packages]) -> Packages:
    """Return an empty overlay, for the program to install into, on top of what `text` asks for.

    Parameters
    ----------
    installed : callable
        Installs what a code folder asks for, or finds it in the cache.
    """
    folder = host.ml / Path(packages.FOLDER).name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / requirements.FILE).write_text(text)
    python = packages.runtime()
    try:
        kept = installed(folder).folder
    except InstallError:
        kept = None
    shutil.rmtree(folder)
    return packages.writable(host, python) if kept is None else packages.on_top(host, python, kept, FOLDER)


def _is_isolated(request: Mapping[str, Any]) -> bool:
    return bool((request.get("NetworkConfig") or {}).get("EnableNetworkIsolation"))


def _below(ml: Path, path: str) -> Path | None:
    """Return where a file of the program lies outside; None where it is none of `/opt/ml`."""
    if not path.startswith(f"{INSIDE}/") or ".." in path.split("/"):
        return None
    found = ml / Path(path).relative_to(INSIDE)
    return found if found.is_file() else None


def _read(archive: Path) -> str:
    try:
        with tarfile.open(archive) as files:
            member = next(
                (each for each in files if each.name in {"requirements.txt", "./requirements.txt"}), None
            )
            file = files.extractfile(member) if member is not None and member.size <= MOST_BYTES else None
            return file.read().decode("utf-8", "replace") if file is not None else ""
    except (tarfile.TarError, OSError, EOFError):
        return ""  # the start script says what is wrong with it
