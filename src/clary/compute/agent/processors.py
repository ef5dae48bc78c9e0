"""From a processing request to the program that its hosts run: a command, a warm script, our own image."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clary.compute.agent import packages, programs
from clary.compute.agent.host import INSIDE, Host
from clary.compute.agent.notebooks import home
from clary.compute.agent.packages import FOLDER, Packages
from clary.compute.runners.base import Program
from clary.toolkit import requirements, script
from clary.toolkit.processors import notebook

NOTEBOOK = "notebook"
"""Processor that runs in the environment of the notebooks, as a file: that environment has no Clary."""
_PYTHONS = frozenset({"python", "python3"})
_OF_TRAINING = ("TRAINING_JOB_NAME", "TRAINING_JOB_ARN")
"""By these the SDK's experiments know a training job; here they would lead it astray."""


def program(host: Host, installed: Packages, binds: tuple[tuple[str, str], ...]) -> Program:
    """Return the program of a processing host whose `/opt/ml` is staged."""
    spec, request = host.spec, host.spec.request
    application = request["AppSpecification"]
    argv = (*application.get("ContainerEntrypoint", ()), *application.get("ContainerArguments", ()))
    requested: Mapping[str, str] = request.get("Environment") or {}
    base = programs.platform_environment(host)
    base = {name: value for name, value in base.items() if name in requested or name not in _OF_TRAINING}
    common: dict[str, Any] = {
        "network": not (request.get("NetworkConfig") or {}).get("EnableNetworkIsolation", False),
        "binds": binds,
        "ro_binds": installed.ro_binds,
    }
    variables = {
        **programs.machine_environment(),
        **programs.AS_ROOT,
        **base,
        "PATH": installed.path(base),
    }
    if spec.runtime.kind == "container":
        return programs.contained(host, application, base, "", **common)
    if spec.runtime.kind == "processor" and spec.runtime.name == NOTEBOOK:
        variables |= home.connected(host, base.get("AWS_ENDPOINT_URL", "")) | home.shared(installed)
        argv = ("python3", notebook.__file__, *application.get("ContainerArguments", ()))
        return Program(argv=argv, environment=variables, directory="/opt/ml/processing", **common)
    if spec.runtime.kind == "processor":
        call = f"clary.toolkit.processors.{spec.runtime.name}:main"
        arguments: dict[str, Any] = {"arguments": list(application.get("ContainerArguments", ()))}
        return Program(call=call, arguments=arguments, environment=variables, **common)
    if installed.is_warm and _is_script(host.ml, argv):
        arguments = {
            "python": f"{FOLDER}/bin/python3",
            "program": argv[1],
            "code": programs.CODE,
            "arguments": list(argv[2:]),
            "packages": list(installed.inside),
        }
        call = "clary.toolkit.overlaid:main"
        return Program(call=call, arguments=arguments, environment=variables, **common)
    return Program(argv=argv, environment=variables, **common)


def packages_of(host: Host) -> Packages:
    """Return the Python environment of a processing host; a real image has its own."""
    runtime = host.spec.runtime
    if runtime.kind == "container":
        return Packages(requirements.interpreter())
    setting = "notebook_python" if runtime.name == NOTEBOOK else "runtime_python"
    return packages.writable(host, packages.runtime(setting))


def _is_script(ml: Path, argv: tuple[str, ...]) -> bool:
    """Say whether a command is `python3 /opt/ml/….py`, and no file beside it shadows an import."""
    if len(argv) < 2 or argv[0] not in _PYTHONS or not argv[1].endswith(".py"):
        return False
    if not argv[1].startswith(f"{INSIDE}/") or ".." in argv[1].split("/"):
        return False
    path = ml / os.path.relpath(argv[1], INSIDE)
    return path.is_file() and not script.shadows([path.parent])
