"""A live Clary for tests: the pytest fixture `clary_server`.

In a `conftest.py`: `pytest_plugins = ["clary.testing.server"]`.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from clary.cli import agents, control, credentials, environment
from clary.cli.credentials import Keys
from clary.cli.supervisor import identity, state
from clary.cli.supervisor.state import Running
from clary.compute.base import RunKind, RunSpec
from clary.kernel import ids
from clary.kernel.settings import Settings
from clary.testing import coverage
from clary.testing.environments import stand_in

START_S = 90.0
STOP_S = 60.0
ATTACH = "CLARY_TEST_DATA_DIR"
"""Names the data folder of a Clary that runs already: tests use it, and leave it as it is."""
_START = """
import runpy, sys
from clary.compute import linux
if linux.IS_LINUX:
    linux.die_with_parent(15)  # tests that are killed leave nothing behind
sys.argv[0] = "clary"
runpy.run_module("clary.cli.main", run_name="__main__")
"""

_WATCH = """
import sys
if not sys.stdin.buffer.read():  # who would have said something is gone
    from clary.testing import server
    server.clear(sys.argv[1])
"""


@dataclass(frozen=True)
class Account:
    """An account of a test: its keys, and clients that use them."""

    name: str
    account_id: str
    access_key_id: str
    secret_access_key: str
    url: str
    role_arn: str = ""
    """Role that its jobs run as."""
    region: str = "us-east-1"
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False, compare=False)

    def client(self, service: str, *, region: str | None = None, **changes: Any) -> Any:
        """Return a boto3 client; one for each service, made when first asked for.

        Parameters
        ----------
        service : str
            As boto3 has it: `sagemaker`, `s3`, `sagemaker-runtime` …
        region : str, optional
            Another region than the account's own.
        changes : Any
            Arguments of `boto3.client` to set otherwise; such a client is made anew.
        """
        where = (service, region or self.region)
        if changes or where not in self._clients:
            given: dict[str, Any] = {
                "endpoint_url": self.url,
                "region_name": where[1],
                "aws_access_key_id": self.access_key_id,
                "aws_secret_access_key": self.secret_access_key,
                "config": Config(proxies={}, retries={"mode": "standard", "total_max_attempts": 3}),
            }
            made = boto3.session.Session().client(service, **(given | changes))  # type: ignore[call-overload]
            if changes:
                return made
            self._clients[where] = made
        return self._clients[where]


class ClaryServer:
    """A Clary that runs, of this session's own or one attached to."""

    def __init__(
        self, settings: Settings, running: Running, process: "subprocess.Popen[bytes] | None"
    ) -> None:
        self.settings = settings
        self.running = running
        self.url = running.url
        self.data_dir = settings.data_dir
        self._process = process
        self._default: Account | None = None

    @classmethod
    def start(cls, data_dir: Path, *, port: int = 0, **settings: str) -> "ClaryServer":
        """Start one and wait until it is ready.

        Parameters
        ----------
        data_dir : Path
            Its data folder; kept when it stops.
        port : int, optional
            0 takes a free one. Agents of an earlier life report to the port of that life.
        settings : str
            `CLARY_*` variables, by their names without the prefix, in lower case.
        """
        data_dir.mkdir(parents=True, exist_ok=True)
        environ = os.environ | {f"CLARY_{name.upper()}": value for name, value in settings.items()}
        output = data_dir / "up.log"
        with output.open("ab") as file:
            process = subprocess.Popen(  # noqa: S603 - this package
                [sys.executable, "-c", _START, "up", "--data-dir", str(data_dir), "--port", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=environ,
            )
        deadline = time.monotonic() + START_S
        while process.poll() is None and time.monotonic() < deadline:
            running = state.read(data_dir)
            if running is not None and running.pid == process.pid and running.is_ready:
                loaded = Settings.load(environ, data_dir=data_dir, port=int(running.url.rpartition(":")[2]))
                return cls(loaded, running, process)
            time.sleep(0.02)
        process.kill()
        process.wait()
        raise RuntimeError(f"Clary did not start:\n{output.read_text()}")

    @classmethod
    def attach(cls, data_dir: Path) -> "ClaryServer":
        """Use the Clary that runs on a data folder."""
        return cls(Settings.load(data_dir=data_dir), state.expect_running(data_dir), None)

    def account(self, name: str | None = None) -> Account:
        """Return a fresh account, or the one called `name`, made where it is missing."""
        known = credentials.read(self.data_dir)
        if name is not None and name in known:
            return self._account(name, known[name])
        name = name or f"test-{ids.short()}"
        made = control.ask(self.settings, "POST", "/internal/accounts", {"name": name})
        keys = Keys(**{key: made[key] for key in ("account", "access_key_id", "secret_access_key")})
        credentials.keep(self.data_dir, name, keys)
        return self._account(name, keys)

    def client(self, service: str, *, account: Account | str | None = None, **changes: Any) -> Any:
        """Return a boto3 client of `account`: an `Account`, the name of one, or `default`."""
        if isinstance(account, Account):
            return account.client(service, **changes)
        if account is None and self._default is None:
            self._default = self.account("default")
        chosen = self._default if account is None else self.account(account)
        assert chosen is not None
        return chosen.client(service, **changes)

    def env(self, account: Account | str = "default") -> Mapping[str, str]:
        """Return the environment that `clary run` gives to a program."""
        name = account.name if isinstance(account, Account) else account
        return environment.applied(environment.environment(self.running, name), os.environ)

    def pid(self, process: str) -> int:
        """Return the pid of one of its processes now: `objects`, `control`, `edge`, `zygote-base`."""
        running = state.read(self.data_dir)
        assert running is not None
        return next(each.pid for each in running.processes if each.name == process)

    def end_runs(self) -> None:
        """Delete the endpoints and stop the jobs that still run, for the room that they declared."""
        names = {keys.account: name for name, keys in credentials.read(self.data_dir).items()}
        for each in agents.alive(self.settings):
            with contextlib.suppress(ClientError, FileNotFoundError):  # it ended meanwhile
                spec = RunSpec.from_json(json.loads((each.folder.parents[1] / "spec.json").read_text()))
                client = self.account(names[spec.account]).client("sagemaker", region=spec.region)
                if spec.kind is RunKind.SERVING:
                    client.delete_endpoint(EndpointName=spec.name)
                elif spec.kind is RunKind.NOTEBOOK:
                    client.stop_notebook_instance(NotebookInstanceName=spec.name)
                else:
                    client.stop_training_job(TrainingJobName=spec.name)

    def stop(self) -> None:
        """Stop it, if it is this session's own."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _account(self, name: str, keys: Keys) -> Account:
        given = (name, keys.account, keys.access_key_id, keys.secret_access_key, self.url)
        caller = Account(*given).client("sts").get_caller_identity()["Arn"]
        role = f"arn:aws:iam::{keys.account}:role/{caller.split('/')[1]}"
        return Account(*given, role_arn=role, region=self.running.region)


@pytest.fixture(scope="session")
def clary_server() -> Iterator[ClaryServer]:
    """Yield a live Clary for the whole test session: started in a temporary folder, stopped at the end.

    Every test takes a fresh `clary_server.account()`: isolation without clean-up.
    """
    if os.environ.get(ATTACH):
        yield ClaryServer.attach(Path(os.environ[ATTACH]))
        return
    home = Path(tempfile.mkdtemp(prefix="clary-test-"))
    home.chmod(0o711)  # jobs of other user ids pass
    with watched(home):
        server = ClaryServer.start(
            home / "data",
            audit_log=str(home / "audit.jsonl"),
            access_log=str(home / "access.jsonl"),
            notebook_python=str(stand_in(home / "notebooks")),
            notebook_limit="3",
        )
        try:
            yield server
        finally:
            server.stop()
            coverage.keep(home)
            clear(str(home))


@pytest.fixture(scope="module", autouse=True)
def _room(request: pytest.FixtureRequest) -> Iterator[None]:
    """End what a module's tests leave running on the server: later tests need the room."""
    here = (each for each in request.session.items if each.path == request.path)
    if not any("clary_server" in getattr(each, "fixturenames", ()) for each in here):
        yield
        return
    server: ClaryServer = request.getfixturevalue("clary_server")
    yield
    server.end_runs()


@contextlib.contextmanager
def watched(home: Path) -> Iterator[None]:
    """Have `home` cleared by another process, should this one be killed in the block.

    A Clary ends with its tests, but jobs, replicas and notebooks go on without it, as they should.
    """
    argv = [sys.executable, "-c", _WATCH, str(home)]
    watch = subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - this package
    try:
        yield
    finally:
        watch.communicate(b"done")


def clear(home: str) -> None:
    """End what runs on the folder `data` of `home` once no Clary does, and remove all of it."""
    settings = Settings.load({}, data_dir=Path(home) / "data")
    deadline = time.monotonic() + STOP_S
    while state.is_locked(settings.data_dir) and time.monotonic() < deadline:
        time.sleep(0.1)
    end_agents(settings)
    shutil.rmtree(home, ignore_errors=True)


def end_agents(settings: Settings) -> None:
    """Kill the agents that tests left, with all they run."""
    for each in agents.alive(settings):
        identity.end(each.pid, each.since, grace_s=0.0)
