"""Hosting: what an invocation costs, beside a C server and what a user would choose instead.

    python -m bench.serving [--seconds 2] [--only PARTS] [--peers NAMES] [--json FILE]

Parts: edge, xgboost, sklearn (a script), linear (the same task, by Linear Learner), torch (a small network
in script mode; needs torch here, or in the Python that `CLARY_BENCH_TORCH` names), deploy, cold (the first
request of a serverless endpoint that rests).

Both sides are loaded by the same client (`_load.c`), in turns, in the same run. CPU is user and system time
of the server's whole process tree for one request; it is the figure least hurt by neighbours. Clary's
requests are signed; those of the peers are not.
"""

import argparse
import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench import _peers, _sites, _torch_mlp
from bench._bars import Report, quantile
from bench._drive import BrokenError, Driver, Load, ask, built, cpu_s, signed, tree
from bench._edge import ENDPOINT
from bench._peer_list import PEERS
from bench._sites import N_FEATURES, Deployed
from bench.control import running

from clary.cli import agents
from clary.testing.jobs import wait_for_endpoint
from clary.testing.server import Account, ClaryServer

PARTS = ("edge", "xgboost", "sklearn", "linear", "torch", "deploy", "cold")
CONNECTIONS = (1, 8, 64)
N_DEPLOYS, N_COLD = 5, 7
IDLE_S = 1.0
"""After so long without an invocation a serverless variant rests; 300 s by default."""


def main() -> int:
    """Measure, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="of each window of load")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--peers", default="", help="peers, with commas between; all by default")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    parts = chosen.only.split(",")
    report = Report("serving")
    home = Path(tempfile.mkdtemp(prefix="clary-bench-"))
    home.chmod(0o711)  # replicas of other user ids pass
    try:
        binary = built("load", home)
        if binary is None:
            print("no C compiler: the client cannot be built, and nothing is measured", file=sys.stderr)
            return 2
        driver = Driver(binary, home)
        print(
            f"load of the machine before: {os.getloadavg()[0]:.1f} of {os.cpu_count()} processors", flush=True
        )
        if "edge" in parts:
            edge(report, driver, home, chosen.seconds)
        wanted = [name for name in chosen.peers.split(",") if name]
        peers = [each for each in PEERS if not wanted or each.name in wanted]
        if "torch" in parts:
            torch(report, driver, peers, home, chosen.seconds)
        if set(parts) - {"edge", "torch"}:
            _sites.make_models(home)
            os.environ["CLARY_SERVERLESS_IDLE_S"] = str(IDLE_S)
            with running(home) as (server, account):
                if "deploy" in parts:
                    deploy(report, account, home)
                if "cold" in parts:
                    cold(report, server, account, home)
                for kind, made in MODELS.items():
                    chosen_ones = {part: each for part, each in made.items() if part in parts}
                    sites = {
                        part: Site(Deployed(server, account, make(account, home)), most)
                        for part, (make, most) in chosen_ones.items()
                    }
                    if sites:
                        against(report, driver, sites, kind, peers, home, chosen.seconds)
        report.facts["load_after"] = os.getloadavg()[0]
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return report.finish(chosen.json)


# Bar 1.


def edge(report: Report, driver: Driver, home: Path, seconds: float) -> None:
    """Measure the edge without any model: in place, with a hop, and a C echo beside it."""
    account = Account("bench", "111122223333", "AKIABENCHBENCHBENCHX", "secret", "")
    body = b"x" * 1024
    rows, found = [], {}
    address = str(home / "echo.sock")
    binary = built("echo", home)
    assert binary is not None
    with contextlib.ExitStack() as stack:
        replica = stack.enter_context(_running("-m", "bench._edge", "replica", address))
        servers = {}
        for way in ("in-place", "hop"):
            port = free_port()
            identity = (account.account_id, account.access_key_id, account.secret_access_key)
            process = stack.enter_context(
                _running("-m", "bench._edge", "edge", str(port), *identity, address, way)
            )
            where = Account(**{**vars(account), "url": f"http://127.0.0.1:{port}", "_clients": {}})
            servers[way] = (port, process.pid, signed(where, ENDPOINT, body, "text/csv"))
            await_port(port)
        port = free_port()
        limit = stack.enter_context(_running(str(port), program=binary))
        await_port(port)
        servers["C echo"] = (port, limit.pid, servers["hop"][2])
        for way, (port, pid, requests) in servers.items():
            driver.run(port, requests, connections=4, seconds=0.5, pids=())
            for connections in CONNECTIONS:
                before = cpu_s([replica.pid])
                load = best(driver, port, requests, connections, seconds, [pid])
                spent = cpu_s([replica.pid])[replica.pid] - before[replica.pid]
                assert not load.errors, f"{way}: {load.errors} answers of {load.n} are wrong"
                found[way, connections] = load
                beside = spent * 1e6 / load.n / 2 if way == "hop" else 0.0
                rows.append(
                    (f"{way}, {connections}", load.cpu_us, load.rps, load.p50_us, load.p99_us, beside)
                )
    head = ("connections", "CPU us", "requests/s", "p50 us", "p99 us", "replica us")
    report.table("Edge alone: signed, 1 KB, echoed", head, rows)
    for way, most in (("in-place", 20.0), ("hop", 35.0)):
        report.bar(f"edge alone, {way}, CPU a request, 64 connections", found[way, 64].cpu_us, most, "us")
    ratio = found["C echo", 64].rps / found["in-place", 64].rps
    report.bar("requests/s of a C echo, of the edge's in place", ratio, 1 / 0.4, "x")
    report.facts["edge"] = {f"{way} {n}": vars(load) for (way, n), load in found.items()}


def best(
    driver: Driver,
    port: int,
    requests: Sequence[bytes],
    connections: int,
    seconds: float,
    pids: Sequence[int],
) -> Load:
    """Return the better of two windows: neighbours only ever cost."""
    loads = [
        driver.run(port, requests, connections=connections, seconds=seconds, pids=pids) for _ in range(2)
    ]
    return min(loads, key=lambda load: load.cpu_us)


@contextlib.contextmanager
def _running(*arguments: str, program: Path | None = None) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen([str(program or sys.executable), *arguments])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


# Bars 2 and 3.


@dataclass(frozen=True)
class Most:
    """What a peer's figures are held to: Clary's, as shares of them."""

    cpu: float
    rps: float


@dataclass(frozen=True)
class Site:
    """An endpoint, and what is promised of it."""

    deployed: Deployed
    most: Most


MODELS = {
    "xgboost": {"xgboost": (_sites.xgboost_container, Most(1 / 20, 1 / 15))},
    "sklearn": {
        "sklearn": (_sites.sklearn_container, Most(1 / 5, 1 / 5)),
        "linear": (_sites.linear_container, Most(1 / 20, 1 / 15)),
    },
}
"""For each model of the peers, the ways in which Clary serves it."""


def torch(report: Report, driver: Driver, peers: Sequence[_peers.Peer], home: Path, seconds: float) -> None:
    """Measure a small network in script mode, whose interpreter has torch, against the peers."""
    python = _torch_mlp.python()
    if python is None:
        print(
            "\ntorch is not here; its bars were not measured. CLARY_BENCH_TORCH names a Python that has it."
        )
        report.facts["torch"] = "not installed"
        return
    _sites.make_models(home)
    os.environ["CLARY_RUNTIME_PYTHON"] = str(python)
    try:
        with running(home) as (server, account):
            deployed = Deployed(server, account, _torch_mlp.container(account, home))
            sites = {"torch": Site(deployed, Most(1 / 10, 1 / 10))}
            against(report, driver, sites, "torch", peers, home, seconds)
    finally:
        del os.environ["CLARY_RUNTIME_PYTHON"]


def against(
    report: Report,
    driver: Driver,
    sites: Mapping[str, Site],
    kind: str,
    peers: Sequence[_peers.Peer],
    home: Path,
    seconds: float,
) -> None:
    """Measure each way of Clary's and each peer in turns."""
    row = np.load(home / "rows.npy")[0, 1:]
    text = ",".join(f"{value:.6g}" for value in row)
    requests = {part: site.deployed.requests(text) for part, site in sites.items()}
    rows: dict[str, list[Any]] = {part: [] for part in sites}
    missing = {}
    for part, site in sites.items():  # the model comes into place
        driver.run(site.deployed.port, requests[part], connections=8, seconds=3.0, pids=())
    wanted = number(ask(next(iter(sites.values())).deployed.port, next(iter(requests.values()))[0]))
    for peer in peers:
        try:
            with _peers.serving(peer, kind, home) as (port, pid):
                theirs = [_peers.request(peer, port, row)]
                said = ask(port, theirs[0])
                if abs(number(said) - wanted) > 1e-4:
                    raise _peers.NotInstalledError(f"it answers {said[:200]!r}, not {wanted}")
                driver.run(port, theirs, connections=4, seconds=1.0, pids=())
                pairs: dict[str, dict[int, tuple[Load, Load]]] = {part: {} for part in sites}
                for n in CONNECTIONS:
                    other = best(driver, port, theirs, n, seconds, tuple(tree(pid)))
                    for part, site in sites.items():
                        where, pids = site.deployed.port, tuple(site.deployed.pids)
                        ours = best(driver, where, requests[part], n, seconds, pids)
                        assert not ours.errors, f"{ours.errors} answers of {ours.n} are wrong"
                        pairs[part][n] = ours, other
        except (_peers.NotInstalledError, BrokenError) as error:
            missing[peer.name] = str(error)
            report.facts.setdefault("not measured", {})[f"{kind}: {peer.name}"] = str(error)
            continue
        for part, site in sites.items():
            rows[part] += [_row(peer.name, n, *pair) for n, pair in pairs[part].items()]
            judge(report, f"{part}, {peer.name}", pairs[part], site.most)
    head = ("peer, connections", "CPU us", "peer's", "x", "req/s", "peer's", "x", "p99 us", "peer's", "wrong")
    for part in sites:
        title = f"{part}: one row of {N_FEATURES}, CSV, keep-alive; Clary's signed"
        report.table(title, head, rows[part])
    for name, why in missing.items():
        print(f"  not measured: {name}: {why}", flush=True)


def _row(name: str, n: int, ours: Load, other: Load) -> tuple[Any, ...]:
    return (
        f"{name}, {n}",
        ours.cpu_us,
        other.cpu_us,
        f"{other.cpu_us / ours.cpu_us:.0f}",
        ours.rps,
        other.rps,
        f"{ours.rps / other.rps:.0f}",
        ours.p99_us,
        other.p99_us,
        other.errors,
    )


def judge(report: Report, name: str, pairs: dict[int, tuple[Load, Load]], most: Most) -> None:
    """Hold one peer's figures against Clary's."""
    ours, other = pairs[64]
    cpu = min(mine.cpu_us for mine, _ in pairs.values()) / min(its.cpu_us for _, its in pairs.values())
    report.bar(f"{name}: CPU a request, of its", cpu, most.cpu, "x")
    report.bar(f"{name}: its requests/s at 64 connections, of ours", other.rps / ours.rps, most.rps, "x")
    for n, (mine, its) in pairs.items():
        report.bar(f"{name}: p99 at {n}, of its", mine.p99_us / its.p99_us, 1.0, "x")
    ours, other = pairs[1]
    report.bar(f"{name}: median at one connection, of its", ours.p50_us / other.p50_us, 1.0, "x")
    report.facts[name] = {str(n): {"clary": vars(a), "peer": vars(b)} for n, (a, b) in pairs.items()}


def number(body: bytes) -> float:
    """Return the last number of an answer."""
    found = re.findall(rb"-?\d+\.?\d*(?:[eE]-?\d+)?", body)
    return float(found[-1]) if found else float("nan")


# Bar 5.


def deploy(report: Report, account: Account, home: Path) -> None:
    """Measure CreateEndpoint to InService, and the first request after it."""
    container = _sites.xgboost_container(account, home)
    row = ",".join(["0.5"] * N_FEATURES).encode()
    runtime = account.client("sagemaker-runtime")
    with contextlib.suppress(runtime.exceptions.ValidationError):
        runtime.invoke_endpoint(EndpointName="nobody", Body=b"")  # the client makes its connection
    deploys, firsts = [], []
    for _ in range(N_DEPLOYS):
        asked: list[float] = []
        name = _sites.endpoint(account, container, asked)
        client = account.client("sagemaker")
        while client.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Creating":
            time.sleep(0.01)
        deploys.append(time.perf_counter() - asked[0])
        begun = time.perf_counter()
        runtime.invoke_endpoint(EndpointName=name, Body=row, ContentType="text/csv")["Body"].read()
        firsts.append((time.perf_counter() - begun) * 1000)
        account.client("sagemaker").delete_endpoint(EndpointName=name)
    rows = [
        ("CreateEndpoint to InService, s", f"{statistics.median(deploys):.3f}", f"{max(deploys):.3f}"),
        ("first request, ms", f"{quantile(firsts, 0.5):.1f}", f"{max(firsts):.1f}"),
    ]
    report.table(f"A built-in model, {N_DEPLOYS} times", ("", "median", "most"), rows)
    report.bar("CreateEndpoint to InService, median", statistics.median(deploys), 1.0, "s")
    report.bar("first request after it, median", quantile(firsts, 0.5), 20.0, "ms")
    report.facts["deploy"] = {"in_service_s": deploys, "first_ms": firsts}


def cold(report: Report, server: ClaryServer, account: Account, home: Path) -> None:
    """Measure a resting serverless endpoint's first request, with a start and with a model still in place."""
    container = _sites.xgboost_container(account, home)
    started = {**container, "Environment": {"CLARY_IN_PLACE": "false"}}
    rows = []
    for what, each in (("by a start", started), ("by the edge", container)):
        colds, warms = zip(*_rested(server, account, each), strict=True)
        rows += [
            (f"{when} request, answered {what}", quantile(took, 0.5), max(took))
            for when, took in (("first", colds), ("next", warms))
        ]
        report.bar(
            f"cold serverless first request, answered {what}, median", quantile(colds, 0.5), 150.0, "ms"
        )
        report.facts[f"cold_ms, {what}"] = colds
    report.table(f"A serverless endpoint at rest is asked, {N_COLD} times, ms", ("", "median", "most"), rows)


def _rested(server: ClaryServer, account: Account, container: dict[str, Any]) -> list[tuple[float, float]]:
    """Return what the first and the next request of an endpoint at rest take, ms, again and again."""
    size = {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 5}}
    name = _sites.endpoint(account, container, size=size)
    wait_for_endpoint(account, name)
    row, runtime = ",".join(["0.5"] * N_FEATURES).encode(), account.client("sagemaker-runtime")
    took: list[tuple[float, float]] = []
    while len(took) < N_COLD:
        while any(each.name == name for each in agents.alive(server.settings)):
            time.sleep(0.1)
        time.sleep(1.0)
        moments = [time.perf_counter()]
        for _ in range(2):
            runtime.invoke_endpoint(EndpointName=name, Body=row, ContentType="text/csv")["Body"].read()
            moments.append(time.perf_counter())
        took.append(((moments[1] - moments[0]) * 1000, (moments[2] - moments[1]) * 1000))
    account.client("sagemaker").delete_endpoint(EndpointName=name)
    return took


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < deadline, f"nobody listens on {port}"
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
