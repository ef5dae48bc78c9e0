"""Channels: what of S3 a job reads, under which names, in which mode."""

import gzip
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.testing.jobs import ScriptJob, channel, new_bucket

TREE = """
import json, os, pathlib
root = pathlib.Path("/opt/ml/input/data")
tree = {}
for path in sorted(root.rglob("*")):
    if path.is_file():
        tree[str(path.relative_to(root))] = path.read_text(errors="replace")
(pathlib.Path("/opt/ml/model") / f"{os.environ['SM_CURRENT_HOST']}.json").write_text(json.dumps(tree))
"""
PIPE = """
import json, os, pathlib, stat
root = pathlib.Path("/opt/ml/input/data")
found = {"kinds": {}, "epochs": {}}
for name in json.loads(os.environ["SM_CHANNELS"]):
    epochs = []
    for epoch in range(EPOCHS):
        path = root / f"{name}_{epoch}"
        found["kinds"][path.name] = stat.S_ISFIFO(path.stat().st_mode)
        epochs.append(path.read_bytes().hex())
    found["epochs"][name] = epochs
pathlib.Path("/opt/ml/model/findings.json").write_text(json.dumps(found))
"""
OBJECTS = {
    "data/a.csv": b"a\n",
    "data/deep/b.csv": b"b\n",
    "data/deep/er/c.csv": b"c\n",
    "database/d.csv": b"d\n",
    "empty": b"",
}
MAGIC = bytes.fromhex("0a23d7ce")


@pytest.fixture(scope="module")
def stored(clary_server):
    """Return an account and a bucket with the objects above."""
    account = clary_server.account()
    bucket = new_bucket(account)
    s3 = account.client("s3")
    for key, body in OBJECTS.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    names = [{"prefix": f"s3://{bucket}/data/"}, "deep/b.csv", "a.csv"]
    s3.put_object(Bucket=bucket, Key="list.manifest", Body=json.dumps(names).encode())
    s3.put_object(Bucket=bucket, Key="zip/1.gz", Body=gzip.compress(b"one\n"))
    s3.put_object(Bucket=bucket, Key="zip/2.gz", Body=gzip.compress(b"two\n"))
    for n in range(8):
        s3.put_object(Bucket=bucket, Key=f"many/{n}", Body=b"%d" % n)
    return account, bucket


def at(bucket: Any, name: Any, key: Any, **members: Any) -> Any:
    """Return a channel of a key or prefix."""
    made = channel(bucket, name, S3Uri=f"s3://{bucket}/{key}")
    made["DataSource"]["S3DataSource"] |= members.pop("source", {})
    return made | members


def test_prefixes_keys_manifests_and_fast_files_are_files_by_their_names(stored):
    account, bucket = stored
    job = ScriptJob.create(
        account,
        TREE,
        bucket=bucket,
        InputDataConfig=[
            at(bucket, "folder", "data/"),
            at(bucket, "word", "data"),
            at(bucket, "exact", "data/a.csv"),
            at(bucket, "list", "list.manifest", source={"S3DataType": "ManifestFile"}),
            at(bucket, "fast", "data/deep", InputMode="FastFile"),
            at(bucket, "empty", "empty"),
        ],
    )
    tree = json.loads(job.model()["algo-1.json"])
    manifests = {name: tree.pop(name) for name in list(tree) if name.endswith("-manifest")}
    assert tree == {
        "folder/a.csv": "a\n",
        "folder/deep/b.csv": "b\n",
        "folder/deep/er/c.csv": "c\n",
        "word/a.csv": "a\n",
        "word/deep/b.csv": "b\n",
        "word/deep/er/c.csv": "c\n",
        "word/database/d.csv": "d\n",
        "exact/a.csv": "a\n",
        "list/a.csv": "a\n",
        "list/deep/b.csv": "b\n",
        "fast/b.csv": "b\n",
        "fast/er/c.csv": "c\n",
        "empty/empty": "",
    }
    assert json.loads(manifests["folder-manifest"]) == [
        {"prefix": f"s3://{bucket}/"},
        "data/a.csv",
        "data/deep/b.csv",
        "data/deep/er/c.csv",
    ]


def test_two_hosts_share_a_channel_by_key_or_both_have_all_of_it(stored):
    account, bucket = stored
    job = ScriptJob.create(
        account,
        TREE,
        bucket=bucket,
        instances=2,
        InputDataConfig=[
            at(bucket, "all", "many/"),
            at(bucket, "part", "many/", source={"S3DataDistributionType": "ShardedByS3Key"}),
        ],
    )
    model = job.model()
    first, second = (json.loads(model[f"algo-{n}.json"]) for n in (1, 2))
    for tree in (first, second):
        assert {name for name in tree if name.startswith("all/")} == {f"all/{n}" for n in range(8)}
    parts = [{name for name in tree if name.startswith("part/")} for tree in (first, second)]
    assert parts[0] | parts[1] == {f"part/{n}" for n in range(8)}
    assert not parts[0] & parts[1]
    assert len(parts[0]) == len(parts[1]) == 4


def frames(body: Any) -> Any:
    """Split RecordIO into its records; pieces of one record are whole."""
    records = []
    while body:
        assert body[:4] == MAGIC
        length = int.from_bytes(body[4:8], "little") & ((1 << 29) - 1)
        records.append(body[8 : 8 + length])
        body = body[8 + length + (-length) % 4 :]
    return records


def test_pipes_give_each_epoch_a_fifo_of_its_own(stored):
    account, bucket = stored
    job = ScriptJob.create(
        account,
        PIPE.replace("EPOCHS", "3"),
        bucket=bucket,
        InputDataConfig=[
            at(bucket, "plain", "data/", InputMode="Pipe"),
            at(bucket, "zip", "zip/", InputMode="Pipe", CompressionType="Gzip"),
            at(bucket, "raw", "zip/", InputMode="Pipe"),
            at(bucket, "framed", "data/", InputMode="Pipe", RecordWrapperType="RecordIO"),
            at(
                bucket, "both", "zip/", InputMode="Pipe", CompressionType="Gzip", RecordWrapperType="RecordIO"
            ),
            at(bucket, "mixed", "many/", InputMode="Pipe", ShuffleConfig={"Seed": 7}),
            at(bucket, "ordered", "many/", InputMode="Pipe"),
        ],
    )
    found = job.findings()
    assert set(found["kinds"].values()) == {True}
    epochs = {name: [bytes.fromhex(each) for each in every] for name, every in found["epochs"].items()}
    assert epochs["plain"] == [b"a\nb\nc\n"] * 3
    assert epochs["zip"] == [b"one\ntwo\n"] * 3
    assert [gzip.decompress(each) for each in epochs["raw"]] == [b"one\ntwo\n"] * 3
    assert frames(epochs["framed"][1]) == [b"a\n", b"b\n", b"c\n"]
    assert frames(epochs["both"][2]) == [b"one\n", b"two\n"]
    assert epochs["ordered"] == [b"01234567"] * 3
    assert all(sorted(each) == sorted(b"01234567") for each in epochs["mixed"])
    assert len(set(epochs["mixed"])) > 1
    assert any(each != b"01234567" for each in epochs["mixed"])
    again = ScriptJob.create(
        account,
        PIPE.replace("EPOCHS", "3"),
        bucket=bucket,
        InputDataConfig=[at(bucket, "mixed", "many/", InputMode="Pipe", ShuffleConfig={"Seed": 7})],
    )
    assert again.findings()["epochs"]["mixed"] == found["epochs"]["mixed"]


def test_a_pipe_that_the_program_leaves_unread_holds_nothing_up(stored):
    account, bucket = stored
    text = "import os; open('/opt/ml/input/data/data_0', 'rb').read(1); print('enough')"
    ScriptJob.create(
        account, text, bucket=bucket, InputDataConfig=[at(bucket, "data", "data/", InputMode="Pipe")]
    ).completed()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"key": "nowhere/"}, ("No S3 objects found", "s3://{bucket}/nowhere/", "train")),
        ({"key": "data/a.cs", "exact": True}, ()),
        (
            {"key": "gone.manifest", "source": {"S3DataType": "ManifestFile"}},
            ("gone.manifest",),
        ),
        (
            {"key": "data/a.csv", "source": {"S3DataType": "ManifestFile"}},
            ("data/a.csv", "is not JSON", "train"),
        ),
        ({"key": "bad.manifest", "source": {"S3DataType": "ManifestFile"}}, ("data/none.csv",)),
        ({"key": "up.manifest", "source": {"S3DataType": "ManifestFile"}}, ("../../x", "train")),
    ],
    ids=[
        "an-empty-prefix",
        "part-of-a-key",
        "no-manifest",
        "no-json",
        "a-missing-name",
        "a-name-that-climbs",
    ],
)
def test_a_channel_without_its_data_fails_the_job_in_words(stored, given, words):
    account, bucket = stored
    given = dict(given)
    s3 = account.client("s3")
    names = [{"prefix": f"s3://{bucket}/data/"}, "none.csv"]
    s3.put_object(Bucket=bucket, Key="bad.manifest", Body=json.dumps(names).encode())
    names = [{"prefix": f"s3://{bucket}/data/"}, "../../x"]
    s3.put_object(Bucket=bucket, Key="up.manifest", Body=json.dumps(names).encode())
    is_prefix = given.pop("exact", False)
    job = ScriptJob.create(
        account, TREE, bucket=bucket, InputDataConfig=[at(bucket, "train", given.pop("key"), **given)]
    )
    described = job.wait()
    if is_prefix:  # what is no key still is a prefix
        assert described["TrainingJobStatus"] == "Completed"
        return
    assert described["TrainingJobStatus"] == "Failed", (described, job.lines(), job.model())
    reason = described["FailureReason"]
    assert reason.startswith("ClientError:")
    for word in words:
        assert word.format(bucket=bucket) in reason
    assert "Traceback" not in reason


def test_a_bucket_that_is_not_there_fails_the_job_with_its_name(stored):
    account, bucket = stored
    missing = channel(bucket, "train", S3Uri="s3://no-such-bucket-anywhere/data/")
    described = ScriptJob.create(account, TREE, bucket=bucket, InputDataConfig=[missing]).wait()
    assert described["TrainingJobStatus"] == "Failed"
    assert "no-such-bucket-anywhere" in described["FailureReason"]


def test_a_file_system_is_refused_at_create(stored):
    account, bucket = stored
    source = {
        "FileSystemDataSource": {
            "FileSystemId": "fs-0123456789abcdef0",
            "FileSystemAccessMode": "ro",
            "FileSystemType": "EFS",
            "DirectoryPath": "/x",
        }
    }
    with pytest.raises(ClientError, match="FileSystemDataSource"):
        ScriptJob.create(
            account, TREE, bucket=bucket, InputDataConfig=[{"ChannelName": "train", "DataSource": source}]
        )
