"""Pipe mode: real FIFOs, one for each epoch."""

import gzip
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.kernel.errors import CustomerError
from clary.testing.s3 import MemoryS3
from clary.toolkit import channels, pipe, recordio
from clary.toolkit.channels import Channel
from clary.toolkit.objects import Objects
from clary.toolkit.pipe import Feeder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path


def feeder(data: Path, *epochs: bytes) -> Feeder:
    def epoch(number: int) -> Iterator[bytes]:
        yield epochs[number % len(epochs)]

    made = Feeder(data, "train", epoch)
    made.start()
    return made


def test_each_epoch_has_a_fifo_of_its_own(data: Path) -> None:
    feed = feeder(data, b"zero", b"one")
    try:
        for epoch in range(5):
            path = data / f"train_{epoch}"
            assert path.is_fifo()
            assert path.read_bytes() == (b"one" if epoch % 2 else b"zero")
            assert (data / f"train_{epoch + 1}").is_fifo()  # before the reader asks for it
    finally:
        feed.stop()
    assert list(data.iterdir()) == []
    assert feed.error is None


def test_a_reader_that_stops_early_gets_the_next_epoch(data: Path) -> None:
    feed = feeder(data, b"x" * (1 << 22))
    try:
        for epoch in range(3):
            with (data / f"train_{epoch}").open("rb") as fifo:
                assert fifo.read(10) == b"x" * 10
    finally:
        feed.stop()


def test_it_stops_while_it_waits_for_a_reader(data: Path) -> None:
    feed = feeder(data, b"x")
    feed.stop()
    assert not any(thread.name == "pipe-train" for thread in threading.enumerate())
    assert list(data.iterdir()) == []


def test_it_stops_in_the_middle_of_an_epoch(data: Path) -> None:
    feed = feeder(data, b"x" * (1 << 22))
    descriptor = os.open(data / "train_0", os.O_RDONLY)
    assert os.read(descriptor, 1) == b"x"
    os.close(descriptor)
    feed.stop()
    assert list(data.iterdir()) == []


def test_a_fault_ends_the_epoch_and_is_kept(data: Path) -> None:
    def epoch(number: int) -> Iterator[bytes]:
        yield b"begin"
        raise CustomerError("gone")

    feed = Feeder(data, "train", epoch)
    feed.start()
    assert (data / "train_0").read_bytes() == b"begin"
    feed.stop()
    assert str(feed.error) == "gone"


def content(s3: MemoryS3, objects: Objects, epoch: int = 0, **members: object) -> bytes:
    channel = Channel(name="train", uri="s3://b/p/", input_mode="Pipe", **members)  # type: ignore[arg-type]
    (share,) = channels.shares([channel], objects, "algo-1", ("algo-1",))
    return b"".join(pipe.content(share, objects, epoch))


def test_objects_follow_one_another(s3: MemoryS3, objects: Objects) -> None:
    s3.put("s3://b/p/1", b"one\n")
    s3.put("s3://b/p/2", b"two\n")
    assert content(s3, objects) == b"one\ntwo\n"


def test_each_object_becomes_a_record(s3: MemoryS3, objects: Objects) -> None:
    s3.put("s3://b/p/1", b"one")
    packed = gzip.compress(b"not inflated")
    s3.put("s3://b/p/2", packed)
    framed = io.BytesIO(content(s3, objects, record_wrapper="RecordIO"))
    assert list(recordio.records(framed)) == [b"one", packed]


def test_gzip_is_inflated_with_all_its_members(s3: MemoryS3, objects: Objects) -> None:
    large = os.urandom(3_000_000)
    s3.put("s3://b/p/1", gzip.compress(b"a") + gzip.compress(b"b"))
    s3.put("s3://b/p/2", gzip.compress(large))
    assert content(s3, objects, compression="Gzip") == b"ab" + large


def test_inflated_objects_become_records(s3: MemoryS3, objects: Objects) -> None:
    s3.put("s3://b/p/1", gzip.compress(b"one"))
    framed = io.BytesIO(content(s3, objects, compression="Gzip", record_wrapper="RecordIO"))
    assert list(recordio.records(framed)) == [b"one"]


@pytest.mark.parametrize("body", [b"plain", gzip.compress(b"x" * 1000, mtime=0)[:-12]])
def test_what_is_no_gzip_is_named(s3: MemoryS3, objects: Objects, body: bytes) -> None:
    s3.put("s3://b/p/1", body)
    with pytest.raises(CustomerError, match="s3://b/p/1"):
        content(s3, objects, compression="Gzip")


def test_an_augmented_manifest_is_a_stream_of_records(s3: MemoryS3, objects: Objects) -> None:
    s3.put("s3://b/i/1", b"image one")
    s3.put("s3://b/m", b'{"image-ref": "s3://b/i/1", "label": 7}\n')
    channel = Channel(
        name="train",
        uri="s3://b/m",
        data_type="AugmentedManifestFile",
        input_mode="Pipe",
        attributes=("image-ref", "label"),
        record_wrapper="RecordIO",
    )
    (share,) = channels.shares([channel], objects, "algo-1", ("algo-1",))
    framed = io.BytesIO(b"".join(pipe.content(share, objects, 0)))
    assert list(recordio.records(framed)) == [b"image one", b"7"]


def test_a_shuffled_channel_has_another_order_in_each_epoch(s3: MemoryS3, objects: Objects) -> None:
    for n in range(10):
        s3.put(f"s3://b/p/{n}", str(n).encode())
    orders = {content(s3, objects, epoch, seed=1) for epoch in range(4)}
    assert len(orders) == 4
    assert {bytes(sorted(order)) for order in orders} == {b"0123456789"}
