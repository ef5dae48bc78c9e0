"""The embedded object store, really started: reached by boto3, safe against SIGKILL, closed to others."""

import json
import os
import signal
import time
from pathlib import Path

import boto3
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError

from clary.cli.supervisor import state


@pytest.fixture(scope="module")
def clary(tmp_path_factory, clary_on):
    made = clary_on(tmp_path_factory.mktemp("objects") / "data")
    made.start("objects web")
    yield made
    made("down")
    made.foreground.communicate()


@pytest.fixture
def document(clary):
    return json.loads((clary.data_dir / "objects.json").read_text())


def s3(document, attempts=1, **changes):
    return boto3.client(
        "s3",
        endpoint_url=document["endpoint"],
        region_name=document["region"],
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
        **{
            "aws_access_key_id": document["access_key"],
            "aws_secret_access_key": document["secret_key"],
            **changes,
        },
    )


def test_it_answers_the_admin_identity_the_moment_it_is_ready(document):
    client = s3(document)
    client.create_bucket(Bucket="first")
    client.put_object(Bucket="first", Key="a/b", Body=b"x" * 1000)
    assert client.get_object(Bucket="first", Key="a/b")["Body"].read() == b"x" * 1000


def test_another_secret_is_refused(document):
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        s3(document, aws_secret_access_key="wrong").list_buckets()


@pytest.mark.parametrize(
    ("part", "path"),
    [("filer", "/"), ("filer", "/buckets/"), ("master", "/cluster/status"), ("volume", "/1,0a")],
)
def test_its_inner_ports_give_nobody_objects(document, part, path):
    patience = urllib3.Retry(total=5, backoff_factor=0.2)  # they open after the S3 port
    url = f"http://127.0.0.1:{document['ports'][part]}{path}"
    answer = urllib3.request("GET", url, timeout=5, retries=patience)
    assert answer.status in {401, 403, 404} or b"first" not in answer.data


def test_every_socket_is_on_loopback(clary):
    pid = clary.process("objects").pid
    inodes = set()
    for each in os.scandir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.readlink(each.path))
        except OSError:
            continue
    listening = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in Path(table).read_text().splitlines()[1:]:
            fields = row.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                listening.append(fields[1].partition(":")[0])
    assert len(listening) >= 5
    assert set(listening) == {"0100007F"}


def test_what_it_acknowledged_survives_sigkill_at_the_same_address(clary, document):
    client = s3(document)
    client.create_bucket(Bucket="durable")
    for n in range(20):
        client.put_object(Bucket="durable", Key=str(n), Body=str(n).encode())
    before = clary.process("objects")
    os.kill(before.pid, signal.SIGKILL)
    began = time.monotonic()
    clary.wait(lambda r: any(p.pid not in {0, before.pid} and p.phase == "ready" for p in r.processes[:1]))
    assert time.monotonic() - began < 15
    assert json.loads((clary.data_dir / "objects.json").read_text()) == document
    patient = s3(document, attempts=6)  # as every client: volumes register a moment later
    assert [patient.get_object(Bucket="durable", Key=str(n))["Body"].read() for n in range(20)] == [
        str(n).encode() for n in range(20)
    ]


def test_objects_survive_a_stop_and_other_ports(clary, document):
    s3(document).create_bucket(Bucket="kept")
    s3(document).put_object(Bucket="kept", Key="k", Body=b"v")
    clary.foreground.send_signal(signal.SIGTERM)
    clary.foreground.communicate(timeout=30)
    path = clary.data_dir / "objects.json"
    path.write_text(json.dumps(document | {"ports": {}}))
    clary.start("objects web")
    moved = json.loads(path.read_text())
    assert moved["ports"]
    assert s3(moved).get_object(Bucket="kept", Key="k")["Body"].read() == b"v"
    assert state.expect_running(clary.data_dir).is_ready


def test_an_s3_given_by_url_is_used_and_checked_before_the_start(clary, clary_on, tmp_path):
    used = json.loads((clary.data_dir / "objects.json").read_text())
    given = {"CLARY_OBJECTS_URL": used["endpoint"], "CLARY_OBJECTS_ACCESS_KEY": used["access_key"]}
    other = clary_on(tmp_path / "other")
    refused = other("up", "-d", "--port", "0", toys="web", **given, CLARY_OBJECTS_SECRET_KEY="wrong")
    assert refused.returncode == 1
    assert "the S3 of CLARY_OBJECTS_URL does not work" in refused.stderr
    assert "403 SignatureDoesNotMatch" in refused.stderr
    works = other("up", "-d", "--port", "0", toys="web", **given, CLARY_OBJECTS_SECRET_KEY=used["secret_key"])
    assert works.returncode == 0
    assert not (other.data_dir / "objects.json").exists()
    assert other("down").returncode == 0
