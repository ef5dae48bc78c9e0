"""What a multi-model replica is supplied with: versions of objects, kept on disk while there is room."""

import json
import socket
import tempfile
from pathlib import Path

import pytest

from clary.compute.agent import supply as module
from clary.compute.agent.supply import Supplier
from clary.testing.hosting import saying
from clary.testing.jobs import pack
from clary.testing.s3 import memory_s3
from clary.toolkit.objects import Objects

BUCKET = "models"


@pytest.fixture
def s3():
    with memory_s3(BUCKET) as made:
        yield made


@pytest.fixture
def told():
    return []


@pytest.fixture
def supplier(s3, told, tmp_path):
    objects = Objects(**s3.where)
    (tmp_path / "models").mkdir()
    yield Supplier(
        f"s3://{BUCKET}/all/",
        tmp_path / "models",
        tmp_path / "work",
        objects,
        lambda *each: told.append(each),
    )
    objects.close()


def put(s3, name: str, word: str) -> None:
    s3.objects[BUCKET, f"all/{name}"] = pack({"code/inference.py": saying(word)})


def word_of(tmp_path: Path, answer) -> str:
    text = (tmp_path / "models" / answer["folder"] / "model/code/inference.py").read_text()
    return "one" if "'one'" in text else "two"


def test_a_version_is_brought_in_once_and_another_beside_it(s3, supplier, tmp_path):
    put(s3, "a.tar.gz", "one")
    first = supplier.answer({"want": "a.tar.gz"})
    assert word_of(tmp_path, first) == "one"
    assert first["n_bytes"] > 50
    assert supplier.answer({"want": "/a.tar.gz"}) == first
    put(s3, "a.tar.gz", "two")
    second = supplier.answer({"want": "a.tar.gz"})
    assert second["folder"] != first["folder"]
    assert (word_of(tmp_path, first), word_of(tmp_path, second)) == ("one", "two")


@pytest.mark.parametrize("name", ["absent.tar.gz", "../secret.tar.gz", "", "a//b.tar.gz"])
def test_what_is_not_there_is_told_in_the_services_words(s3, supplier, name):
    put(s3, "a.tar.gz", "one")
    s3.objects[BUCKET, "secret.tar.gz"] = b"x"
    answer = supplier.answer({"want": name})
    assert answer["missing"].startswith(f"Failed to download model data(bucket: {BUCKET}, key: all/{name})")


def test_an_object_that_is_no_archive_is_missing_with_its_reason(s3, supplier, tmp_path):
    s3.objects[BUCKET, "all/b.tar.gz"] = b"nothing of the kind"
    assert "b.tar.gz" in supplier.answer({"want": "b.tar.gz"})["missing"]
    assert list((tmp_path / "models").iterdir()) == []


def test_files_go_when_room_is_needed_and_nobody_uses_them(s3, supplier, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "DISK_BYTES", 0)
    for name in ("a", "b", "c"):
        put(s3, f"{name}.tar.gz", "one")
    first, second = (supplier.answer({"want": f"{name}.tar.gz"})["folder"] for name in ("a", "b"))
    supplier.answer({"release": first})
    third = supplier.answer({"want": "c.tar.gz"})["folder"]
    assert {each.name for each in (tmp_path / "models").iterdir()} == {second, third}


def test_questions_come_by_a_socket(s3, supplier, told):
    put(s3, "a.tar.gz", "one")
    with tempfile.TemporaryDirectory() as folder, supplier.open(Path(folder) / "s.sock"):
        for question in ({"want": "a.tar.gz"}, {"metrics": {"LoadedModelCount": 3}}):
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(str(Path(folder) / "s.sock"))
                line.sendall(json.dumps(question).encode() + b"\n")
                assert isinstance(json.loads(line.makefile().readline()), dict)
    assert [(name, value) for name, _ms, value in told] == [("LoadedModelCount", 3.0)]
