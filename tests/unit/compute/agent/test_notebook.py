"""What a notebook instance's agent decides: idleness, volumes, names of clones."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from clary.compute.agent.notebooks import home, lab, scripts
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
    reporter: Any = SimpleNamespace(log=lambda _ms, text, stream: lines.append((text, stream)))
    (tmp_path / "home").mkdir()
    host: Any = SimpleNamespace(spec=SimpleNamespace(request={"Path": "/p"}), home=tmp_path / "home")
    monkeypatch.setattr(lab, "idle_s", lambda _answer, _now: idle_s)
    watch: Any = SimpleNamespace()
    running = NotebookRun(host, watch, reporter)
    assert running._is_idle(3600.0) is is_over
    if not is_over:
        running._is_idle(3600.0)
    assert lines == [(text, STREAM) for text in said], "once, not at every look"


def test_a_full_volume_is_told_with_what_helps(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"x" * 100_000)
    (tmp_path / "elsewhere").symlink_to("/")
    assert 100_000 <= home.used_bytes(tmp_path) < 1_000_000
    assert scripts.volume_of(tmp_path, 5 << 30) == ""
    assert "UpdateNotebookInstance" in scripts.volume_of(tmp_path, 50_000)


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
