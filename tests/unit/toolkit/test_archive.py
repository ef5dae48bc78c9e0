"""Archives: what goes in comes out, and what would reach outside does not."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from clary.kernel.errors import CustomerError
from clary.toolkit import archive


def tar_gz(*members: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for member, body in members:
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    file.seek(0)
    return file


def a_file(name: str, body: bytes = b"x", mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.mode = mode
    return member, body


def a_link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = target
    return member, b""


def unpack(source: io.BytesIO, folder: Path, **limits: int) -> int:
    return archive.unpack(source, folder, what="s3://b/model.tar.gz", **limits)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_what_is_packed_comes_out_again(tmp_path: Path) -> None:
    source = tmp_path / "model"
    (source / "sub/empty").mkdir(parents=True)
    (source / "model.bin").write_bytes(os.urandom(300_000))
    (source / "sub/run.sh").write_text("#!/bin/sh\n")
    (source / "sub/run.sh").chmod(0o755)
    (source / "latest").symlink_to("sub/run.sh")
    packed = io.BytesIO()
    assert archive.pack(packed, [source]) == []
    packed.seek(0)
    unpack(packed, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(source)
    assert os.access(tmp_path / "out/sub/run.sh", os.X_OK)
    assert (tmp_path / "out/latest").readlink() == Path("sub/run.sh")
    assert (tmp_path / "out/sub/empty").is_dir()


def test_equal_folders_give_equal_archives(tmp_path: Path) -> None:
    both = []
    for n in range(2):
        folder = tmp_path / str(n)
        for name in ("b", "a") if n else ("a", "b"):
            (folder / name).mkdir(parents=True)
            (folder / name / "f").write_text(name)
            os.utime(folder / name / "f", (n * 1000, n * 1000))
        packed = io.BytesIO()
        archive.pack(packed, [folder])
        both.append(packed.getvalue())
    assert both[0] == both[1]


def test_of_several_roots_the_first_wins(tmp_path: Path) -> None:
    for host in ("one", "two"):
        (tmp_path / host).mkdir()
        (tmp_path / host / "same").write_text(host)
        (tmp_path / host / f"only-{host}").write_text(host)
    packed = io.BytesIO()
    archive.pack(packed, [tmp_path / "one", tmp_path / "two"])
    packed.seek(0)
    unpack(packed, tmp_path / "out")
    assert tree(tmp_path / "out") == {"only-one": b"one", "only-two": b"two", "same": b"one"}


def test_links_out_of_the_folder_and_pipes_are_left_out(tmp_path: Path) -> None:
    source = tmp_path / "model"
    source.mkdir()
    (tmp_path / "secret").write_text("secret")
    (source / "absolute").symlink_to(tmp_path / "secret")
    (source / "upwards").symlink_to("../secret")
    (source / "folder").symlink_to(tmp_path)
    os.mkfifo(source / "pipe")
    (source / "inside").symlink_to("/opt/ml/model/weights")
    (source / "weights").write_text("w")
    packed = io.BytesIO()
    assert archive.pack(packed, [source], inside="/opt/ml/model") == ["absolute", "folder", "pipe", "upwards"]
    assert b"secret" not in gzip.decompress(packed.getvalue())
    packed.seek(0)
    unpack(packed, tmp_path / "out")
    assert (tmp_path / "out/inside").read_text() == "w"


@pytest.mark.parametrize(
    ("member", "says"),
    [
        (a_file("../evil"), "leads out"),
        (a_file("a/../../evil"), "leads out"),
        (a_file("/etc/evil"), "absolute"),
        (a_link("link", "/etc/passwd"), "outside the archive"),
        (a_link("link", "../../etc/passwd"), "outside the archive"),
        (a_link("hard", "../outside", tarfile.LNKTYPE), "leads out"),
        (a_link("hard", "/etc/passwd", tarfile.LNKTYPE), "absolute"),
        (a_link("hard", "missing", tarfile.LNKTYPE), "which it lacks"),
        (a_link("dev", "", tarfile.CHRTYPE), "a device or a pipe"),
        (a_link("fifo", "", tarfile.FIFOTYPE), "a device or a pipe"),
    ],
)
def test_a_member_that_reaches_outside_is_refused(
    tmp_path: Path, member: tuple[tarfile.TarInfo, bytes], says: str
) -> None:
    (tmp_path / "outside").write_text("untouched")
    with pytest.raises(CustomerError, match=says) as refusal:
        unpack(tar_gz(member), tmp_path / "out")
    assert "s3://b/model.tar.gz" in str(refusal.value)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["out", "outside"]
    assert list((tmp_path / "out").rglob("*")) == []


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    members = [a_link("door", str(target)), a_file("door/evil")]
    with pytest.raises(CustomerError):
        unpack(tar_gz(*members), tmp_path / "out")
    assert list(target.iterdir()) == []


def test_links_that_lead_out_together_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    members = [a_file("p/keep"), a_link("p/s", ".."), a_link("y", "p/s/../secret")]
    with pytest.raises(CustomerError, match="outside the archive"):
        unpack(tar_gz(*members), tmp_path / "out")
    assert not (tmp_path / "out/y").is_symlink()


def test_a_hard_link_may_not_take_a_way_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    members = [a_link("up", ".."), a_link("stolen", "up/secret", tarfile.LNKTYPE)]
    with pytest.raises(CustomerError):
        unpack(tar_gz(*members), tmp_path / "out")
    assert not (tmp_path / "out/stolen").exists()


def test_a_later_member_replaces_an_earlier_one(tmp_path: Path) -> None:
    unpack(tar_gz(a_file("a", b"first"), a_file("./a", b"second")), tmp_path / "out")
    assert tree(tmp_path / "out") == {"a": b"second"}


def test_set_user_id_bits_are_dropped(tmp_path: Path) -> None:
    unpack(tar_gz(a_file("tool", mode=0o6777)), tmp_path / "out")
    assert (tmp_path / "out/tool").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 a zip", "is not a gzip archive"),
        (gzip.compress(b"no tar at all" * 100, mtime=0), "is damaged"),
        (tar_gz(a_file("a", b"x" * 10_000)).getvalue()[:80], "is damaged"),
        (gzip.compress(b"", mtime=0), "is damaged"),
    ],
    ids=["empty", "zip", "no tar", "cut", "nothing inside"],
)
def test_what_is_no_archive_is_said_so(tmp_path: Path, body: bytes, says: str) -> None:
    with pytest.raises(CustomerError, match=says):
        unpack(io.BytesIO(body), tmp_path / "out")


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    bomb = tar_gz(a_file("zeros", b"\0" * 5_000_000))
    with pytest.raises(CustomerError, match="more than the 1000000 bytes"):
        unpack(bomb, tmp_path / "out", limit_bytes=1_000_000)
    assert tree(tmp_path / "out") == {}


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CustomerError, match="more than the 3 members"):
        unpack(tar_gz(*[a_file(str(n)) for n in range(4)]), tmp_path / "out", limit_members=3)


def test_a_header_that_claims_gigabytes_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type = tarfile.XHDTYPE
    header.size = 1 << 33
    body = gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + b"\0" * 10240)
    with pytest.raises(CustomerError, match="is damaged"):
        unpack(io.BytesIO(body), tmp_path / "out")
