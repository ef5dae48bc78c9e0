"""What a job may not do: read others' and the server's files, reach other processes, outlive its keys."""

import ast
import contextlib
import json
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.compute import mounts, sandbox
from clary.gateway.objects import GRPC_OFFSET
from clary.testing.jobs import ScriptJob, new_bucket


@pytest.fixture(scope="module", autouse=True)
def _walls(clary_server):
    if sandbox.probe(clary_server.settings).kind == "none":
        pytest.skip("this machine has no sandbox: `clary doctor` says why")


HOLD = """
import os, time
open("/opt/ml/model/secret", "w").write("of the other job")
open("/tmp/secret", "w").write("of the other job")
print("pid", os.getpid(), flush=True)
time.sleep(600)
"""
TRY = """
import ctypes, glob, json, os, signal, socket, sys, urllib.request, urllib.error
targets = json.loads(sys.argv[2])

def read(path):
    try:
        if os.path.isdir(path):
            return f"folder: {os.listdir(path)}" if os.listdir(path) else "empty"
        with open(path, "rb") as file:
            return f"read: {file.read(40)!r}"
    except OSError as error:
        return f"refused: {error.strerror}"

def write(path):
    try:
        with open(path, "w") as file:
            file.write("mine")
        return "written"
    except OSError as error:
        return f"refused: {error.strerror}"

def kill(pid):
    try:
        os.kill(pid, 0)
        return "seen"
    except OSError as error:
        return f"refused: {error.strerror}"

def get(path, token=""):
    url = os.environ["AWS_ENDPOINT_URL"] + path
    request = urllib.request.Request(url, headers={"Authorization": token} if token else {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code

def connect(path):
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
        return "connected"
    except OSError as error:
        return f"refused: {error.strerror}"

def unauthorised():
    "Ask everything that listens on this machine for something, as nobody."
    open_ports = {}
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in open(table).readlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                ports.add(int(words[1].rpartition(":")[2], 16))
    for port in sorted(ports & set(targets["ports"])):
        for path in targets["paths"]:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            try:
                with opener.open(f"http://127.0.0.1:{port}{path}", timeout=3) as answer:
                    open_ports[f"{port}{path}"] = f"{answer.status} {answer.read(80)!r}"
            except Exception as error:
                pass
    return open_ports

token = os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
status = dict(line.split()[:2] for line in open("/proc/self/status").read().replace(":", "").splitlines()
              if len(line.split()) > 1)
own = os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"].partition("/_clary/")[2]
found = {
    "read": {path: read(path) for path in targets["read"]},
    "write": {path: write(path) for path in targets["write"]},
    "kill": {str(pid): kill(pid) for pid in targets["kill"]},
    "sockets": {path: connect(path) for path in targets["sockets"]},
    "processes": [
        open(path, "rb").read().replace(b"\\0", b" ").decode() for path in glob.glob("/proc/[0-9]*/cmdline")
    ],
    "environments": [
        open(path, "rb").read().decode(errors="replace")
        for path in glob.glob("/proc/[0-9]*/environ") if os.access(path, os.R_OK)
    ],
    "root": [read(f"/proc/1/root{path}") for path in targets["read"]],
    "uid": os.getuid(),
    "capabilities": [status[name] for name in ("CapEff", "CapBnd", "CapPrm")],
    "no_new_privs": [status["NoNewPrivs"]],
    "mount": ctypes.CDLL(None, use_errno=True).mount(b"none", b"/mnt", b"tmpfs", 0, None),
    "own": get(f"/_clary/{own}", token),
    "without": get(f"/_clary/{own}"),
    "other": get(f"/_clary/runs/{targets['run']}/credentials", token),
    "report": get(f"/_clary/runs/{targets['run']}/algo-1/reports", token),
    "internal": [get(path) for path in ("/internal/objects", "/_clary/../internal/x", "/%69nternal/objects")],
    "ports": unauthorised(),
    "descriptors": [
        os.readlink(path) for path in glob.glob("/proc/self/fd/*") if os.path.lexists(path)
    ],
}
json.dump(found, open("/opt/ml/model/findings.json", "w"))
"""


def listening() -> Any:
    """Return every TCP port that something on this machine listens on."""
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                ports.add(int(words[1].rpartition(":")[2], 16))
    return ports


def ports_of(pids: Any) -> Any:
    """Return the TCP ports on which these processes listen."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = os.readlink(link)
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                found.add(int(words[1].rpartition(":")[2], 16))
    return found


@pytest.fixture(scope="module")
def found(clary_server):
    """Return what a job found that tried everything while another account's job ran."""
    other = ScriptJob.create(clary_server.account(), HOLD)
    other.await_line("pid")
    data = clary_server.data_dir
    run = next(path for path in clary_server.settings.runs_dir.iterdir() if path.name.startswith(other.name))
    home = run / "hosts/algo-1"
    secrets = [data / name for name in ("clary.db", "secret.key", "objects.json", "credentials.json")]
    assert all(path.exists() for path in secrets)
    assert (home / "ml/model/secret").exists()
    pids = [clary_server.pid(name) for name in ("objects", "control", "edge", "zygote-base")]
    targets = {
        "read": [
            *map(str, secrets), str(data), str(clary_server.settings.runs_dir), str(run / "spec.json"),
            str(home / "ml/model/secret"), str(home / "tmp/secret"), str(Path.home() / ".aws/credentials"),
            str(Path.home()), "/root/.ssh", "/etc/shadow", "/tmp/secret", "/opt/ml/model/secret",
            f"/proc/{pids[1]}/environ", str(clary_server.settings.socket_dir),
        ],
        "write": [
            "/owned", "/etc/owned", "/usr/owned", "/bin/sh", str(data / "owned"), str(home / "stop.json"),
            "/proc/sys/kernel/core_pattern", "/sys/owned", "/root/owned", "/opt/owned", "/etc/hosts",
            "/opt/ml/model/fine", "/tmp/fine",
        ],
        "kill": [*pids, os.getpid()],
        "sockets": [str(clary_server.settings.control_socket)],
        "run": run.name,
        "paths": [
            "/dir/assign", "/dir/status", "/dir/lookup?volumeId=1", "/vol/status", "/vol/grow?count=1",
            "/col/delete?collection=none", "/buckets/", "/admin", "/login", "/api/users",
            "/debug/pprof/cmdline", "/internal/objects", "/_clary/../internal/accounts",
        ],
        "ports": sorted(ports_of(pids) & listening()),
    }  # fmt: skip
    account = clary_server.account()
    try:
        job = ScriptJob.create(account, TRY, hyperparameters={"targets": json.dumps(json.dumps(targets))})
        yield job.findings() | {"targets": targets}
    finally:
        other.account.client("sagemaker").stop_training_job(TrainingJobName=other.name)
        other.wait()


def in_home() -> set[str]:
    """Return what of the home folder leads to the Python environment, and therefore is shown."""
    home = Path.home()
    shown = mounts.python_environment()
    return {path.relative_to(home).parts[0] for path in shown if path.is_relative_to(home)}


def test_a_job_reads_nothing_of_the_server_the_machine_or_another_job(found):
    for path, said in found["read"].items():
        if path == str(Path.home()) and said.startswith("folder"):
            assert set(ast.literal_eval(said.removeprefix("folder: "))) <= in_home()
            continue
        assert said.startswith("refused") or said == "empty", (path, said)
    assert found["root"] == list(found["read"].values()) or all(
        said.startswith("refused") for said in found["root"]
    )


def test_a_job_writes_its_own_folders_only(found):
    written = {path for path, said in found["write"].items() if said == "written"}
    assert written == {"/opt/ml/model/fine", "/tmp/fine"}


def test_a_job_sees_and_signals_no_other_process(found):
    # small pids may exist in its own namespace; what it sees of them is its own
    assert not [
        line for line in found["processes"] if "clary up" in line or "uvicorn" in line or "weed" in line
    ]
    assert all(said.startswith("refused") for said in found["kill"].values()), found["kill"]
    assert found["sockets"] == {path: said for path, said in found["sockets"].items() if "refused" in said}


def test_a_job_does_not_learn_the_environment_of_the_server(found):
    text = "\0".join(found["environments"])
    assert "PATH=" in text
    for name in ("CLARY_OBJECTS_SECRET_KEY", "CLARY_STORE_URL", "PYTEST_", "OF_THE_SHELL"):
        assert f"{name}" not in text


def test_a_job_has_no_rights_and_cannot_gain_any(found):
    assert set(found["capabilities"]) == {"0" * 16}
    assert found["no_new_privs"] == ["1"]
    assert found["mount"] == -1
    if os.geteuid() == 0:
        assert found["uid"] != 0


def test_a_jobs_token_opens_its_own_credentials_and_nothing_else(found):
    assert found["own"] == 200
    assert found["without"] in {401, 403}
    assert found["other"] in {401, 403}
    assert found["report"] in {401, 403, 404}
    assert all(status in {400, 403, 404} for status in found["internal"])


def test_nothing_of_the_platform_that_listens_answers_a_job_that_has_no_key(found):
    assert found["targets"]["ports"]
    assert found["ports"] == {}


def test_the_object_stores_inner_calls_need_its_own_certificate(clary_server):
    ports = json.loads((clary_server.data_dir / "objects.json").read_text())["ports"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    for name in ("master", "volume", "filer"):
        heard = b""
        with (
            contextlib.suppress(ssl.SSLError, ConnectionError),
            socket.create_connection(("127.0.0.1", ports[name] + GRPC_OFFSET), 10) as plain,
            context.wrap_socket(plain) as wrapped,
        ):
            wrapped.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000"))
            heard = wrapped.recv(4096)  # a server that took us in would send its SETTINGS
        assert heard == b"", name


KEYS = """
import json, os, sys, boto3
session = boto3.session.Session()
keys = session.get_credentials().get_frozen_credentials()
s3 = session.client("s3")
found = {"keys": [keys.access_key, keys.secret_key, keys.token]}
found["caller"] = session.client("sts").get_caller_identity()["Arn"]
s3.put_object(Bucket=sys.argv[2], Key="from-the-job", Body=b"x")
found["buckets"] = [each["Name"] for each in s3.list_buckets()["Buckets"]]
try:
    s3.list_objects_v2(Bucket=sys.argv[4])
    found["other"] = "listed"
except Exception as error:
    found["other"] = str(error)
json.dump(found, open("/opt/ml/model/findings.json", "w"))
"""


def test_a_jobs_keys_open_its_accounts_buckets_and_end_with_the_job(clary_server):
    account, other = clary_server.account(), clary_server.account()
    bucket, others = new_bucket(account), new_bucket(other)
    job = ScriptJob.create(account, KEYS, bucket=bucket, hyperparameters={"bucket": bucket, "others": others})
    found = job.findings()
    assert found["caller"].startswith(f"arn:aws:sts::{account.account_id}:assumed-role/")
    assert found["buckets"] == [bucket]
    assert "AccessDenied" in found["other"]
    assert account.client("s3").get_object(Bucket=bucket, Key="from-the-job")["Body"].read() == b"x"
    key, secret, token = found["keys"]
    assert key.startswith("ASIA")
    keys = {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_session_token": token}
    reads: tuple[Callable[[], Any], ...] = (
        lambda: account.client("s3", **keys).get_object(Bucket=bucket, Key="from-the-job"),
        lambda: account.client("sagemaker", **keys).list_training_jobs(),
    )
    for read in reads:
        with pytest.raises(ClientError) as error:
            read()
        assert error.value.response["Error"]["Code"] in {"InvalidAccessKeyId", "UnrecognizedClientException"}
