"""`clary cluster`: start and stop Ray on a list of hosts over ssh, and look at its nodes."""

import json
import os
import secrets
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from clary.cli import hosts, options
from clary.compute.cluster import link
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

EXAMPLE = "clary cluster up hosts.yaml  &&  clary up --host 0.0.0.0 --cluster ~/.clary/cluster.address"
ANSWER_S = 90.0

List = Annotated[Path, typer.Argument(metavar="HOSTS.yaml", help="The list of hosts: a head, and workers.")]
Ssh = Annotated[str, typer.Option("--ssh", metavar="COMMAND", help="What reaches a host, instead of `ssh`.")]

cluster = typer.Typer(
    name="cluster", no_args_is_help=True, help="Many machines: start Ray on them over ssh, and look at them."
)


@cluster.command()
def up(listed: List, ssh: Ssh = "ssh", data_dir: options.DataDir = None) -> None:
    """Start the head, then the workers; those that run already are left as they are."""
    found = hosts.read(listed)
    path = address_file(options.settings_of(data_dir))
    token = _token(path)
    for group in ((found.head,), found.workers):
        texts = [hosts.starting(found, each) for each in group]
        failed = hosts.run(group, texts, ssh=shlex.split(ssh), said=f"{token}\n")
        if failed:
            raise SetupError("; ".join(failed))
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"{found.address}\n{token}\n")
    print(f"{len(found.all)} node(s) at {found.address}")
    print(f"Jobs go there with:  clary up --host 0.0.0.0 --cluster {path}")


@cluster.command()
def down(listed: List, ssh: Ssh = "ssh", data_dir: options.DataDir = None) -> None:
    """End Ray on every host, the head last; what runs there ends with it."""
    found = hosts.read(listed)
    failed: list[str] = []
    for group in (found.workers, (found.head,)):
        failed += hosts.run(group, [hosts.stopping(found)] * len(group), ssh=shlex.split(ssh))
    address_file(options.settings_of(data_dir)).unlink(missing_ok=True)
    if failed:
        raise SetupError("; ".join(failed))


@cluster.command()
def status(as_json: options.AsJson = False, data_dir: options.DataDir = None) -> None:
    """Show the nodes of the cluster that `CLARY_CLUSTER` names, or that `clary cluster up` started."""
    settings = options.settings_of(data_dir)
    named = settings.cluster or str(address_file(settings))
    nodes = nodes_of(*link.check(named))
    if as_json:
        print(json.dumps(nodes, indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("address", "cpus", "memory", "gpus"):
        table.add_column(name, justify="left" if name == "address" else "right")
    for each in nodes:
        has = each["resources"]
        memory = f"{has.get('memory', 0) / 2**30:.1f} GiB"
        table.add_row(each["address"], f"{has.get('CPU', 0):g}", memory, f"{has.get('GPU', 0):g}")
    Console(highlight=False, soft_wrap=True).print(table)


def address_file(settings: Settings) -> Path:
    """Return the file with the address and the token of the cluster that was started from here."""
    return settings.data_dir / "cluster.address"


def _token(path: Path) -> str:
    """Return the token of the cluster that runs, or a new one."""
    try:
        return path.read_text().splitlines()[1]
    except (OSError, IndexError):
        return secrets.token_hex(32)


def nodes_of(address: str, token: str) -> list[dict[str, Any]]:
    """Ask the cluster for its nodes.

    Raises
    ------
    SetupError
        It does not answer.
    """
    environment = link.environment(Settings.load(), token)
    words = [sys.executable, "-P", "-m", "clary.compute.cluster", address, "clary-status", "30"]
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, this package
            [*words, "--look"], env=environment, capture_output=True, text=True, check=False, timeout=ANSWER_S
        )
        event = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        raise SetupError(f"the cluster at {address} does not answer") from None
    if event["event"] != "nodes":
        raise SetupError(f"the cluster at {address} cannot be reached: {event.get('why', '')}")
    nodes: list[dict[str, Any]] = event["nodes"]
    return nodes
