"""The folders of a notebook instance: its volume, what it is told of itself, and a few commands."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clary.compute import sandbox
from clary.compute.agent import programs
from clary.compute.agent.host import INSIDE, Host
from clary.compute.agent.packages import Packages
from clary.compute.runners.process import slot_of
from clary.kernel.settings import Settings

HOME = "/home/ec2-user"
"""Where SageMaker's images have it; scripts name it."""
VOLUME = f"{HOME}/SageMaker"
COMMANDS = f"{HOME}/.clary/bin"
METADATA = f"{INSIDE}/metadata"
CONFIG = f"{INSIDE}/jupyter"
_SUDO = """#!/bin/bash
# Nobody is root here: a command runs as who asked; `sudo -u ec2-user -i <<EOF` reads them from stdin.
while [ $# -gt 0 ]; do
  case "$1" in
    -u|-g|-p) shift 2 ;;
    -*|*=*) shift ;;
    *) break ;;
  esac
done
if [ $# -eq 0 ]; then exec /bin/bash; fi
exec "$@"
"""
_NOTHING = (
    "#!/bin/sh\n# There are no services to control: JupyterLab starts when the scripts are done.\nexit 0\n"
)
_ACTIVATE = "# All kernels share one environment, which is active already.\ndeactivate() { :; }\n"
_CREDENTIALS = """#!/usr/bin/env python3
import json, sys
import boto3
if sys.argv[-1] == "get":
    secret = boto3.client("secretsmanager").get_secret_value(SecretId=sys.argv[1])["SecretString"]
    for name, value in json.loads(secret).items():
        if name in {"username", "password"} and "\\n" not in str(value):
            print(f"{name}={value}")
"""
_SERVER = """import os, random, resource
resource.setrlimit(resource.RLIMIT_FSIZE, (%(volume_bytes)d, %(volume_bytes)d))
if hasattr(os, "sched_setaffinity"):
    _cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, random.sample(_cpus, min(len(_cpus), %(cpus)d)))
"""


def furnish(host: Host) -> Path:
    """Make what the instance finds; return its volume, seen from outside."""
    request = host.spec.request
    volume = Path(request["Volume"])
    volume.mkdir(parents=True, exist_ok=True, mode=0o700)
    ours = host.home / "user"
    for folder in (ours / "SageMaker", ours / ".clary/bin", ours / "anaconda3/bin"):
        folder.mkdir(parents=True, exist_ok=True)
    _write(ours / ".clary/bin/sudo", _SUDO)
    for name in ("systemctl", "initctl"):
        _write(ours / ".clary/bin" / name, _NOTHING)
    _write(ours / ".clary/bin/git-credential-secret", _CREDENTIALS)
    _write(ours / "anaconda3/bin/activate", _ACTIVATE)
    metadata = host.ml / "metadata"
    metadata.mkdir(parents=True, exist_ok=True)
    told = {"ResourceArn": host.spec.arn, "ResourceName": host.spec.name, **request.get("Metadata", {})}
    (metadata / "resource-metadata.json").write_text(json.dumps(told))
    _configure(host)
    if (uid := user_of(host)) is not None:
        own(volume, uid)
    return volume


SDK = "sagemaker-config.yaml"
"""Of the SageMaker SDK, in the data folder and beside the metadata."""


def _configure(host: Host) -> None:
    """Write JupyterLab's configuration, and the kernel under the name that SageMaker's notebooks ask for."""
    values = {"volume_bytes": limit_bytes(host), "cpus": host.spec.size.cpus}
    config = host.ml / "jupyter"
    _write(config / "jupyter_server_config.py", _SERVER % values)
    disabled = {"@jupyterlab/apputils-extension:announcements": True}
    _write(config / "labconfig/page_config.json", json.dumps({"disabledExtensions": disabled}))
    kernel = {
        "argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "conda_python3",
        "language": "python",
    }
    _write(config / "data/kernels/conda_python3/kernel.json", json.dumps(kernel))


def environment(host: Host, packages: Packages) -> dict[str, str]:
    """Return what every program of the instance finds: the SDKs need nothing beyond it."""
    base = {**programs.machine_environment(), **programs.platform_environment(host)}
    for name in ("TRAINING_JOB_NAME", "TRAINING_JOB_ARN", "CURRENT_HOST", "DMLC_INTERFACE"):
        base.pop(name, None)
    url = base.get("AWS_ENDPOINT_URL", "")
    return base | {
        "HOME": HOME,
        "USER": "ec2-user",
        "LOGNAME": "ec2-user",
        "SHELL": "/bin/bash",
        "PATH": f"{COMMANDS}:{packages.path({})}",
        **connected(host, url),
        "GIT_TERMINAL_PROMPT": "0",
        "JUPYTER_CONFIG_DIR": CONFIG,
        **shared(packages),
        "JUPYTER_RUNTIME_DIR": f"{INSIDE}/run",
        "JUPYTERLAB_DIR": f"{packages.python.prefixes[0]}/share/jupyter/lab",
    }


def shared(packages: Packages) -> dict[str, str]:
    """Return where Jupyter's programs find what their environment brings, seen from the overlay over it."""
    prefixes = packages.python.prefixes
    return {
        "JUPYTER_CONFIG_PATH": ":".join(f"{each}/etc/jupyter" for each in prefixes),
        "JUPYTER_PATH": ":".join([f"{CONFIG}/data", *(f"{each}/share/jupyter" for each in prefixes)]),
    }


def connected(host: Host, url: str) -> dict[str, str]:
    """Return what the SDKs need beside the endpoint: the proxy for hosts that they name, whom to trust."""
    metadata = host.ml / "metadata"
    metadata.mkdir(parents=True, exist_ok=True)
    data_dir = Settings.load().data_dir
    for source, name in ((data_dir / "certificates/bundle.pem", "ca.pem"), (data_dir / SDK, SDK)):
        if source.is_file():
            shutil.copyfile(source, metadata / name)
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    direct = ",".join(filter(None, [given, "127.0.0.1", "localhost"]))
    trusting = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO", "SSL_CERT_FILE")
    return {
        **dict.fromkeys(trusting, f"{METADATA}/ca.pem"),
        "HTTPS_PROXY": url,
        "https_proxy": url,
        "NO_PROXY": direct,
        "no_proxy": direct,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": f"{METADATA}/{SDK}",
    }


def binds(host: Host, volume: Path, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the mounts of every program of the instance; the inner ones first, as paths are replaced."""
    return ((str(volume), VOLUME), (str(host.home / "user"), HOME), *more)


def limit_bytes(host: Host) -> int:
    """Return what the volume may hold."""
    return int(host.spec.request["VolumeSizeInGB"]) << 30


def used_bytes(folder: Path) -> int:
    """Return what a folder's files take on the disk; those that vanish meanwhile count nothing."""
    total, pending = 0, [str(folder)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return total


def user_of(host: Host) -> int | None:
    """Return the user id that the instance's programs run under; None where it is this process's own."""
    settings = Settings.load()
    if sandbox.means(settings).kind != "root":
        return None
    return settings.isolation_uid + slot_of(host.home, host.spec)


def own(folder: Path, uid: int) -> None:
    """Hand a whole tree to a user, links themselves instead of what they lead to."""
    os.lchown(folder, uid, uid)
    for top, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.lchown(os.path.join(top, name), uid, uid)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def repository_name(url: str) -> str:
    """Return the folder that a clone of `url` gets."""
    return url.rstrip("/").rpartition("/")[2].removesuffix(".git") or "repository"


def members(request: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return a list member of the request; empty where it has none."""
    return list(request.get(name) or ())
