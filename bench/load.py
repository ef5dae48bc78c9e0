"""Ten minutes of load: endpoints of every kind, updates all the time, processes killed at random.

    python -m bench.load [--minutes 10] [--share 1.0] [--json FILE]

Six endpoints are asked at a pace by clients in a process of their own: XGBoost and Linear Learner in place,
a script, a captured, a serverless and an asynchronous one. Every ten seconds one of them is updated to the
next version of its model, or to another number of instances; replicas and their agents are killed all the
time, the edge and the control plane once each. An answer says which version of the model gave it, and to
which question: so every request that was sent is judged.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench import _clients
from bench._bars import Report
from bench._growth import Growth
from bench._load_sites import N_VERSIONS, Site, Sites
from bench.control import running
from botocore.exceptions import BotoCoreError, ClientError

from clary.cli import agents
from clary.compute.launcher import descendants
from clary.testing.hosting import Hosting
from clary.testing.server import Account, ClaryServer

UPDATE_S, KILL_S = 10.0, 6.0
AFTERMATH_S = 30.0
"""For so long after a kill, errors of what it hit have a cause."""
AGENT_SHARE = 0.25
"""Of kills that hit a replica's agent, and not only the replica."""
SETTLE_S = 120.0


def main() -> int:
    """Load, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--share", type=float, default=1.0, help="of the pace of 3,100 requests a second")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    report = Report("load")
    home = Path(tempfile.mkdtemp(prefix="clary-bench-"))
    home.chmod(0o711)  # replicas of other user ids pass
    try:
        with running(home) as (server, account):
            Trial(report, server, account, home, chosen.minutes * 60.0, chosen.share).run()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return report.finish(chosen.json)


class Trial:
    """One load, from the first endpoint to the last."""

    def __init__(
        self, report: Report, server: ClaryServer, account: Account, home: Path, seconds: float, share: float
    ) -> None:
        self._report = report
        self._server = server
        self._account = account
        self._home = home
        self._seconds = seconds
        self._hosting = Hosting.of(account)
        self._draw = random.Random(17)
        self._growth = Growth(server)
        self._growth.look()
        self._sites = Sites(self._hosting, share).all
        self._kills: list[tuple[float, str, str]] = []
        """When, whose (an endpoint's name, or empty for all), what."""
        self._asked: list[tuple[float, float, int, str, str]] = []
        """Of asynchronous requests: sent, accepted, row, where the answer is, where the failure."""
        self._failed_updates: list[str] = []
        """That no kill explains."""
        self._over = threading.Event()

    def run(self) -> None:
        """Do all of it."""
        plan, out = self._home / "plan.json", self._home / "notes.npz"
        account = {name: value for name, value in vars(self._account).items() if name != "_clients"}
        asked = [vars(site.target) for site in self._sites if site.target.n_lines]
        plan.write_text(json.dumps({"account": account, "targets": asked, "seconds": self._seconds}))
        clients = subprocess.Popen([sys.executable, "-m", "bench._clients", str(plan), str(out)])
        threads = [
            threading.Thread(target=each, daemon=True)
            for each in (self._update, self._kill, self._ask, self._watch)
        ]
        for thread in threads:
            thread.start()
        time.sleep(self._seconds)
        self._over.set()
        for thread in threads:
            thread.join(SETTLE_S + 10.0)
        if clients.wait(_clients.SILENT_S + 30.0):
            raise RuntimeError("the clients ended badly")
        notes = np.load(out)
        self._judge(notes, json.loads(out.with_suffix(".errors").read_text()))
        self._judge_asynchronous()
        self._growth.judge(self._report)
        self._hosting.close()
        self._judge_end()

    # What happens meanwhile.

    def _update(self) -> None:
        """Give an endpoint its next version, or another size, every ten seconds."""
        due = time.monotonic()
        for number in itertools.count():
            due = max(due + UPDATE_S, time.monotonic())
            if self._over.wait(due - time.monotonic()):
                return
            site = self._sites[number % len(self._sites)]
            try:
                if site.is_sized and number // len(self._sites) % 2:
                    self._resize(site)
                else:
                    self._renew(site)
            except (ClientError, BotoCoreError, TimeoutError) as error:
                self._failed_updates.append(f"{site.kind}: {error}")

    def _renew(self, site: Site) -> None:
        new = (site.version + 1) % N_VERSIONS
        begun = time.monotonic()
        _patient(
            lambda: self._hosting.sagemaker.update_endpoint(
                EndpointName=site.target.name, EndpointConfigName=site.configs[new]
            )
        )
        config = self._settled(site)
        old, site.version = site.version, new if config == site.configs[new] else site.version
        settled = time.monotonic()
        site.changes.append((begun, settled, old, new))
        if site.version != new:
            site.changes.append((settled, settled, old, old))
            reason = self._hosting.describe(site.target.name).get("FailureReason", "")
            print(f"  {site.kind} was rolled back: {reason[:200]}", flush=True)
            kills = (when for when, whose, _ in self._kills if whose == site.target.name)
            if not any(begun <= when <= settled for when in kills):
                self._failed_updates.append(f"{site.kind}: {reason}")

    def _resize(self, site: Site) -> None:
        desired = [{"VariantName": "AllTraffic", "DesiredInstanceCount": self._draw.choice((1, 2, 3))}]
        _patient(
            lambda: self._hosting.sagemaker.update_endpoint_weights_and_capacities(
                EndpointName=site.target.name, DesiredWeightsAndCapacities=desired
            )
        )
        self._settled(site)

    def _settled(self, site: Site) -> str:
        """Return the configuration of an endpoint that stands still."""
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until:
            described = _patient(lambda: self._hosting.describe(site.target.name))
            if described["EndpointStatus"] in {"InService", "Failed", "UpdateRollbackFailed"}:
                return str(described["EndpointConfigName"])
            time.sleep(0.1)
        raise TimeoutError(f"{site.target.name} does not settle")

    def _kill(self) -> None:
        """Kill replicas at random; once the edge, and once the control plane."""
        own = {0.4: "edge", 0.7: "control"}
        begun = time.monotonic()
        while not self._over.wait(KILL_S * self._draw.uniform(0.5, 1.5)):
            done = (time.monotonic() - begun) / self._seconds
            if done > 0.9:
                return  # what is at the end is judged as it is
            due = [share for share in own if share <= done]
            if due:
                name = own.pop(due[0])
                self._end(self._server.pid(name), "", name)
                continue
            alive = [each for each in agents.alive(self._server.settings) if each.kind == "serving"]
            if alive:
                victim = self._draw.choice(alive)
                below = descendants(victim.pid)
                if below and self._draw.random() > AGENT_SHARE:
                    self._end(below[-1], victim.name, "replica")
                else:
                    self._end(victim.pid, victim.name, "agent")

    def _end(self, pid: int, whose: str, what: str) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self._kills.append((time.monotonic(), whose, what))

    def _ask(self) -> None:
        """Ask the asynchronous endpoint."""
        site = next(each for each in self._sites if each.kind == "asynchronous")
        s3, uris = self._account.client("s3"), []
        for row, body in enumerate(site.target.bodies):
            s3.put_object(Bucket=self._hosting.bucket, Key=f"questions/{row}", Body=body.encode())
            uris.append(f"s3://{self._hosting.bucket}/questions/{row}")
        runtime = self._account.client("sagemaker-runtime")
        for number in itertools.count():
            if self._over.wait(1.0 / site.target.rate):
                return
            row, sent = number % len(uris), time.monotonic()
            try:
                found = runtime.invoke_endpoint_async(
                    EndpointName=site.target.name, InputLocation=uris[row], ContentType="text/csv"
                )
            except (ClientError, BotoCoreError):
                continue  # the client was told
            self._asked.append(
                (sent, time.monotonic(), row, found["OutputLocation"], found["FailureLocation"])
            )

    def _watch(self) -> None:
        while not self._over.wait(2.0):
            self._growth.look()

    # What is made of it.

    def _judge(self, notes: Any, errors: list[tuple[float, str, str]]) -> None:
        sites = [site for site in self._sites if site.target.n_lines]
        rows, n_wrong = [], 0
        outcomes, places = notes["outcome"], notes["endpoint"]
        for place, site in enumerate(sites):
            here = places == place
            n_wrong += self._wrong(site, notes["sent"][here], notes["done"][here], outcomes[here])
            took = np.sort((notes["done"] - notes["sent"])[here & (outcomes >= 0)]) * 1000
            counts = [int((outcomes[here] == each).sum()) for each in (_clients.REFUSED, _clients.BROKEN)]
            quantiles = (
                [float(took[int(share * len(took))]) for share in (0.5, 0.99)] if len(took) else [0, 0]
            )
            rows.append((site.kind, int(here.sum()), *counts, len(site.changes), *quantiles, float(took[-1])))
        head = ("endpoint", "requests", "errors", "broken", "updates", "p50 ms", "p99 ms", "most ms")
        self._report.table(f"{self._seconds:.0f} s of load", head, rows)
        kills = Counter(what for _, _, what in self._kills)
        print(f"  killed: {', '.join(f'{what} {n} x' for what, n in kills.items())}", flush=True)
        uncaused = [each for each in errors if not self._has_cause(each[0], each[1])]
        for moment, name, text in (uncaused or errors)[:20]:
            print(f"  {moment:.3f} {name}: {text[:200]}")
        report = self._report
        report.bar("requests without any answer", int((outcomes == _clients.SILENT).sum()), 0, "")
        report.bar("answers of a wrong model, or to another question", n_wrong, 0, "")
        report.bar("errors that no kill explains", len(uncaused), 0, "")
        report.bar("updates that did not come through", len(self._failed_updates), 0, "")
        for text in self._failed_updates:
            print(f"  update: {text}")
        report.facts["requests"] = len(outcomes)
        report.facts["kills"] = kills
        report.facts["errors"] = errors[:1000]

    def _wrong(self, site: Site, sent: Any, done: Any, outcomes: Any) -> int:
        n_wrong = int((outcomes == _clients.WRONG).sum())
        for begun, ended, outcome in zip(sent, done, outcomes, strict=True):
            if outcome >= 0 and outcome not in site.allowed(begun, ended):
                n_wrong += 1
                if n_wrong < 5:
                    print(f"  {site.kind}: version {outcome} from {begun:.3f} to {ended:.3f}; {site.changes}")
        return n_wrong

    def _has_cause(self, moment: float, name: str) -> bool:
        return any(
            0.0 <= moment - when <= AFTERMATH_S and whose in {"", name} for when, whose, _ in self._kills
        )

    def _judge_asynchronous(self) -> None:
        site = next(each for each in self._sites if each.kind == "asynchronous")
        s3, until = self._account.client("s3"), time.monotonic() + SETTLE_S
        waiting, n_failed, n_wrong, last = list(self._asked), 0, 0, time.monotonic()
        while waiting and time.monotonic() < until:
            found = _found(s3, self._hosting.bucket)
            left = []
            for one in waiting:
                sent, _accepted, row, answer, failure = one
                if answer in found:
                    version = site.target.version(row, found[answer]())
                    n_wrong += version not in site.allowed(sent, last)
                elif failure in found:
                    n_failed += 1
                else:
                    left.append(one)
            waiting = left
            if waiting:
                time.sleep(1.0)
        print(f"  asynchronous: {len(self._asked)} accepted, {n_failed} failed with a word", flush=True)
        self._report.bar("asynchronous: accepted, and never heard of", len(waiting), 0, "")
        self._report.bar("asynchronous: answers of a wrong model", n_wrong, 0, "")

    def _judge_end(self) -> None:
        """Count what is left when every endpoint is deleted."""
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until and agents.alive(self._server.settings):
            time.sleep(0.2)
        left = agents.alive(self._server.settings)
        self._report.bar("agents left after everything is deleted", len(left), 0, "")


def _found(s3: Any, bucket: str) -> dict[str, Callable[[], bytes]]:
    """Return what lies below answers and failures, to be read."""
    pages = s3.get_paginator("list_objects_v2")
    keys = [
        each["Key"]
        for prefix in ("answers/", "failures/")
        for page in pages.paginate(Bucket=bucket, Prefix=prefix)
        for each in page.get("Contents", ())
    ]

    def reader(key: str) -> Callable[[], bytes]:
        def read() -> bytes:
            found: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            return found

        return read

    return {f"s3://{bucket}/{key}": reader(key) for key in keys}


def _patient(ask: Callable[[], Any]) -> Any:
    """Ask the control plane; again for a while where it was just killed."""
    until = time.monotonic() + AFTERMATH_S
    while True:
        try:
            return ask()
        except (ClientError, BotoCoreError) as error:
            status = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 503)
            if status < 500 or time.monotonic() > until:
                raise
            time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
