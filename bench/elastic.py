"""Elastic Inference: shares under saturation, and what the hop to the accelerator's daemon costs.

    python -m bench.elastic [--seconds 15] [--json FILE]

Four endpoints with calls of different length share one accelerator, and clients ask each of them without
rest. What each had of the device is the daemon's figure; beside it stands the processor time of the whole
replica, with what it did outside of its turns: reading requests, writing answers.
The hop is the difference between an endpoint with a part of an accelerator and the same one without, asked
in turns over one connection.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import threading
from pathlib import Path

from bench._bars import Report
from bench._drive import Driver, Load, ask, built, cpu_s, signed
from bench.control import running

from clary.cli.commands.accelerators import asked, with_prices
from clary.console import cost
from clary.testing.hosting import Hosting
from clary.testing.server import Account, ClaryServer

TENANTS = (("xlarge", 3.0), ("large", 1.0), ("medium", 6.0), ("medium", 20.0))
"""Size of the type, and milliseconds of one call."""
SETTINGS = {"CLARY_ACCELERATOR_TFLOPS": "8", "CLARY_ACCELERATOR_MEMORY_MIB": "16384"}
N_CONNECTIONS = 16
N_PAIRS = 15
WORK = """
import time

def model_fn(model_dir):
    return {seconds!r}

def input_fn(data, content_type):
    return data

def predict_fn(data, model):
    until = time.thread_time() + model
    while time.thread_time() < until:
        pass
    return b"1"

def output_fn(prediction, accept):
    return prediction, "text/plain"
"""


def main() -> int:
    """Measure, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=15.0, help="of saturation")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    report = Report("elastic")
    home = Path(tempfile.mkdtemp(prefix="clary-bench-"))
    home.chmod(0o711)  # replicas of other user ids pass
    os.environ.update(SETTINGS)
    try:
        binary = built("load", home)
        if binary is None:
            print("no C compiler: the client cannot be built, and nothing is measured", file=sys.stderr)
            return 2
        report.facts["load_before"] = os.getloadavg()[0]
        with running(home) as (server, account):
            hosting = Hosting.of(account)
            hop(report, server, account, hosting, Driver(binary, home), chosen.seconds / N_PAIRS)
            shares(report, server, account, hosting, binary, home, chosen.seconds)
        report.facts["load_after"] = os.getloadavg()[0]
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return report.finish(chosen.json)


def hop(
    report: Report, server: ClaryServer, account: Account, hosting: Hosting, driver: Driver, seconds: float
) -> None:
    """Ask an endpoint with a part of an accelerator and one without, in turns."""
    port = int(server.url.rpartition(":")[2])
    model = hosting.model(WORK.format(seconds=0.0))
    ways = {}
    for way, lent in (("without", {}), ("with", {"AcceleratorType": "ml.eia2.xlarge"})):
        name = hosting.endpoint(hosting.config(hosting.variant(model, **lent)))
        ways[way] = signed(account, name, b"?", "text/plain")
        assert ask(port, ways[way][0]) == b"1"
    found: dict[str, list[Load]] = {way: [] for way in ways}
    for _ in range(N_PAIRS):
        for way, requests in ways.items():
            load = driver.run(port, requests, connections=1, seconds=seconds, pids=())
            assert not load.errors
            found[way].append(load)
    medians = {way: sorted(each.p50_us for each in loads) for way, loads in found.items()}
    rows = []
    for way, loads in found.items():
        p99 = statistics.median(each.p99_us for each in loads)
        rows.append((f"{way} an accelerator", medians[way][0], statistics.median(medians[way]), p99))
    report.table("An invocation of a script, one connection", ("", "p50 us, best", "p50 us", "p99 us"), rows)
    best = {way: each[0] for way, each in medians.items()}
    report.bar("the hop to the accelerator, p50, best windows", best["with"] - best["without"], 60.0, "us")
    report.facts["hop_p50_us"] = medians
    hosting.close()
    hosting.endpoints.clear()
    _until_free(server)


def shares(
    report: Report,
    server: ClaryServer,
    account: Account,
    hosting: Hosting,
    binary: Path,
    home: Path,
    seconds: float,
) -> None:
    """Saturate four endpoints at once; compare what each had with its share."""
    port = int(server.url.rpartition(":")[2])
    driven = []
    for place, (size, call_ms) in enumerate(TENANTS):
        model = hosting.model(WORK.format(seconds=call_ms / 1e3))
        lent = {"AcceleratorType": f"ml.eia2.{size}"}
        name = hosting.endpoint(hosting.config(hosting.variant(model, **lent)))
        folder = home / f"load-{place}"
        folder.mkdir()
        driven.append((name, Driver(binary, folder), signed(account, name, b"?", "text/plain")))
        assert ask(port, driven[-1][2][0]) == b"1"
    loads = drive(driven, port, 1.0)  # what is measured begins when all are at it
    before, cpu_before = _tenants(server)
    loads = drive(driven, port, seconds)
    after, cpu_after = _tenants(server)
    device = {name: after[name]["device_s"] - before[name]["device_s"] for name in after}
    cpu = {name: cpu_after[name] - cpu_before[name] for name in after}
    rows, worst = [], 0.0
    for (name, _, _), (size, call_ms), load in zip(driven, TENANTS, loads, strict=True):
        share = after[name]["share"]
        parts = device[name] / sum(device.values()), cpu[name] / sum(cpu.values())
        worst = max(worst, 100 * abs(parts[0] / share - 1))
        label = f"ml.eia2.{size}, {call_ms:g} ms a call"
        rows.append((label, 100 * share, 100 * parts[0], 100 * parts[1], load.rps, load.p50_us / 1e3))
    head = ("", "share %", "device %", "replica %", "requests/s", "p50 ms")
    report.table(f"Four endpoints on one accelerator, {N_CONNECTIONS} clients each", head, rows)
    busy = sum(device.values()) / seconds
    report.bar("the largest distance of device time from a share", worst, 10.0, "%")
    priced = with_prices(asked(server.settings), cost.prices(server.data_dir))["cost"]
    report.facts |= {"device_busy": busy, "cost": priced}
    print(
        f"\n  the device was lent {100 * busy:.0f} % of the time; "
        f"{100 * priced['devices_saved']:.0f} % fewer accelerators than one each, "
        f"${priced['price']:.2f} an hour for ${priced['price_of_one_each']:.2f}"
    )
    hosting.close()


def drive(driven: list[tuple[str, Driver, list[bytes]]], port: int, seconds: float) -> list[Load]:
    """Ask all endpoints at the same time, without rest."""
    found: dict[str, Load] = {}

    def one(name: str, driver: Driver, requests: list[bytes]) -> None:
        found[name] = driver.run(port, requests, connections=N_CONNECTIONS, seconds=seconds, pids=())

    threads = [threading.Thread(target=one, args=each) for each in driven]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(load.errors for load in found.values())
    return [found[name] for name, _, _ in driven]


def _tenants(server: ClaryServer) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Return what the daemon says of each endpoint, and the processor seconds of its replica."""
    tenants = {each["endpoint"]: each for each in asked(server.settings)["tenants"]}
    used = cpu_s([each["pid"] for each in tenants.values()])
    return tenants, {name: used[each["pid"]] for name, each in tenants.items()}


def _until_free(server: ClaryServer) -> None:
    deadline = threading.Event()
    while asked(server.settings)["tenants"]:
        deadline.wait(0.05)


if __name__ == "__main__":
    sys.exit(main())
