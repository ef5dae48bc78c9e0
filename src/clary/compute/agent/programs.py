"""From a run's spec to the program that its hosts run, and how its failures are spelled."""

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clary
from clary import containers
from clary.compute.agent.host import INSIDE, Host
from clary.compute.agent.packages import Packages
from clary.compute.docker import pull
from clary.compute.runners.base import Program
from clary.compute.runners.process import gpus_of
from clary.kernel.errors import CustomerError
from clary.kernel.settings import Settings
from clary.toolkit import environment, script
from clary.toolkit.environment import Training

CODE = f"{INSIDE}/code"
PASSED_ON = (
    "PIP_",
    "UV_",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT",
)
"""How this machine reaches the world, for programs that install packages; by beginning of the name."""


AS_ROOT = {"USER": "root", "LOGNAME": "root"}
"""SageMaker's images run as root, and @remote's bootstrap calls sudo for anybody else; all of `/opt/ml` is
the job's own here, so that it needs no more rights."""
_COLD = (
    "import importlib, json, sys; module, function = sys.argv[1].split(':'); "
    "sys.exit(getattr(importlib.import_module(module), function)(json.loads(sys.argv[2])))"
)


@dataclass(frozen=True)
class Job:
    """A program, and the command by which its customer knows it."""

    program: Program
    command: str = ""
    """Of a script; empty for what is not run through the training toolkit."""


def hyperparameters(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the decoded hyperparameters of a training request."""
    return environment.decode(request.get("HyperParameters") or {})


def entry_point(request: Mapping[str, Any]) -> str:
    """Return the script that a training request names; empty where it names none."""
    named = (request.get("Environment") or {}).get("SAGEMAKER_PROGRAM")
    return str(named or hyperparameters(request).get("sagemaker_program") or "")


def is_verbatim(request: Mapping[str, Any]) -> bool:
    """Return whether the request names a command of its own."""
    specification = request.get("AlgorithmSpecification") or {}
    return bool(specification.get("ContainerEntrypoint") or specification.get("ContainerArguments"))


def platform_environment(host: Host) -> dict[str, str]:
    """Return what every program of this host finds in its environment."""
    spec = host.spec
    return environment.platform(
        job_name=spec.name,
        job_arn=spec.arn,
        region=spec.region,
        host=host.name,
        given=spec.environment,
        requested=spec.request.get("Environment") or {},
    )


def training(host: Host, packages: Packages, binds: Sequence[tuple[str, str]]) -> Job:
    """Return the program of a training host whose `/opt/ml` is staged.

    Raises
    ------
    CustomerError
        The request names no program, or one that its code does not hold.
    """
    spec, request = host.spec, host.spec.request
    base = platform_environment(host)
    if checkpoint := (request.get("CheckpointConfig") or {}).get("S3Uri"):
        base.setdefault("SM_CHECKPOINT_CONFIG_FILE", f"{INSIDE}/input/config/checkpointconfig.json")
        base.setdefault("SM_CHECKPOINT_S3_URI", checkpoint)
    common: dict[str, Any] = {
        "directory": CODE,
        "network": not request.get("EnableNetworkIsolation", False),
        "binds": tuple(binds),
        "ro_binds": packages.ro_binds,
    }
    specification = request.get("AlgorithmSpecification") or {}
    if spec.runtime.kind == "container":
        return Job(contained(host, specification, base, "train", **common))
    if is_verbatim(request):
        argv = (*specification.get("ContainerEntrypoint", ()), *specification.get("ContainerArguments", ()))
        variables = {**machine_environment(), **AS_ROOT, **base, "PATH": packages.path(base)}
        return Job(Program(argv=argv, environment=variables, **common))
    if spec.runtime.kind == "builtin":
        call, arguments = "clary.algorithms._train:main", {"algorithm": spec.runtime.name}
        return Job(Program(call=call, arguments=arguments, environment=base, **common))
    name = entry_point(request)
    if not name:
        raise CustomerError(
            f"The image of {spec.runtime.name} runs a script, and the request names none: set entry_point "
            "(hyperparameter sagemaker_program), or ContainerEntrypoint."
        )
    return _script(host, packages, name, base, common)


def image_of(host: Host) -> str:
    """Return what the container engine calls the run's image."""
    spec = host.spec
    here = urlsplit(spec.objects.get("endpoint", "")).netloc
    return pull.name_of(spec.runtime.name, spec.account, here, Settings.load().registry)


def contained(
    host: Host, named: Mapping[str, Any], environment: Mapping[str, str], argument: str, **common: Any
) -> Program:
    """Return the program of a real image.

    Parameters
    ----------
    named : mapping
        May have `ContainerEntrypoint` and `ContainerArguments`, which are taken verbatim.
    argument : str
        Of the image's own entry point where the request names nothing; empty for none.

    Source: developer guide, "How Amazon SageMaker AI runs your training image": `docker run <image> train`.
    """
    entrypoint = tuple(named.get("ContainerEntrypoint") or ())
    argv = tuple(named.get("ContainerArguments") or ())
    if not (entrypoint or argv) and argument:
        argv = (argument,)
    image = image_of(host)
    return Program(image=image, entrypoint=entrypoint, argv=argv, environment=environment, **common)


def _script(host: Host, packages: Packages, name: str, base: dict[str, str], common: dict[str, Any]) -> Job:
    """Return a script's program: in the warm process where nothing speaks against it."""
    code = host.ml / "code"
    kind = script.kind_of(code, name)
    if kind is not script.EntryPoint.PACKAGE and not (code / name).is_file():
        there = ", ".join(sorted(each.name for each in code.iterdir())[:10]) or "nothing"
        raise CustomerError(f'The entry point "{name}" is not in the source directory; there is: {there}.')
    spec, request, size = host.spec, host.spec.request, host.spec.size
    seen = Training(
        host.ml / "input/config",
        base=INSIDE,
        environ=base,
        num_cpus=min(size.cpus, os.cpu_count() or 1),
        num_gpus=len(gpus_of(host.home)),
    )
    folders = [*packages.inside, CODE]
    variables = {**base, **seen.environment(), "PATH": packages.path(base)}
    variables["PYTHONPATH"] = ":".join([*folders, *filter(None, [base.get("PYTHONPATH")]), containers.FOLDER])
    is_launched = hyperparameters(request).get("sagemaker_torch_distributed_enabled") is True
    command = (
        script.torchrun(name, seen.arguments, hosts=spec.hosts, host=host.name, n_gpus=size.gpus)
        if is_launched
        else script.command(code, name, seen.arguments)
    )
    shown = " ".join(command) if command[0] != "/bin/sh" else shlex.join(command)
    is_warm = packages.is_warm and kind is not script.EntryPoint.COMMAND and not is_launched
    if not is_warm or script.shadows([code, *packages.outside]):
        if kind is script.EntryPoint.COMMAND:
            (code / name).chmod(0o755)
            variables = {**machine_environment(), **variables}
        return Job(Program(argv=command, environment=variables, **common), shown)
    arguments = {
        "program": name,
        "code": CODE,
        "arguments": seen.arguments,
        "is_module": kind is script.EntryPoint.PACKAGE,
        "packages": list(packages.inside),
        "last": [containers.FOLDER],
    }
    program = Program(call="clary.toolkit.script:main", arguments=arguments, environment=variables, **common)
    return Job(program, shown)


def machine_environment() -> dict[str, str]:
    """Return how this machine reaches package indexes, for programs that install something."""
    return {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}


def cold(
    call: str,
    arguments: Mapping[str, Any],
    variables: Mapping[str, str],
    folders: Sequence[str],
    common: Mapping[str, Any],
) -> Program:
    """Return a program that makes `call` in a new interpreter, which has imported nothing yet.

    Parameters
    ----------
    folders : sequence of str
        Import from these first.
    common : mapping
        Other members of the program.
    """
    ours = str(Path(clary.__file__).parents[1])
    path = ":".join([*folders, ours, *filter(None, [variables.get("PYTHONPATH")])])
    return Program(
        argv=("python3", "-c", _COLD, call, json.dumps(arguments)),
        environment={**variables, "PYTHONPATH": path},
        **common,
    )
