"""Channels: which objects of S3 a job reads under which names, and on which host.

s3://bucket/prefix ──resolve──▶ [Item] ──share──▶ this host's ──stage──▶ /opt/ml/input/data/<channel>/…
                                                            └─pipe.py──▶ /opt/ml/input/data/<channel>_<epoch>
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from clary.kernel.errors import CustomerError
from clary.toolkit.object_faults import MissingError
from clary.toolkit.objectcache import ObjectCache
from clary.toolkit.objects import Entry, Objects, split_uri

PIPE = "Pipe"
FILE = "File"
FAST_FILE = "FastFile"
"""Files appear as in `File`: without a file system of ours they cannot be fetched lazily, so they are fetched
before the start. What a program reads is the same."""

MANIFEST_LIMIT_BYTES = 256 << 20
"""Longest manifest that is read."""


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One member of `InputDataConfig`. Source: API reference, shape Channel."""

    name: str
    uri: str
    data_type: str = "S3Prefix"
    distribution: str = "FullyReplicated"
    input_mode: str = FILE
    content_type: str = ""
    compression: str = "None"
    record_wrapper: str = "None"
    seed: int | None = None
    """Of `ShuffleConfig`; None keeps the order."""
    attributes: tuple[str, ...] = ()
    """Of an augmented manifest, in the order in which they are interleaved."""
    instance_groups: tuple[str, ...] = ()
    """Groups whose hosts get the channel; empty means all."""

    @classmethod
    def from_request(cls, document: Mapping[str, Any], default_mode: str = FILE) -> "Channel":
        """Read one channel of a CreateTrainingJob request.

        Raises
        ------
        CustomerError
            Its data is not in S3.
        """
        name = document["ChannelName"]
        source = document.get("DataSource", {}).get("S3DataSource")
        if source is None:
            raise CustomerError(
                f'Channel "{name}" has no S3DataSource; file systems (EFS, FSx) are not served: use S3.'
            )
        return cls(
            name=name,
            uri=source["S3Uri"],
            data_type=source.get("S3DataType") or "S3Prefix",
            distribution=source.get("S3DataDistributionType") or "FullyReplicated",
            input_mode=document.get("InputMode") or default_mode or FILE,
            content_type=document.get("ContentType") or "",
            compression=document.get("CompressionType") or "None",
            record_wrapper=document.get("RecordWrapperType") or "None",
            seed=(document.get("ShuffleConfig") or {}).get("Seed"),
            attributes=tuple(source.get("AttributeNames") or ()),
            instance_groups=tuple(source.get("InstanceGroupNames") or ()),
        )

    @property
    def is_pipe(self) -> bool:
        """The program reads it from FIFOs."""
        return self.input_mode == PIPE


@dataclass(frozen=True, slots=True)
class Item:
    """One part of a channel: an object, or a value that stands in an augmented manifest."""

    name: str
    """Where it goes below the channel's folder."""
    entry: Entry | None = None
    values: tuple["Entry | bytes", ...] = ()
    """Of one line of an augmented manifest."""


@dataclass(frozen=True)
class Share:
    """What one host reads of a channel."""

    channel: Channel
    items: tuple[Item, ...]
    hosts: tuple[str, ...]
    host: str

    def of_epoch(self, epoch: int) -> list[Item]:
        """Return this host's items in the order of `epoch`.

        Notes
        -----
        With a seed every epoch has an order of its own, and with `ShardedByS3Key` other hosts get other items
        than in the epoch before. Source: API reference, ShuffleConfig.
        """
        items = list(self.items)
        if self.channel.seed is not None:
            Random(f"{self.channel.seed}:{epoch}").shuffle(items)  # noqa: S311 - an order, not a secret
        if self.channel.distribution != "ShardedByS3Key":
            return items
        return items[self.hosts.index(self.host) :: len(self.hosts)]


def resolve(channel: Channel, objects: Objects) -> tuple[Item, ...]:
    """Return everything the channel holds, in key or manifest order.

    Raises
    ------
    CustomerError
        It holds nothing, or its manifest is wrong; the text names the channel and the URI.
    """
    match channel.data_type:
        case "S3Prefix":
            items = tuple(_by_prefix(channel, objects))
        case "ManifestFile":
            items = tuple(_by_manifest(channel, objects))
        case "AugmentedManifestFile":
            items = tuple(_by_augmented_manifest(channel, objects))
        case other:
            raise CustomerError(
                f'Channel "{channel.name}" has S3DataType "{other}"; '
                "it must be S3Prefix, ManifestFile or AugmentedManifestFile."
            )
    if not items:
        raise CustomerError(_nothing_found(channel, objects.region))
    return items


def _nothing_found(channel: Channel, region: str) -> str:
    """Source: the service's own FailureReason."""
    bucket, _ = split_uri(channel.uri)
    return (
        f'No S3 objects found under S3 URL "{channel.uri}" given in input data source (channel '
        f'"{channel.name}"). Please ensure that the bucket exists in the selected region ({region}), that '
        f'objects exist under that S3 prefix, and that the role has "s3:ListBucket" permissions on bucket '
        f'"{bucket}".'
    )


def _by_prefix(channel: Channel, objects: Objects) -> Iterator[Item]:
    _, prefix = split_uri(channel.uri)
    try:
        for entry in objects.list(channel.uri):
            if not entry.key.endswith("/"):
                yield Item(safe_name(local_name(prefix, entry.key), channel), entry)
    except MissingError as error:
        raise CustomerError(f"{_nothing_found(channel, objects.region)} {error}") from error


def local_name(prefix: str, key: str) -> str:
    """Return where `key`, found under `prefix`, goes below the channel's folder.

    Examples
    --------
    >>> local_name("data/train/", "data/train/a/b.csv")
    'a/b.csv'
    >>> local_name("data/train", "data/train/a/b.csv")
    'a/b.csv'
    >>> local_name("data/train.csv", "data/train.csv")
    'train.csv'
    >>> local_name("data/tr", "data/train/b.csv")
    'train/b.csv'
    """
    if key.startswith(prefix.rstrip("/") + "/") and key != prefix:
        return key[len(prefix.rstrip("/")) + 1 :]
    return key[prefix.rfind("/") + 1 :]


def safe_name(name: str, channel: Channel) -> str:
    """Return `name` without empty parts.

    Raises
    ------
    CustomerError
        It leads out of the channel's folder.
    """
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts or "\0" in name or not parts:
        raise CustomerError(f'Channel "{channel.name}" has the key "{name}", which is no name of a file.')
    return "/".join(parts)


def _by_manifest(channel: Channel, objects: Objects) -> Iterator[Item]:
    where = f'The manifest {channel.uri} of channel "{channel.name}"'
    try:
        document = json.loads(objects.read(channel.uri, limit_bytes=MANIFEST_LIMIT_BYTES))
    except ValueError as error:
        raise CustomerError(f"{where} is not JSON: {error}") from error
    first = document[0] if isinstance(document, list) and document else None
    prefix = first.get("prefix") if isinstance(first, dict) else None
    if not isinstance(prefix, str):
        raise CustomerError(f'{where} must be a list that begins with {{"prefix": "s3://bucket/folder/"}}')
    for name in document[1:]:
        if not isinstance(name, str):
            raise CustomerError(f"{where} must list names of objects, not {name!r}")
        bucket, key = split_uri(prefix + name)
        yield Item(safe_name(name, channel), Entry(bucket, key))


def _by_augmented_manifest(channel: Channel, objects: Objects) -> Iterator[Item]:
    where = f'The augmented manifest {channel.uri} of channel "{channel.name}"'
    if not channel.attributes:
        raise CustomerError(f'Channel "{channel.name}" reads an augmented manifest and needs AttributeNames.')
    if not channel.is_pipe:
        raise CustomerError(
            f'Channel "{channel.name}" reads an augmented manifest, which needs InputMode Pipe.'
        )
    text = objects.read(channel.uri, limit_bytes=MANIFEST_LIMIT_BYTES)
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            values = tuple(_attribute(name, record[name]) for name in channel.attributes)
        except (ValueError, TypeError) as error:
            raise CustomerError(f"{where} is not JSON in line {number}: {error}") from error
        except KeyError as error:
            raise CustomerError(f"{where} lacks the attribute {error} in line {number}") from error
        yield Item(str(number), None, values)


def _attribute(name: str, value: Any) -> Entry | bytes:
    """Return what an attribute stands for: the object that a `-ref` names, else its own text."""
    if name.endswith("-ref") and isinstance(value, str):
        return Entry(*split_uri(value))
    return (value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))).encode()


def shares(
    channels: Sequence[Channel],
    objects: Objects,
    host: str,
    hosts: Sequence[str],
    groups: Mapping[str, Sequence[str]] | None = None,
) -> list[Share]:
    """Resolve all channels, several at once; leave out those that are not for this host.

    Parameters
    ----------
    groups : mapping, optional
        Hosts of each instance group.
    """

    def one(channel: Channel) -> Share | None:
        within = [h for h in hosts if _gets(channel, h, groups or {})]
        return Share(channel, resolve(channel, objects), tuple(within), host) if host in within else None

    if len(channels) < 2:
        found = [one(channel) for channel in channels]
    else:
        with ThreadPoolExecutor(min(8, len(channels)), "channel") as pool:
            found = list(pool.map(one, channels))
    return [share for share in found if share is not None]


def _gets(channel: Channel, host: str, groups: Mapping[str, Sequence[str]]) -> bool:
    return not channel.instance_groups or any(
        host in groups.get(name, ()) for name in channel.instance_groups
    )


def stage(parts: Sequence[Share], objects: Objects, folder: Path, cache: ObjectCache | None = None) -> int:
    """Bring the File and FastFile channels below `folder`, with their manifests; return the bytes."""
    wanted = []
    for share in parts:
        if share.channel.is_pipe:
            continue
        home = folder / share.channel.name
        home.mkdir(parents=True, exist_ok=True)
        items = share.of_epoch(0) if share.channel.seed is None else _in_order(share)
        wanted += [(item.entry, home / item.name) for item in items if item.entry is not None]
        entries = [item.entry for item in items if item.entry is not None]
        buckets = [entry.bucket for entry in entries] or [split_uri(share.channel.uri)[0]]
        manifest = [{"prefix": f"s3://{buckets[0]}/"}, *[entry.key for entry in entries]]
        (folder / f"{share.channel.name}-manifest").write_text(json.dumps(manifest))
    return objects.fetch(wanted) if cache is None else cache.fetch(objects, wanted)


def _in_order(share: Share) -> list[Item]:
    """Return this host's items of the first epoch, in the channel's order: files have none of their own."""
    mine = set(share.of_epoch(0))
    return [item for item in share.items if item in mine]
