"""Unmodified SDKs in their own environments: `sdk2("name", …)` runs that function of `programs/v2.py`."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from clary.testing.server import ClaryServer, end_agents

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = Path(__file__).parent / "programs"
Client = Callable[..., Any]


def python_of(name: str) -> Path:
    """Return the Python of an SDK's environment, or skip."""
    path = ROOT / ".venvs" / name / "bin" / "python"
    if not path.exists():
        pytest.skip(f"{path.relative_to(ROOT)} is not there: make test sets it up")
    return path


def client(environ: Mapping[str, str], python: Path, module: str) -> Iterator[Client]:
    """Yield a function that runs the functions of a module in one process of `python`."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [python, "-W", "ignore", PROGRAMS, module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**environ, "SAGEMAKER_SUPPRESS_V2_WARNING": "1"},
        )

        def call(name: str, *arguments: Any) -> Any:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps({"name": name, "arguments": arguments}) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if not line or "error" in (answer := json.loads(line)):
                log.seek(0)
                pytest.fail(f"{answer['error'] if line else 'it died'}\n--- log\n{log.read()[-6000:]}")
            return answer["value"]

        try:
            yield call
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(20)
            assert process.stdout is not None
            process.stdout.close()


def server_with_runtime(python: Path) -> Iterator[ClaryServer]:
    """Yield a Clary of its own, whose scripts run in another Python."""
    home = Path(tempfile.mkdtemp(prefix="clary-runtime-"))
    home.chmod(0o711)  # jobs of other user ids pass
    server = ClaryServer.start(home / "data", runtime_python=str(python))
    try:
        yield server
    finally:
        server.stop()
        end_agents(server.settings)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def sdk2(clary_server: ClaryServer) -> Iterator[Client]:
    """Yield SDK v2, of an account of its own."""
    yield from client(clary_server.env(clary_server.account()), python_of("sdk2"), "v2")


@pytest.fixture(scope="session")
def sdk3(clary_server: ClaryServer) -> Iterator[Client]:
    """Yield SDK v3, of an account of its own."""
    yield from client(clary_server.env(clary_server.account()), python_of("sdk3"), "v3")


@pytest.fixture
def aws(clary_server: ClaryServer, tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs `aws` with a fresh account's environment and returns what it printed."""
    program = python_of("sdk2").with_name("aws")
    environ = {**clary_server.env(clary_server.account()), "AWS_PAGER": ""}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program, *arguments], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"aws {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
