"""`clary status`: what runs, and how it is."""

import contextlib
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clary.cli import agents, clients, control, display, far, options
from clary.cli.errors import NotRunningError
from clary.cli.supervisor import identity, state
from clary.cli.supervisor.state import ProcessState, Running
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

EXAMPLE = "clary status --json"
EXIT_CODES = "0 all is well; 1 a process or the store is not; 3 Clary is not running; 4 it is still starting"
PAGE = 100
STORE_S = 5.0
"""A store that has not answered for so long is away."""
N_FAILING = 2
"""After so many ends in a row a process that starts once more is not taken to be well."""


def status(
    as_json: options.AsJson = False, account: options.Account = "default", data_dir: options.DataDir = None
) -> int:
    """Show the processes, their memory, and what they work on."""
    settings = options.settings_of(data_dir)
    running = state.running(settings.data_dir)
    if running is None:
        hosts = agents.alive(settings) + far.alive(settings)
        left = f"; {agents.going_on(hosts)} without it" if hosts else ""
        mend = "takes them over" if hosts else "starts it"
        raise NotRunningError(f"Clary is not running on {settings.data_dir}{left}; `clary up -d` {mend}")
    document = collect(settings, running, account)
    if as_json:
        print(json.dumps(document, indent=2))
    else:
        _show(document)
    if document["store_trouble"] or not all(_is_well(each) for each in running.processes):
        return 1
    return 4 if _is_starting(running) else 0


def collect(settings: Settings, running: Running, account: str) -> dict[str, Any]:
    """Return all that is shown, as plain JSON."""
    hosts = agents.alive(settings)
    trouble = _store_trouble(settings, running)
    answers = running.is_ready and not trouble
    return {
        "url": running.url,
        "data_dir": running.data_dir,
        "version": running.version,
        "pid": running.pid,
        "is_ready": running.is_ready,
        "is_starting": _is_starting(running),
        "uptime_s": round(_seconds_since(running.started_at)),
        "processes": [
            asdict(each) | {"memory_bytes": identity.memory_bytes(each.pid) if each.pid else 0}
            for each in running.processes
        ],
        "hosts": {
            "count": len(hosts),
            "memory_bytes": sum(identity.memory_bytes(each.pid) for each in hosts),
        },
        "store_trouble": trouble,
        "nodes": _nodes(settings) if answers else [],
        "account": account,
        "work": _work(running, account) if answers else {},
    }


def _store_trouble(settings: Settings, running: Running) -> str:
    """Ask the control plane why its database does not answer; empty where it does, or nobody can tell."""
    if not any(each.name == "control" and each.phase == "ready" for each in running.processes):
        return ""
    try:
        return str(control.ask(settings, "GET", "/internal/store", timeout_s=STORE_S)["trouble"])
    except SetupError as error:
        return str(error).partition(";")[0]  # what it advises is this command


def _nodes(settings: Settings) -> list[dict[str, Any]]:
    """Ask the control plane which nodes share its store; none where it is alone, or does not answer."""
    with contextlib.suppress(SetupError):
        found: list[dict[str, Any]] = control.ask(settings, "GET", "/internal/nodes")["nodes"]
        return found
    return []


def _work(running: Running, account: str) -> dict[str, Any]:
    """Ask the public API what the account has in hand; an answer that does not come is left out."""
    found: dict[str, Any] = {}
    with contextlib.suppress(Exception):  # the platform may be in trouble: that is what this command shows
        client: Any = clients.sagemaker(running, account, timeout_s=2.0)
        page = client.list_training_jobs(StatusEquals="InProgress", MaxResults=PAGE)
        found["training_jobs_in_progress"] = _count(page, "TrainingJobSummaries")
        page = client.list_endpoints(StatusEquals="InService", MaxResults=PAGE)
        found["endpoints_in_service"] = _count(page, "Endpoints")
    return found


def _count(page: dict[str, Any], member: str) -> str:
    return f"{len(page[member])}{'+' if page.get('NextToken') else ''}"


def _show(document: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    head = "[bold yellow]Clary is starting[/]" if document["is_starting"] else "[bold green]Clary is up[/]"
    console.print(f"{head}   [bold]{document['url']}[/]   for {_duration(document['uptime_s'])}")
    console.print(
        f"[dim]data {document['data_dir']}   version {document['version']}   pid {document['pid']}[/]\n"
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("process", "state", "pid", "up for", "memory", "restarts"):
        table.add_column(name, justify="left" if name in {"process", "state"} else "right")
    troubled = []
    for each in document["processes"]:
        row = ProcessState(**{key: value for key, value in each.items() if key != "memory_bytes"})
        colour = "green" if _is_well(row) else "yellow"
        table.add_row(
            display.title(row.name),
            f"[{colour}]{'not answering' if row.phase == 'ready' and row.unhealthy else row.phase}[/]",
            str(row.pid or ""),
            _duration(_seconds_since(row.started_at)) if row.pid else "",
            _megabytes(each["memory_bytes"]) if row.pid else "",
            str(row.n_restarts or ""),
        )
        if not _is_well(row):
            troubled.append(row)
    console.print(table)
    for row in troubled:
        why = row.unhealthy if row.phase == "ready" else row.last_end
        console.print(f"\n[yellow]{display.title(row.name)}[/] {why or row.phase}   [dim]{row.log}[/]")
        for line in row.last_lines:
            console.print(f"    {line}", markup=False, style="dim")
    if document["store_trouble"]:
        console.print(f"\n[yellow]{escape(document['store_trouble'])}[/]")
    for node in document["nodes"]:
        colour, how = ("yellow", "silent") if node["is_silent"] else ("green", "alive")
        mark = " (this one)" if node["is_own"] else ""
        place = f"{node['url']}   {node['n_machines']} jobs and endpoints"
        console.print(f"node {node['node']}{mark}   [{colour}]{how}[/]   {place}   [dim]{node['place']}[/]")
    parts = []
    if "training_jobs_in_progress" in document["work"]:
        parts.append(f"training jobs in progress {document['work']['training_jobs_in_progress']}")
    if "endpoints_in_service" in document["work"]:
        parts.append(f"endpoints in service {document['work']['endpoints_in_service']}")
    if document["hosts"]["count"]:
        parts.append(f"hosts {document['hosts']['count']} ({_megabytes(document['hosts']['memory_bytes'])})")
    if parts:
        console.print("\n" + "   ".join(parts))


def _is_starting(running: Running) -> bool:
    """Say whether Clary does not answer yet, or not again: a process that it needs is on its way."""
    is_late = any(each.is_required and each.phase != "ready" for each in running.processes)
    return is_late or not running.is_ready


def _is_well(process: ProcessState) -> bool:
    if process.phase == "starting":
        return process.n_failures < N_FAILING
    return process.phase == "ready" and not process.unhealthy


def _seconds_since(moment: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds() if moment else 0.0


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _megabytes(n_bytes: float) -> str:
    return f"{n_bytes / 2**20:.0f} MB"
