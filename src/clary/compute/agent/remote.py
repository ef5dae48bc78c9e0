"""`@remote` of the SageMaker Python SDK: its jobs import the SDK, which SageMaker's images bring.

    runtime's packages ◀── the SDK, in the client's version, kept ◀── what `dependencies` asks for, writable

Where the runtime has no SDK it is installed once for an account, beside the runtime and never into it.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clary.compute.agent import packages
from clary.compute.agent.host import INSIDE, Host
from clary.compute.agent.packages import Packages
from clary.kernel.errors import CustomerError
from clary.toolkit import requirements
from clary.toolkit.requirements import Interpreter

FOLDER = f"{INSIDE}/.sagemaker"
"""Where the program finds the SDK."""
_VERSION = "--client_sagemaker_pysdk_version"
_DRIVER = "/sagemaker_remote_function_bootstrap/"
"""Channel of the job driver. Source: SDK, `remote_function/job.py`."""


def wanted(request: Mapping[str, Any], python: Interpreter) -> str:
    """Return the requirement that a job of `@remote` has beyond its runtime; empty where it has none.

    Raises
    ------
    CustomerError
        The client's version is no version.
    """
    specification = request.get("AlgorithmSpecification") or {}
    arguments = list(specification.get("ContainerArguments") or ())
    is_remote = any(_DRIVER in each for each in specification.get("ContainerEntrypoint") or ())
    if not is_remote or any((Path(each) / "sagemaker").is_dir() for each in python.packages):
        return ""
    if _VERSION not in arguments[:-1]:
        return "sagemaker<3"  # clients before the argument are all of version 2
    version = str(arguments[arguments.index(_VERSION) + 1])
    if not version.replace(".", "").isalnum():
        raise CustomerError(
            f'ContainerArguments: {_VERSION} is "{version}"; it must be a version, as 2.257.7.'
        )
    if version.split(".", maxsplit=1)[0] != "2":
        return "sagemaker-core>=2,<3"  # all that version 3 runs in a job; the whole brings mlflow and more
    return f"sagemaker=={version}"


def stacked(
    host: Host, python: Interpreter, requirement: str, install: Callable[[Path], Packages]
) -> Packages:
    """Return an empty overlay, for the program to install into, on top of the SDK.

    Parameters
    ----------
    requirement : str
        As `wanted` answers it.
    install : callable
        Installs what a code folder asks for, or finds it in the cache.
    """
    folder = host.ml / Path(FOLDER).name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / requirements.FILE).write_text(f"{requirement}\n")
    kept = install(folder).folder
    shutil.rmtree(folder)
    assert kept is not None
    return packages.on_top(host, python, kept, FOLDER)
