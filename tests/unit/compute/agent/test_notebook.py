"""What a notebook instance's agent decides: idleness, volumes, names of clones."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from clary.compute.agent.notebooks import brake, home, lab
from clary.compute.agent.programmes.notebook import STREAM, NotebookRun

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def answers(*, idle: timedelta, kernels=()):
    status = {"last_activity": (NOW - idle).isoformat().replace("+00:00", "Z")}
    return {"api/kernels?no_track_activity=1": list(kernels), "api/status": status}.__getitem__


def test_idleness_counts_from_the_last_activity():
    assert lab.idle_s(answers(idle=timedelta(minutes=7)), NOW) == 420.0
    assert lab.idle_s(answers(idle=timedelta(seconds=-5)), NOW) == 0.0


def test_a_kernel_that_works_is_no_idleness():
    busy = [{"execution_state": "idle"}, {"execution_state": "busy"}]
    assert lab.idle_s(answers(idle=timedelta(hours=7), kernels=busy), NOW) == 0.0


@pytest.mark.parametrize(
    ("idle_s", "is_over", "said"),
    [
        (0.0, False, []),
        (2900.0, False, []),
        (3400.0, False, ["[clary] Nothing is done here: this instance stops in 4 min."]),
        (3600.0, True, ["[clary] Stopped: nothing was done here for 60 min."]),
    ],
)
def test_the_log_warns_before_an_idle_instance_stops(tmp_path, monkeypatch, idle_s, is_over, said):
    lines = []
    told = []
    reporter: Any = SimpleNamespace(
        log=lambda _ms, text, stream: lines.append((text, stream)),
        metric=lambda name, _ms, value: told.append((name, value)),
    )
    (tmp_path / "home").mkdir()
    host: Any = SimpleNamespace(spec=SimpleNamespace(request={"Path": "/p"}), home=tmp_path / "home")
    monkeypatch.setattr(lab, "idle_s", lambda _answer, _now: idle_s)
    watch: Any = SimpleNamespace()
    running = NotebookRun(host, watch, reporter)
    assert running._is_idle(3600.0) is is_over
    if not is_over:
        running._is_idle(3600.0)
    assert lines == [(text, STREAM) for text in said], "once, not at every look"
    assert running._is_idle(0.0) is False, "nobody asked for it to be stopped"
    assert {*told} == {("IdleMinutes", idle_s / 60)}


def test_a_volumes_use_is_what_its_files_take_and_nothing_behind_links(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"x" * 100_000)
    (tmp_path / "elsewhere").symlink_to("/")
    assert 100_000 <= home.used_bytes(tmp_path) < 1_000_000


WRITER = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
for line in sys.stdin:
    try:
        (folder / line.strip()).write_bytes(bytes(50_000))
        print("written", flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
"""


def test_a_full_volume_takes_no_more_until_files_are_deleted(tmp_path):
    said: list[str] = []
    held = brake.Brake(tmp_path, 120_000, said.append)
    argv = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        sent, answers = writer.stdin, writer.stdout

        def write(name):
            sent.write(f"{name}\n")
            sent.flush()
            return answers.readline().strip()

        assert write("one") == "written"
        held.look(writer.pid)
        assert (write("two"), write("three"), said) == ("written", "written", [])
        held.look(writer.pid)
        assert write("four") == "File too large"
        assert (tmp_path / "four").stat().st_size == 0
        held.look(writer.pid)
        assert [text[:19] for text in said] == ["The volume is full:"], "once, not at every look"
        assert "UpdateNotebookInstance" in said[0]
        assert held.pause_s == brake.SOONEST_S
        (tmp_path / "two").unlink()
        held.look(writer.pid)
        assert "There is room" in said[1]
        assert write("four") == "written"
        sent.close()


def test_a_volume_is_looked_at_sooner_the_less_room_it_has(tmp_path):
    pauses = []
    for size_bytes in (100 << 30, 5 << 30, 1 << 20):
        held = brake.Brake(tmp_path, size_bytes, lambda _text: None)
        held.look(1 << 22)
        pauses.append(held.pause_s)
    assert pauses == [brake.LOOK_S, pytest.approx(5.0, abs=0.01), brake.SOONEST_S]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com/team/code.git", "code"),
        ("https://example.com/team/code/", "code"),
        ("https://example.com/.git", "repository"),
    ],
)
def test_a_clone_has_the_repositorys_name(url, name):
    assert home.repository_name(url) == name
