"""Channels: which objects go where, and to whom."""

import json
from pathlib import Path

import pytest

from clary.kernel.errors import CustomerError
from clary.testing.s3 import MemoryS3
from clary.toolkit import channels
from clary.toolkit.channels import Channel, Share
from clary.toolkit.objects import Entry, Objects

HOSTS = ("algo-1", "algo-2", "algo-3")


def document(**source: object) -> dict[str, object]:
    return {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/p", **source}}}


def fill(s3: MemoryS3, *keys: str) -> None:
    for key in keys:
        s3.put(f"s3://b/{key}", key.encode())


def staged(
    s3: MemoryS3, objects: Objects, folder: Path, channel: Channel, host: str = "algo-1"
) -> dict[str, str]:
    parts = channels.shares([channel], objects, host, HOSTS)
    channels.stage(parts, objects, folder)
    root = folder / channel.name
    return {str(p.relative_to(root)): p.read_text() for p in sorted(root.rglob("*")) if p.is_file()}


def test_a_channel_has_the_services_defaults() -> None:
    channel = Channel.from_request(document(), "Pipe")
    assert (channel.data_type, channel.distribution) == ("S3Prefix", "FullyReplicated")
    assert (channel.compression, channel.record_wrapper, channel.seed) == ("None", "None", None)
    assert channel.is_pipe
    own = {**document(), "InputMode": "File", "ShuffleConfig": {"Seed": 7}, "CompressionType": "Gzip"}
    channel = Channel.from_request(own, "Pipe")
    assert (channel.input_mode, channel.seed, channel.compression) == ("File", 7, "Gzip")


def test_a_file_system_is_refused() -> None:
    request = {"ChannelName": "train", "DataSource": {"FileSystemDataSource": {}}}
    with pytest.raises(CustomerError, match='"train"'):
        Channel.from_request(request)


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("s3://b/data/train", ["a.csv", "sub/b.csv"]),
        ("s3://b/data/train/", ["a.csv", "sub/b.csv"]),
        ("s3://b/data/train/a.csv", ["a.csv"]),
        ("s3://b/data/tr", ["train/a.csv", "train/sub/b.csv", "trial.csv"]),
        ("s3://b/data/train/sub/b", ["b.csv"]),
        ("s3://b", ["data/train/a.csv", "data/train/sub/b.csv", "data/trial.csv"]),
    ],
)
@pytest.mark.parametrize("mode", ["File", "FastFile"])
def test_what_a_prefix_matches_keeps_its_path(
    s3: MemoryS3, objects: Objects, tmp_path: Path, uri: str, names: list[str], mode: str
) -> None:
    fill(s3, "data/train/", "data/train/a.csv", "data/train/sub/b.csv", "data/trial.csv")
    channel = Channel(name="train", uri=uri, input_mode=mode)
    assert list(staged(s3, objects, tmp_path, channel)) == names
    manifest = json.loads((tmp_path / "train-manifest").read_text())
    assert manifest[0] == {"prefix": "s3://b/"}
    assert all(key.endswith(name) for key, name in zip(manifest[1:], names, strict=True))
    assert all(key in s3.keys("s3://b/") for key in manifest[1:])


@pytest.mark.parametrize("key", ["p/../../etc/passwd", "p/a/../../../x"])
def test_a_key_that_leads_out_is_refused(s3: MemoryS3, objects: Objects, key: str, tmp_path: Path) -> None:
    fill(s3, key)
    with pytest.raises(CustomerError, match='"train"'):
        staged(s3, objects, tmp_path, Channel(name="train", uri="s3://b/p"))


@pytest.mark.parametrize("uri", ["s3://b/none", "s3://nobucket/x", "s3://b/folder/"])
def test_an_empty_channel_names_itself_and_its_uri(s3: MemoryS3, objects: Objects, uri: str) -> None:
    fill(s3, "folder/")
    with pytest.raises(CustomerError) as refusal:
        channels.resolve(Channel(name="validation", uri=uri), objects)
    assert f'No S3 objects found under S3 URL "{uri}" given in input data source' in str(refusal.value)
    assert "validation" in str(refusal.value)


def test_sharded_keys_are_dealt_out_completely(s3: MemoryS3, objects: Objects, tmp_path: Path) -> None:
    fill(s3, *[f"p/{n}" for n in range(7)])
    channel = Channel(name="train", uri="s3://b/p/", distribution="ShardedByS3Key")
    dealt = [list(staged(s3, objects, tmp_path / host, channel, host)) for host in HOSTS]
    assert dealt == [["0", "3", "6"], ["1", "4"], ["2", "5"]]


def test_a_channel_of_a_group_goes_to_its_hosts_only(s3: MemoryS3, objects: Objects) -> None:
    fill(s3, "p/0", "p/1")
    channel = Channel(name="train", uri="s3://b/p/", distribution="ShardedByS3Key", instance_groups=("fit",))
    groups = {"data": ["algo-1"], "fit": ["algo-2", "algo-3"]}
    assert channels.shares([channel], objects, "algo-1", HOSTS, groups) == []
    (share,) = channels.shares([channel], objects, "algo-3", HOSTS, groups)
    assert [item.name for item in share.of_epoch(0)] == ["1"]


def test_a_manifest_lists_its_objects(s3: MemoryS3, objects: Objects, tmp_path: Path) -> None:
    fill(s3, "x/matrix_0.pbr", "x/deep/matrix_1.pbr", "x/other")
    manifest = [{"prefix": "s3://b/x/"}, "matrix_0.pbr", "deep/matrix_1.pbr"]
    s3.put("s3://b/m/.amazon.manifest", json.dumps(manifest).encode())
    channel = Channel(name="train", uri="s3://b/m/.amazon.manifest", data_type="ManifestFile")
    found = staged(s3, objects, tmp_path, channel)
    assert found == {"deep/matrix_1.pbr": "x/deep/matrix_1.pbr", "matrix_0.pbr": "x/matrix_0.pbr"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no json", "is not JSON"),
        ('["a"]', "must be a list that begins"),
        ("[]", "must be a list that begins"),
        ('{"prefix": "s3://b/"}', "must be a list that begins"),
        ('[{"prefix": "s3://b/"}, 5]', "must list names of objects"),
        ('[{"prefix": "s3://b/x/"}, "../../evil"]', "no name of a file"),
        ('[{"prefix": "s3://b/x/"}]', "No S3 objects found"),
    ],
)
def test_a_wrong_manifest_is_explained(s3: MemoryS3, objects: Objects, text: str, says: str) -> None:
    s3.put("s3://b/m", text.encode())
    with pytest.raises(CustomerError, match=says) as refusal:
        channels.resolve(Channel(name="train", uri="s3://b/m", data_type="ManifestFile"), objects)
    assert '"train"' in str(refusal.value)


def test_a_missing_object_of_a_manifest_is_named(s3: MemoryS3, objects: Objects, tmp_path: Path) -> None:
    s3.put("s3://b/m", b'[{"prefix": "s3://b/x/"}, "none"]')
    channel = Channel(name="train", uri="s3://b/m", data_type="ManifestFile")
    with pytest.raises(CustomerError, match="s3://b/x/none"):
        staged(s3, objects, tmp_path, channel)


def test_an_augmented_manifest_interleaves_its_attributes(s3: MemoryS3, objects: Objects) -> None:
    lines = [
        {"image-ref": "s3://b/i/1.jpg", "label": 3, "meta": {"a": 1}},
        {"image-ref": "s3://b/i/2.jpg", "label": "cat"},
    ]
    s3.put("s3://b/m", "\n".join(map(json.dumps, lines)).encode() + b"\n\n")
    channel = Channel(
        name="train",
        uri="s3://b/m",
        data_type="AugmentedManifestFile",
        input_mode="Pipe",
        attributes=("image-ref", "label"),
    )
    found = [item.values for item in channels.resolve(channel, objects)]
    assert found == [(Entry("b", "i/1.jpg"), b"3"), (Entry("b", "i/2.jpg"), b"cat")]


@pytest.mark.parametrize(
    ("mode", "attributes", "text", "says"),
    [
        ("Pipe", (), "{}", "needs AttributeNames"),
        ("File", ("a",), "{}", "needs InputMode Pipe"),
        ("Pipe", ("a",), '{"a": 1}\n{"b": 2}', "lacks the attribute 'a' in line 2"),
        ("Pipe", ("a",), "{", "is not JSON in line 1"),
    ],
)
def test_a_wrong_augmented_manifest_is_explained(
    s3: MemoryS3, objects: Objects, mode: str, attributes: tuple[str, ...], text: str, says: str
) -> None:
    s3.put("s3://b/m", text.encode())
    channel = Channel(
        name="train",
        uri="s3://b/m",
        data_type="AugmentedManifestFile",
        input_mode=mode,
        attributes=attributes,
    )
    with pytest.raises(CustomerError, match=says):
        channels.resolve(channel, objects)


def items(n: int) -> tuple[channels.Item, ...]:
    return tuple(channels.Item(str(k), Entry("b", str(k))) for k in range(n))


def test_a_seed_gives_each_epoch_its_own_order() -> None:
    channel = Channel(name="train", uri="s3://b/p", seed=3)
    share = Share(channel, items(20), HOSTS, "algo-1")
    orders = [[item.name for item in share.of_epoch(epoch)] for epoch in range(3)]
    assert orders[0] != orders[1] != orders[2]
    assert orders[0] == [item.name for item in share.of_epoch(0)]
    assert set(orders[0]) == {str(n) for n in range(20)}


def test_shuffled_shards_are_still_dealt_out_completely() -> None:
    channel = Channel(name="train", uri="s3://b/p", seed=3, distribution="ShardedByS3Key")
    for epoch in range(3):
        dealt = [Share(channel, items(10), HOSTS, host).of_epoch(epoch) for host in HOSTS]
        assert sorted(item.name for part in dealt for item in part) == sorted(map(str, range(10)))
