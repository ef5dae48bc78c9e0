"""Hosting: what an invocation costs, beside a C server and what a user would choose instead.

    python -m bench.serving [--seconds 2] [--only edge,xgboost,sklearn,deploy] [--peers NAMES] [--json FILE]

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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from bench import _peers
from bench._bars import Report, quantile
from bench._drive import Driver, Load, ask, built, cpu_s, named, signed, tree
from bench._edge import ENDPOINT
from bench.control import running

from clary.kernel import ids
from clary.testing.jobs import SCIKIT_LEARN, new_bucket, pack, wait_for_endpoint
from clary.testing.server import Account, ClaryServer

PARTS = ("edge", "xgboost", "sklearn", "deploy")
CONNECTIONS = (1, 8, 64)
N_TREES, N_FEATURES, N_ROWS = 100, 30, 2_000
N_DEPLOYS = 5
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
INFERENCE = """
import os
import joblib

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))
"""


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
        peers = [each for each in _peers.PEERS if not wanted or each.name in wanted]
        if {"xgboost", "sklearn", "deploy"} & set(parts):
            make_models(home)
            with running(home) as (server, account):
                if "deploy" in parts:
                    deploy(report, account, home)
                if "xgboost" in parts:
                    site = Deployed(server, account, xgboost_container(account, home))
                    against(
                        report, driver, site, "xgboost", peers, home, chosen.seconds, Most(1 / 20, 1 / 15)
                    )
                if "sklearn" in parts:
                    site = Deployed(server, account, sklearn_container(account, home))
                    against(report, driver, site, "sklearn", peers, home, chosen.seconds, Most(1 / 5, 1 / 5))
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


class Most:
    """What a peer's figures are held to: Clary's, as shares of them."""

    def __init__(self, cpu: float, rps: float) -> None:
        self.cpu = cpu
        self.rps = rps


class Deployed:
    """An endpoint of a running Clary."""

    def __init__(self, server: ClaryServer, account: Account, container: dict[str, Any]) -> None:
        self.server = server
        self.account = account
        self.name = endpoint(account, container)
        wait_for_endpoint(account, self.name)
        self.port = int(server.url.rpartition(":")[2])

    @property
    def pids(self) -> set[int]:
        """Processes of the whole Clary, agents and replicas included."""
        return tree(self.server.running.pid, *named(str(self.server.data_dir)))

    def requests(self, row: str) -> list[bytes]:
        """Return requests for one row."""
        return signed(self.account, self.name, row.encode(), "text/csv")


def against(
    report: Report,
    driver: Driver,
    site: Deployed,
    kind: str,
    peers: Sequence[_peers.Peer],
    home: Path,
    seconds: float,
    most: Most,
) -> None:
    """Measure Clary and each peer in turns."""
    row = np.load(home / "rows.npy")[0, 1:]
    text = ",".join(f"{value:.6g}" for value in row)
    requests = site.requests(text)
    wanted = number(ask(site.port, requests[0]))
    driver.run(site.port, requests, connections=8, seconds=3.0, pids=())  # the model comes into place
    rows, missing = [], dict(_peers.NOT_SET_UP)
    for peer in peers:
        try:
            with _peers.serving(peer, kind, home) as (port, pid):
                theirs = [_peers.request(peer, port, row)]
                said = ask(port, theirs[0])
                if abs(number(said) - wanted) > 1e-4:
                    raise _peers.NotInstalledError(f"it answers {said[:200]!r}, not {wanted}")
                driver.run(port, theirs, connections=4, seconds=1.0, pids=())
                pairs = {}
                for n in CONNECTIONS:
                    ours = driver.run(site.port, requests, connections=n, seconds=seconds, pids=site.pids)
                    other = driver.run(port, theirs, connections=n, seconds=seconds, pids=tree(pid))
                    assert not ours.errors, f"{ours.errors} answers of {ours.n} are wrong"
                    pairs[n] = ours, other
        except _peers.NotInstalledError as error:
            missing[peer.name] = str(error)
            report.facts.setdefault("not measured", {})[f"{kind}: {peer.name}"] = str(error)
            continue
        for n, (ours, other) in pairs.items():
            rows.append(_row(peer.name, n, ours, other))
        judge(report, f"{kind}, {peer.name}", pairs, most)
    head = ("peer, connections", "CPU us", "peer's", "x", "req/s", "peer's", "x", "p99 us", "peer's", "wrong")
    report.table(f"{kind}: one row of {N_FEATURES}, CSV, keep-alive; Clary's signed", head, rows)
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
    container = xgboost_container(account, home)
    row = ",".join(["0.5"] * N_FEATURES).encode()
    runtime = account.client("sagemaker-runtime")
    with contextlib.suppress(runtime.exceptions.ValidationError):
        runtime.invoke_endpoint(EndpointName="nobody", Body=b"")  # the client makes its connection
    deploys, firsts = [], []
    for _ in range(N_DEPLOYS):
        asked: list[float] = []
        name = endpoint(account, container, asked)
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


# Models.


def make_models(home: Path) -> None:
    """Train the XGBoost model of the peers report, and leave the rows for those who train themselves."""
    draw = np.random.default_rng(7)
    features = draw.normal(size=(N_ROWS, N_FEATURES)).astype(np.float32)
    labels = features[:, :5].sum(axis=1) + draw.normal(size=N_ROWS) > 0
    np.save(home / "rows.npy", np.column_stack([labels, features]).astype(np.float32))
    booster = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 6, "nthread": 2},
        xgboost.DMatrix(features, labels),
        N_TREES,
    )
    booster.save_model(home / "model.json")


def xgboost_container(account: Account, home: Path) -> dict[str, Any]:
    """Upload the XGBoost model; return its container."""
    booster = xgboost.Booster(model_file=home / "model.json")
    uri = upload(account, {"xgboost-model": bytes(booster.save_raw("ubj"))})
    return {"Image": XGBOOST, "ModelDataUrl": uri}


def sklearn_container(account: Account, home: Path) -> dict[str, Any]:
    """Train and upload a logistic regression with a script of one function; return its container."""
    import joblib  # noqa: PLC0415 - with scikit-learn, half a second
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - as above

    rows = np.load(home / "rows.npy")
    joblib.dump(LogisticRegression().fit(rows[:, 1:], rows[:, 0]), home / "model.joblib")
    files = {"model.joblib": (home / "model.joblib").read_bytes(), "code/inference.py": INFERENCE}
    return {
        "Image": SCIKIT_LEARN,
        "ModelDataUrl": upload(account, files),
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
    }


def upload(account: Account, files: dict[str, Any]) -> str:
    """Upload a `model.tar.gz`; return its URI."""
    bucket = new_bucket(account)
    account.client("s3").put_object(Bucket=bucket, Key="model.tar.gz", Body=pack(files))
    return f"s3://{bucket}/model.tar.gz"


def endpoint(account: Account, container: dict[str, Any], begun: list[float] | None = None) -> str:
    """Create an endpoint; note when it was asked for."""
    client, name = account.client("sagemaker"), f"bench-{ids.short()}"
    client.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=account.role_arn)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    if begun is not None:
        begun.append(time.perf_counter())
    client.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return name


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
