"""The process runner, in each of its three ways: privileged, in a user namespace, without a sandbox."""

import dataclasses
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clary.compute import launcher, limits, linux, sandbox
from clary.compute.base import RunKind, RunSpec, Runtime, Size
from clary.compute.runners._relocation import relocated
from clary.compute.runners.base import Exit, Program, Running
from clary.compute.runners.process import ProcessRunner, address
from clary.compute.trial import trial
from clary.kernel.settings import Settings

Run = Callable[..., tuple[Exit, str, str]]


def spec_of(**members: Any) -> RunSpec:
    values = {
        "run_id": f"unit-{secrets.token_hex(6)}",
        "kind": RunKind.TRAINING,
        "account": "111122223333",
        "region": "us-east-1",
        "name": "unit",
        "arn": "arn",
        "runtime": Runtime(kind="framework", name="unit"),
        "size": Size(cpus=1, memory_mib=200),
    }
    return RunSpec(**{**values, **members})


@pytest.fixture(params=["root", "user", "none"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    way: str = request.param
    if way == "user":
        monkeypatch.setattr(linux, "has_capability", lambda _: False)
    return way


@pytest.fixture
def settings(way: str, tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path / "data", sandbox="none" if way == "none" else "auto")
    sandbox.probe.cache_clear()
    found = sandbox.probe(settings)
    if found.kind != way:
        pytest.skip(f"this machine cannot: {found.reason or found.kind}")
    return settings


@pytest.fixture
def home(settings: Settings) -> Path:
    home = settings.runs_dir / "run" / "hosts" / "algo-1"
    home.mkdir(parents=True)
    return home


@pytest.fixture(autouse=True)
def _own_launcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    mine: list[launcher.Launcher] = []
    monkeypatch.setattr(launcher, "_current", mine)
    yield
    for each in mine:
        each.close()
        os.waitpid(each.pid, 0)


@pytest.fixture
def start(home: Path, settings: Settings) -> Iterator[Callable[..., Running]]:
    begun: list[Running] = []

    def start(program: Program, **members: Any) -> Running:
        with (home / "out").open("wb") as out, (home / "err").open("wb") as err:
            running = ProcessRunner(settings).start(
                home, spec_of(**members), "algo-1", program, stdout=out.fileno(), stderr=err.fileno()
            )
        begun.append(running)
        return running

    yield start
    for running in begun:
        running.close()


@pytest.fixture
def run(start: Callable[..., Running], home: Path) -> Run:
    def run(program: Program, **members: Any) -> tuple[Exit, str, str]:
        end = start(program, **members).wait(30)
        assert end is not None
        return end, (home / "out").read_text(), (home / "err").read_text()

    return run


def python(code: str, **members: Any) -> Program:
    return Program(argv=("python", "-c", code), **members)


def test_output_exit_code_directory_and_environment_are_the_programs(run: Run, home: Path, way: str) -> None:
    code = "import os, sys; print(os.getcwd(), os.environ['A']); print('e', file=sys.stderr); sys.exit(7)"
    end, out, err = run(python(code, environment={"A": "/opt/ml/x"}))
    root = str(home / "ml") if way == "none" else "/opt/ml"
    assert (end.code, out, err) == (7, f"{root}/code {root}/x\n", "e\n")


def test_a_signal_is_told_by_name(run: Run) -> None:
    end, _, _ = run(python("import os; os.kill(os.getpid(), 11)"))
    assert (end.code, end.signal) == (None, "SIGSEGV")


def test_a_missing_program_is_one_line_and_code_127(run: Run) -> None:
    end, _, err = run(Program(argv=("no-such-program",)))
    assert (end.code, err) == (127, "clary: cannot run 'no-such-program': No such file or directory\n")


def test_a_function_is_called_with_its_arguments(run: Run) -> None:
    end, out, err = run(Program(call="builtins:print", arguments={"a": 1}))
    assert (end.code, out, err) == (0, "{'a': 1}\n", "")


@pytest.mark.parametrize("call", ["no_such_module:main", "json:no_such_function"])
def test_a_function_that_is_not_there_is_one_line_and_code_127(run: Run, call: str) -> None:
    end, _, err = run(Program(call=call))
    assert end.code == 127
    assert err.startswith(f"clary: cannot load '{call}': ")


def test_an_exception_of_the_function_is_told_as_python_tells_it(run: Run) -> None:
    end, _, err = run(Program(call="os:listdir", arguments={}))
    assert end.code == 1
    assert "TypeError: listdir" in err


def test_more_memory_than_the_limit_is_out_of_memory(run: Run) -> None:
    end, _, _ = run(python("bytearray(500 << 20)"))
    assert end == Exit(signal="SIGKILL", is_out_of_memory=True)


def test_where_no_cgroup_can_be_made_a_watchdog_holds_the_limit(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "fence", lambda *_: None)
    end, _, _ = run(python("import time; x = bytearray(b'1') * (500 << 20); time.sleep(30)"))
    assert end == Exit(signal="SIGKILL", is_out_of_memory=True)


def test_a_signal_reaches_every_process(start: Callable[..., Running], home: Path) -> None:
    script = "trap 'echo child; exit' TERM; while :; do sleep 0.02; done"
    running = start(Program(argv=("sh", "-c", f"(sh -c \"{script}\") & trap 'wait; exit 4' TERM; wait")))
    wait_for_processes(running, 3)
    time.sleep(0.05)
    running.signal(signal.SIGTERM)
    end = running.wait(30)
    assert end is not None
    assert (end.code, (home / "out").read_text()) == (4, "child\n")


def test_wait_answers_none_while_the_program_runs_and_the_same_after(start: Callable[..., Running]) -> None:
    running = start(python("import time; x = bytearray(b'1') * (60 << 20); time.sleep(60)"))
    assert running.wait(0) is None
    wait_until(lambda: running.memory_bytes() > 50 << 20)
    running.kill()
    assert running.wait(30) == running.wait(0) == Exit(signal="SIGKILL")
    running.signal(signal.SIGTERM)
    running.kill()
    assert running.memory_bytes() == 0


def test_a_daemon_is_gone_when_wait_answers(run: Run) -> None:
    mark = f"7{secrets.randbelow(10**9):09}.25"
    run(Program(argv=("sh", "-c", f"(setsid sleep {mark} &) ; exit 0")))
    assert not processes_with(mark)


def test_everything_dies_with_the_starter(home: Path, settings: Settings, way: str) -> None:
    mark = f"7{secrets.randbelow(10**9):09}.75"
    spec = spec_of()
    code = f"""
import sys; from pathlib import Path
from clary.compute import linux, launcher
from clary.compute.runners.base import Program
from clary.compute.runners.process import ProcessRunner
from clary.compute.base import RunSpec
from clary.kernel.settings import Settings
import json
if {way == "user"}: linux.has_capability = lambda _: False
launcher.prepare()
spec = RunSpec.from_json(json.loads(sys.argv[1]))
argv = ("sh", "-c", "(setsid sleep {mark} &); sleep {mark}")
program = Program(argv=argv)
ProcessRunner(Settings.load()).start(Path(sys.argv[2]), spec, "algo-1", program, stdout=1, stderr=2)
print("on", flush=True); sys.stdin.read()
"""
    starter = subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(spec.to_json()), str(home)],
        env={**os.environ, **settings.environment(), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert starter.stdin
    assert starter.stdout
    with starter.stdin, starter.stdout:
        assert starter.stdout.readline() == b"on\n"
        wait_until(lambda: len(processes_with(mark)) == 2)
        starter.kill()
        starter.wait()
        wait_until(lambda: not processes_with(mark))
    for group in limits.leftover_groups(f"{spec.run_id}."):
        assert limits.remove_group(group)


def test_without_network_there_is_loopback_only(run: Run, way: str) -> None:
    if way == "none":
        pytest.skip("no sandbox, no network isolation")
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(open('/proc/net/dev').read())"
    end, out, _ = run(python(code, network=False))
    assert end.code == 0
    assert [line.split(":")[0].strip() for line in out.splitlines() if ":" in line] == ["lo"]


def test_binds_are_where_they_were_asked_for(run: Run, tmp_path: Path, way: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir(mode=0o777)
    (tmp_path / "out").chmod(0o777)
    (tmp_path / "in" / "x").write_text("hello")
    script = (
        "cat /opt/ml/processing/in/x; cat /data/in/x; echo 1 >/opt/ml/processing/out/y; echo 1 >/data/in/z"
    )
    binds = ((str(tmp_path / "out"), "/opt/ml/processing/out"),)
    ro_binds = ((str(tmp_path / "in"), "/opt/ml/processing/in"), (str(tmp_path / "in"), "/data/in"))
    _, out, err = run(Program(argv=("sh", "-c", script), binds=binds, ro_binds=ro_binds))
    assert out == "hellohello"
    assert (tmp_path / "out" / "y").read_text() == "1\n"
    if way != "none":
        assert "Read-only" in err


def test_the_secrets_of_the_agent_are_not_in_the_launcher(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = secrets.token_hex(16)
    monkeypatch.setenv("CLARY_OBJECTS_SECRET_KEY", secret)
    _, out, _ = run(Program(argv=("sh", "-c", "cat /proc/self/environ")))
    assert secret not in out
    assert secret.encode() not in Path(f"/proc/{launcher.current().pid}/environ").read_bytes()


def test_the_trial_finds_that_python_runs_as_a_job(settings: Settings) -> None:
    assert trial(settings) == ""


def test_the_trial_tells_what_does_not_run(settings: Settings, tmp_path: Path) -> None:
    broken = dataclasses.replace(settings, runtime_python=str(tmp_path / "bin" / "python"))
    assert "cannot run" in trial(broken)


def test_the_program_has_the_processors_of_its_host(run: Run) -> None:
    _, out, _ = run(
        python("import os; print(os.environ['OMP_NUM_THREADS'])"), size=Size(cpus=1, memory_mib=99)
    )
    assert out == "1\n"


def test_paths_are_moved_where_there_is_no_sandbox(tmp_path: Path) -> None:
    program = Program(
        call="m:f",
        arguments={"dirs": ["/opt/ml/input"], "n": 1},
        environment={"SM_MODEL_DIR": "/opt/ml/model"},
    )
    moved = relocated(program, tmp_path)
    assert moved.arguments == {"dirs": [f"{tmp_path}/ml/input"], "n": 1}
    assert moved.environment["SM_MODEL_DIR"] == f"{tmp_path}/ml/model"
    assert moved.directory == f"{tmp_path}/ml/code"


def test_hosts_of_all_runs_have_addresses_of_their_own() -> None:
    all_of_them = {address(slot, index) for slot in (0, 1, 255, 256, 4095) for index in range(20)}
    assert len(all_of_them) == 100
    assert address(0, 0) == "127.77.0.1"


def processes_with(mark: str) -> list[int]:
    found = []
    for pid in linux.pids():
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in arguments:
            found.append(pid)
    return found


def wait_for_processes(running: Any, n: int) -> None:
    wait_until(lambda: len(running._members()) >= n)


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)
