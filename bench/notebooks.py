"""Notebook instances: from Create to a cell's result, what the proxy adds to a message, and a restart.

    python -m bench.notebooks [--starts 3] [--messages 300] [--python .venvs/notebooks/bin/python]

A message is `execute_request` of a cell that does nothing, to the `idle` that ends it: over the public port,
and straight over the unix socket of JupyterLab, in turns, with the same kernel.
"""

import argparse
import json
import shutil
import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from bench._bars import Report, spread

from clary.testing.kernels import Kernel, kernel
from clary.testing.notebooks import Visitor, settled
from clary.testing.server import Account, ClaryServer, end_agents

START_S, ADDED_MS = 15.0, 5.0


class Direct(Visitor):
    """One who asks JupyterLab itself."""

    address = ""

    def connect(self) -> socket.socket:
        """Connect to the unix socket."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(60)
        connection.connect(self.address)
        return connection


def entered(account: Account, name: str) -> tuple[Visitor, str]:
    """Open an instance as a browser does."""
    client = account.client("sagemaker")
    url = client.create_presigned_notebook_instance_url(NotebookInstanceName=name)["AuthorizedUrl"]
    visitor = Visitor.of(url)
    visitor.enter(url)
    path = urlsplit(url).path.rstrip("/")
    visitor.ask("GET", f"{path}/lab")
    return visitor, path


def started(account: Account, name: str) -> tuple[float, float]:
    """Create an instance; return the seconds until it is in service, and until a cell has answered."""
    begin = time.perf_counter()
    account.client("sagemaker").create_notebook_instance(
        NotebookInstanceName=name, InstanceType="ml.t3.medium", RoleArn=account.role_arn
    )
    if settled(account, name)["NotebookInstanceStatus"] != "InService":
        raise SystemExit(f"{name} is not in service")
    in_service = time.perf_counter() - begin
    with kernel(*entered(account, name)) as one:
        one.run("1")
    return in_service, time.perf_counter() - begin


def round_trip(one: Kernel) -> float:
    """Return the milliseconds of a cell that does nothing."""
    begin = time.perf_counter()
    one.run("pass")
    return (time.perf_counter() - begin) * 1000


def compared(
    server: ClaryServer, account: Account, name: str, n_messages: int
) -> tuple[list[float], list[float]]:
    """Return the round trips through the edge, and those past it."""
    visitor, path = entered(account, name)
    states = server.data_dir.glob(f"runs/{name}-*/hosts/algo-1/state.json")
    direct = Direct(visitor.port, visitor.host, dict(visitor.cookies))
    direct.address = next(json.loads(each.read_text())["address"] for each in states)
    with ExitStack() as stack:
        near = stack.enter_context(kernel(visitor, path))
        bare = stack.enter_context(kernel(direct, path, kernel_id=near.kernel_id))
        for one in (near, bare):
            round_trip(one)
        pairs = [(round_trip(near), round_trip(bare)) for _ in range(n_messages)]
    return [each[0] for each in pairs], [each[1] for each in pairs]


def restarted(server: ClaryServer, account: Account, name: str, python: str) -> tuple[ClaryServer, float]:
    """Stop and start Clary; return it, and the seconds until the same kernel answers, its state as it was."""
    visitor, path = entered(account, name)
    with kernel(visitor, path) as one:
        one.run("kept = 42")
    port = server.settings.port
    server.stop()
    begin = time.perf_counter()
    again = ClaryServer.start(server.data_dir, port=port, notebook_python=python)
    with kernel(visitor, path, kernel_id=one.kernel_id) as still:
        if still.run("kept") != "42":
            raise SystemExit("the kernel did not survive the restart")
    return again, time.perf_counter() - begin


def main() -> int:
    """Measure, judge."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--starts", type=int, default=3)
    options.add_argument("--messages", type=int, default=300)
    options.add_argument("--python", default=".venvs/notebooks/bin/python")
    asked = options.parse_args()
    home = Path(tempfile.mkdtemp(prefix="clary-bench-"))
    home.chmod(0o711)
    report = Report("notebooks")
    try:
        measure(report, home / "data", str(Path(asked.python).absolute()), asked.starts, asked.messages)
        return report.finish()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def measure(report: Report, data_dir: Path, python: str, n_starts: int = 3, n_messages: int = 300) -> None:
    """Measure all three on a Clary of its own, and judge."""
    server = ClaryServer.start(data_dir, notebook_python=python)
    try:
        account = server.account("bench")
        started(account, "first")  # the files of the environment come into the page cache
        starts = [started(account, f"start-{n}") for n in range(n_starts)]
        head = ("", "in service", "first cell")
        report.table("From Create, s", head, [(f"start {n}", *each) for n, each in enumerate(starts)])
        near, bare = compared(server, account, "first", n_messages)
        rows = [(label, *spread(each).values()) for label, each in (("edge", near), ("direct", bare))]
        report.table("A cell that does nothing, ms", ("", *spread(near)), rows)
        server, restart_s = restarted(server, account, "first", python)
        report.table("A restart of Clary, s", ("", "until the kernel answers"), [("same kernel", restart_s)])
        added = spread(near)["median"] - spread(bare)["median"]
        report.bar(
            "from Create to a cell's result, the slowest", max(each[1] for each in starts), START_S, "s"
        )
        report.bar("what the proxy adds to a message, median", added, ADDED_MS)
        report.facts |= {"edge": spread(near), "direct": spread(bare), "restart_s": restart_s}
    finally:
        server.stop()
        end_agents(server.settings)


if __name__ == "__main__":
    sys.exit(main())
