"""Fixtures of the agent's tests: agents forked from a clean process, an S3, and somebody to report to."""

import io
import json
import multiprocessing
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from clary.compute import agent, sandbox
from clary.compute.base import Result, RunKind, RunSpec, Runtime, Size
from clary.kernel import ids
from clary.kernel.settings import Settings
from clary.testing.s3 import MemoryS3, memory_s3


class Receiver:
    """Takes reports as the control plane does: each sequence number of a host once."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        """Answers to give before all is well again."""
        self.seen: list[tuple[str, str, int]] = []
        self.taken: set[tuple[str, int]] = set()
        self.arrived = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = receiver.take(self.path, self.headers["Authorization"], body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/_clary/runs"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def take(self, path: str, authorization: str, body: dict[str, Any]) -> int:
        with self.arrived:
            self.seen.append((path, authorization, body["seq"]))
            if self.statuses and (status := self.statuses.pop(0)) != 200:
                return status
            if (path, body["seq"]) not in self.taken:
                self.taken.add((path, body["seq"]))
                self.reports.append({**body, "host": path.split("/")[-2]})
            self.arrived.notify_all()
            return 200

    def lines(self, host: str = "algo-1") -> list[str]:
        return [text for each in self.reports if each["host"] == host for _, text in each["logs"]]

    def phases(self, host: str = "algo-1") -> list[str]:
        return [each["phase"] for each in self.reports if each["host"] == host and each["phase"]]

    def wait_for(self, holds: Callable[[], bool], limit_s: float = 30.0) -> None:
        with self.arrived:
            assert self.arrived.wait_for(holds, limit_s), f"waited in vain; got {self.reports}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def s3() -> Iterator[MemoryS3]:
    with memory_s3("b") as server:
        yield server


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clary")


@pytest.fixture(scope="session")
def nest(data_dir: Path) -> Iterator[Any]:
    """A clean, single-threaded process that has imported the agent, and forks."""
    kept = os.environ.get("CLARY_DATA_DIR")
    os.environ["CLARY_DATA_DIR"] = str(data_dir)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["clary.compute.agent", "clary.compute.runners.process"])
    yield context
    if kept is None:
        del os.environ["CLARY_DATA_DIR"]
    else:
        os.environ["CLARY_DATA_DIR"] = kept


@pytest.fixture(scope="session")
def own_opt_ml(data_dir: Path) -> None:
    """Skip where this machine has no namespaces: the scripts write to `/opt/ml` by that name."""
    means = sandbox.probe(Settings.load())
    if means.kind == "none":
        pytest.skip(f"no private /opt/ml here: {means.reason}")


@dataclass
class Agent:
    """One agent at work."""

    home: Path
    process: Any
    receiver: Receiver

    def result(self, limit_s: float = 60.0) -> Result:
        self.process.join(limit_s)
        assert self.process.exitcode == 0, (self.home / "agent.log").read_text()
        return Result.from_json(json.loads((self.home / "result.json").read_text()))

    def stop(self, **request: Any) -> None:
        beside = self.home / "stop.new"
        beside.write_text(json.dumps(request))
        beside.rename(self.home / "stop.json")


@dataclass
class Launch:
    """Starts agents; ends those that a test has left."""

    nest: Any
    data_dir: Path
    s3: MemoryS3
    receiver: Receiver
    agents: list[Agent] = field(default_factory=list)

    def spec(self, request: dict[str, Any], **members: Any) -> RunSpec:
        run_id = f"run-{ids.short()}"
        members = {
            "run_id": run_id,
            "kind": RunKind.TRAINING,
            "account": "111122223333",
            "region": "us-east-1",
            "name": "job",
            "arn": "arn:aws:sagemaker:us-east-1:111122223333:training-job/job",
            "runtime": Runtime(kind="framework", name="scikit-learn"),
            "size": Size(cpus=2, memory_mib=2048),
            "report_url": f"{self.receiver.url}/{run_id}",
            "token": "token",
            "objects": self.s3.where,
            "environment": {"AWS_ENDPOINT_URL": self.s3.where["endpoint"]},
            **members,
        }
        return RunSpec(request={"OutputDataConfig": {"S3OutputPath": "s3://b/out"}, **request}, **members)

    def __call__(self, spec: RunSpec, host: str = "algo-1") -> Agent:
        run = self.data_dir / "runs" / spec.run_id
        home = run / "hosts" / host
        home.mkdir(parents=True)
        (run / "spec.json").write_text(json.dumps(spec.to_json()))
        process = self.nest.Process(target=agent.main, args=(home,))
        process.start()
        self.agents.append(Agent(home, process, self.receiver))
        return self.agents[-1]


@pytest.fixture
def launch(nest: Any, data_dir: Path, s3: MemoryS3, receiver: Receiver) -> Iterator[Launch]:
    made = Launch(nest, data_dir, s3, receiver)
    yield made
    for each in made.agents:
        each.process.kill()
        each.process.join(10)


@pytest.fixture
def script(s3: MemoryS3) -> Callable[..., dict[str, Any]]:
    """Store a script and return the request that trains with it."""

    def store(
        text: str, *, name: str = "train.py", files: dict[str, bytes] | None = None, **request: Any
    ) -> Any:
        s3.put("s3://b/source/sourcedir.tar.gz", tar_gz({name: text.encode(), **(files or {})}))
        parameters = {
            "sagemaker_submit_directory": '"s3://b/source/sourcedir.tar.gz"',
            "sagemaker_program": f'"{name}"',
            **request.pop("HyperParameters", {}),
        }
        return {"HyperParameters": parameters, **request}

    return store


def tar_gz(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(body), 0o755
            tar.addfile(member, io.BytesIO(body))
    return made.getvalue()
