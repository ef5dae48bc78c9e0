"""What the container runner asks the engine for, and how it reads what it is told."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clary.compute import invocations, linux
from clary.compute.base import RunKind, RunSpec, Runtime, Size
from clary.compute.docker.client import Docker
from clary.compute.runners import _creation, _doors, _gpus, _guard, _network, container
from clary.compute.runners._creation import Network
from clary.compute.runners.base import Program
from clary.kernel.errors import SetupError

IMAGE = "mine:1"
BRIDGE = Network(mode="bridge")


def spec_of(**members: Any) -> RunSpec:
    values: dict[str, Any] = {
        "run_id": "run-1",
        "kind": RunKind.TRAINING,
        "account": "111122223333",
        "region": "us-east-1",
        "name": "unit",
        "arn": "arn",
        "runtime": Runtime(kind="container", name=IMAGE),
        "size": Size(cpus=1, memory_mib=100),
    }
    return RunSpec(**{**values, **members})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("code", "input", "model"):
        (tmp_path / "algo-1/ml" / name).mkdir(parents=True)
    return tmp_path / "algo-1"


def asked(home: Path, program: Program, network: Network = BRIDGE, **members: Any) -> dict[str, Any]:
    return _creation.document(program, home, spec_of(**members), "algo-1", network, {"a": "b"})


def test_arguments_go_to_the_images_entry_point_unless_the_request_names_one(home: Path) -> None:
    plain = asked(home, Program(image=IMAGE, argv=("train",), environment={"A": "1"}))
    assert plain["Cmd"] == ["train"]
    assert "Entrypoint" not in plain
    assert (plain["Image"], plain["Hostname"], plain["Env"]) == (IMAGE, "algo-1", ["A=1"])
    named = asked(home, Program(image=IMAGE, entrypoint=("python3", "x.py")))
    assert named["Entrypoint"] == ["python3", "x.py"]
    assert "Cmd" not in named


def test_memory_is_limited_without_swap_and_shared_memory_is_as_much(home: Path) -> None:
    limits = asked(home, Program(image=IMAGE))["HostConfig"]
    assert limits["Memory"] == limits["MemorySwap"] == limits["ShmSize"] == 100 << 20
    assert limits["NanoCpus"] == 1_000_000_000
    assert {each["Name"] for each in limits["Ulimits"]} == {"nofile", "nproc"}


def test_code_of_the_image_stays_seen_where_there_is_none_of_the_job(home: Path) -> None:
    ml = home / "ml"
    program = Program(image=IMAGE, binds=(("/out", "/in"),), ro_binds=(("/r", "/opt/ml/models"),))
    expected = [f"{ml}/input:/opt/ml/input", f"{ml}/model:/opt/ml/model", "/out:/in", "/r:/opt/ml/models:ro"]
    assert _creation.binds(home, program) == expected
    (ml / "code/train.py").touch()
    assert f"{ml}/code:/opt/ml/code" in _creation.binds(home, program)


@pytest.mark.parametrize("kind", [RunKind.TRAINING, RunKind.PROCESSING])
def test_hosts_on_several_machines_have_these_machines_networks(tmp_path: Path, kind: RunKind) -> None:
    home, addresses = tmp_path / "run/hosts/algo-1", {"algo-1": "10.0.0.1", "algo-2": "10.0.0.2"}
    (home / "ml").mkdir(parents=True)
    (tmp_path / "run/place.json").write_text(json.dumps({"addresses": addresses}))
    spec = spec_of(kind=kind, hosts=("algo-1", "algo-2"))
    docker = Docker("unix:///nowhere")
    network = _network.joined(docker, home, spec, "algo-1", isolated=False, is_entered=True, data="d")
    assert network == Network(mode="host", hosts=("algo-1:10.0.0.1", "algo-2:10.0.0.2"))
    found = asked(home, Program(image=IMAGE), network)
    assert (found["Hostname"], found["HostConfig"]["NetworkMode"]) == ("algo-1", "host")
    assert found["HostConfig"]["ExtraHosts"] == ["algo-1:10.0.0.1", "algo-2:10.0.0.2"]
    assert "NetworkingConfig" not in found


def test_hosts_of_a_run_have_fixed_addresses_and_know_the_others(home: Path) -> None:
    network = Network(mode="clary-run-1", address="10.1.0.2", hosts=("algo-2:10.1.0.3",))
    found = asked(home, Program(image=IMAGE), network)
    where = found["NetworkingConfig"]["EndpointsConfig"]["clary-run-1"]
    assert where["IPAMConfig"] == {"IPv4Address": "10.1.0.2"}
    assert found["HostConfig"]["ExtraHosts"] == ["algo-2:10.1.0.3"]


def test_a_published_port_is_this_machines_alone(home: Path) -> None:
    network = Network(mode="bridge", is_published=True)
    found = asked(home, Program(image=IMAGE), network)
    assert found["HostConfig"]["PortBindings"]["8080/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": ""}]
    told = {"NetworkSettings": {"Ports": {"8080/tcp": [{"HostPort": "41234"}]}}}
    assert container.address_of(told, network) == "http://127.0.0.1:41234"


def test_each_engine_is_asked_for_gpus_in_its_own_way(home: Path) -> None:
    found = _gpus.request_of(["0", "2"], "Docker 20.10.24")
    assert (found["Driver"], found["DeviceIDs"]) == ("nvidia", ["0", "2"])
    made = _creation.document(Program(image=IMAGE), home, spec_of(), "algo-1", BRIDGE, {}, found)
    assert made["HostConfig"]["DeviceRequests"] == [found]
    found = _gpus.request_of(["0", "2"], "Podman 5.10.0-dev")
    assert found == {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0", "nvidia.com/gpu=2"]}
    assert "DeviceRequests" not in asked(home, Program(image=IMAGE))["HostConfig"]


@pytest.mark.parametrize("engine", ["Podman 4.3.1", "Podman 5.3.2", "Podman "])
def test_an_engine_that_would_leave_gpus_away_is_refused(engine: str) -> None:
    with pytest.raises(SetupError, match=r"gives containers no GPUs through its API: Podman 5\.4 and newer"):
        _gpus.request_of(["0"], engine)


@pytest.mark.parametrize(
    "told",
    [
        {"NetworkSettings": {"IPAddress": "10.1.0.9", "Networks": {}}},
        {"NetworkSettings": {"IPAddress": "", "Networks": {"bridge": {"IPAddress": "10.1.0.9"}}}},
    ],
)
def test_a_container_answers_at_its_own_address(told: dict[str, Any]) -> None:
    assert container.address_of(told, BRIDGE) == "http://10.1.0.9:8080"


@pytest.mark.parametrize(
    ("url", "doors"),
    [
        ("http://127.0.0.1:4747", [("127.0.0.1", 4747)]),
        ("http://localhost:80/", [("localhost", 80)]),
        ("http://[::1]:4747", [("::1", 4747)]),
        ("https://ml.example.com:4747", []),
        ("http://10.1.0.1:4747", []),
        ("127.0.0.1:99", []),
        ("", []),
    ],
)
def test_doors_are_opened_for_clarys_loopback_address(url: str, doors: list[tuple[str, int]]) -> None:
    assert _doors.wanted(url) == doors


def test_what_a_jobs_environment_names_is_not_opened(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[list[tuple[str, int]]] = []
    monkeypatch.setattr(_doors, "can_open", lambda: True)
    monkeypatch.setattr(_doors.Doors, "open", lambda _self, _pid, addresses: opened.append(addresses))
    monkeypatch.setattr(container, "_guarded", lambda *_: None)
    engine = Docker("unix:///none")
    monkeypatch.setattr(engine, "ask", lambda *_: {"State": {"Pid": 1}, "NetworkSettings": {}})
    spec = spec_of(objects={"endpoint": "http://127.0.0.1:4747"})
    program = Program(
        image=IMAGE, environment={"CACHE": "http://127.0.0.1:6379", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    )
    container.ContainerRunning(engine, "c", spec, "").begin(program, BRIDGE)
    assert opened == [[("127.0.0.1", 4747)]]


@pytest.mark.skipif(not linux.IS_LINUX, reason="stamps are of Linux")
def test_an_address_is_its_containers_for_as_long_as_that_lives() -> None:
    address = "http://127.0.0.1:8080"
    mine = container.owned(address, os.getpid())
    assert mine.startswith(f"{address}#{os.getpid()}.")
    assert invocations.is_owner_alive(mine)
    assert not invocations.is_owner_alive(f"{address}#{os.getpid()}.1")
    assert container.owned(address, 0) == address
    assert invocations.is_owner_alive(address)


def test_a_guard_whose_engine_has_ended_removes_by_podmans_command(tmp_path: Path) -> None:
    podman, said = tmp_path / "podman", tmp_path / "said"
    podman.write_text(f'#!/bin/sh\necho "$@" >> {said}\n')
    podman.chmod(0o755)
    guard = [sys.executable, "-I", "-S", str(_guard.__file__), f"unix://{tmp_path}/none", "c-1", "n-1"]
    subprocess.run([*guard, str(podman), "--events-backend", "file"], input=b"", check=True, timeout=60)
    assert said.read_text().splitlines() == [
        "--events-backend file rm --force --ignore --volumes c-1",
        "--events-backend file network rm n-1",
    ]
    subprocess.run([*guard, str(podman)], input=b"done", check=True, timeout=60)
    assert len(said.read_text().splitlines()) == 2


def test_a_program_without_an_image_has_a_command_or_a_call() -> None:
    with pytest.raises(ValueError, match="either `argv` or `call`"):
        Program(entrypoint=("x",))
