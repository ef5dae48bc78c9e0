"""`clary backup`, `restore` and `migrate` as a person uses them."""

import itertools
import os
import subprocess
import sys
import threading

import pytest
from botocore.exceptions import ClientError

from clary.testing.server import ClaryServer

pytestmark = pytest.mark.slow
ABOUT = {
    "ContentType": "text/x-a",
    "ContentLanguage": "de",
    "ContentDisposition": "attachment",
    "CacheControl": "max-age=3",
    "Metadata": {"m": "1"},
}


def clary(*arguments, data_dir, **environ):
    given = [
        sys.executable,
        "-m",
        "clary.cli.main",
        arguments[0],
        "--data-dir",
        str(data_dir),
        *arguments[1:],
    ]
    environ = {f"CLARY_{name.upper()}": value for name, value in environ.items()}
    return subprocess.run(given, check=False, capture_output=True, text=True, env=os.environ | environ)


def use(folder):
    """Return a server that was used, still running, and its account."""
    server = ClaryServer.start(folder)
    account = server.account("team")
    s3, sagemaker = account.client("s3"), account.client("sagemaker")
    s3.create_bucket(Bucket="kept-bucket")
    for key in ("a/b.txt", "sp ace/ü.txt"):
        s3.put_object(Bucket="kept-bucket", Key=key, Body=key.encode(), **ABOUT, Tagging="k=v&z=a%20b")
    s3.put_object(Bucket="kept-bucket", Key="sp ace/ü~.txt", Body=b"no tags", **ABOUT)
    s3.put_object(Bucket="kept-bucket", Key="empty/", Body=b"")
    s3.create_bucket(Bucket="versioned-bucket")
    s3.put_bucket_versioning(Bucket="versioned-bucket", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="kept-bucket", Key="big", Body=bytes(range(256)) * 80_000)
    sagemaker.create_experiment(ExperimentName="kept", Tags=[{"Key": "k", "Value": "v"}])
    return server, account


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    server, account = use(tmp_path_factory.mktemp("backup") / "used")
    yield server, account
    server.stop()


@pytest.fixture
def moving(tmp_path):
    server, account = use(tmp_path / "moving")
    yield server, account
    server.stop()


def check(server, account):
    """See everything in another server with the same keys."""
    there = server.account("team")
    assert there.secret_access_key == account.secret_access_key
    s3 = there.client("s3")
    assert s3.get_object(Bucket="kept-bucket", Key="big")["Body"].read() == bytes(range(256)) * 80_000
    answer = s3.get_object(Bucket="kept-bucket", Key="sp ace/ü.txt")
    assert answer["Body"].read() == "sp ace/ü.txt".encode()
    assert {name: answer[name] for name in ABOUT} == ABOUT
    answer = s3.get_object(Bucket="kept-bucket", Key="sp ace/ü~.txt")
    assert answer["Body"].read() == b"no tags"
    assert {name: answer[name] for name in ABOUT} == ABOUT
    assert s3.get_object(Bucket="kept-bucket", Key="empty/")["ContentLength"] == 0
    tags = s3.get_object_tagging(Bucket="kept-bucket", Key="sp ace/ü.txt")["TagSet"]
    assert {each["Key"]: each["Value"] for each in tags} == {"k": "v", "z": "a b"}
    assert s3.get_bucket_versioning(Bucket="versioned-bucket")["Status"] == "Enabled"
    arn = there.client("sagemaker").describe_experiment(ExperimentName="kept")["ExperimentArn"]
    assert there.client("sagemaker").list_tags(ResourceArn=arn)["Tags"] == [{"Key": "k", "Value": "v"}]
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3.list_objects_v2(Bucket="never-there")


def test_a_backup_of_a_running_clary_stands_up_elsewhere(used, tmp_path):
    server, account = used
    file = tmp_path / "clary.tar"
    done = clary("backup", str(file), data_dir=server.data_dir)
    assert done.returncode == 0, done.stderr
    assert "5 objects" in done.stdout
    assert file.stat().st_mode & 0o777 == 0o600
    done = clary("restore", str(file), data_dir=tmp_path / "restored")
    assert done.returncode == 0, done.stderr
    authority = "certificates/ca.pem"  # what clients elsewhere trust
    assert (tmp_path / "restored" / authority).read_bytes() == (server.data_dir / authority).read_bytes()
    restored = ClaryServer.start(tmp_path / "restored")
    try:
        check(restored, account)
    finally:
        restored.stop()
    again = clary("restore", str(file), data_dir=tmp_path / "restored")
    assert (again.returncode, "holds a Clary already" in again.stderr) == (1, True)


def test_objects_that_come_and_go_meanwhile_do_no_harm(used, tmp_path):
    server, account = used
    s3 = account.client("s3")
    s3.create_bucket(Bucket="busy-bucket")
    is_over = threading.Event()

    def churn():
        for n in itertools.count():
            if is_over.is_set():
                break
            s3.put_object(Bucket="busy-bucket", Key=f"k{n % 60}", Body=b"x")
            s3.delete_object(Bucket="busy-bucket", Key=f"k{(n + 30) % 60}")

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(3):
            done = clary("backup", str(tmp_path / "b.tar"), data_dir=server.data_dir)
            assert done.returncode == 0, done.stderr
            done = clary("backup", str(tmp_path / "b.tar"), "--verify", data_dir=server.data_dir)
            assert done.returncode == 0, done.stderr
    finally:
        is_over.set()
        thread.join()


def test_a_store_moves_to_another_database(moving, tmp_path):
    server, account = moving
    url = f"sqlite:///{tmp_path / 'other.db'}"
    done = clary("migrate", "--to", url, data_dir=server.data_dir)
    assert "Clary is running on this data" in done.stderr
    server.stop()
    done = clary("migrate", "--to", url, data_dir=server.data_dir)
    assert done.returncode == 0, done.stderr
    moved = ClaryServer.start(server.data_dir, store_url=url)
    try:
        check(moved, account)
    finally:
        moved.stop()
