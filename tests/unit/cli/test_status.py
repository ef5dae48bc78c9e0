"""`clary status`: what it says of the store, without a platform."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clary.cli import control
from clary.cli.commands import status
from clary.cli.supervisor import state
from clary.cli.supervisor.state import ProcessState, Running
from clary.kernel.errors import SetupError


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what shows the status of a Clary whose control plane answers as told, and stands as told."""

    def show(answer: str | SetupError, phase: str = "ready") -> int:
        def ask(_settings: object, _method: str, path: str, **_: object) -> object:
            if isinstance(answer, SetupError):
                raise answer
            return {"/internal/store": {"trouble": answer}, "/internal/nodes": {"nodes": []}}[path]

        running = Running(
            pid=1,
            since="",
            url="http://127.0.0.1:4747",
            region="us-east-1",
            data_dir=str(tmp_path),
            version="1",
            started_at=datetime.now(UTC).isoformat(),
            is_ready=True,
            processes=[ProcessState(name="control", phase=phase)],
        )
        monkeypatch.setattr(state, "running", lambda _folder: running)
        monkeypatch.setattr(control, "ask", ask)
        monkeypatch.setattr(status, "_work", lambda *_: {})
        return status.status(data_dir=tmp_path)

    return show


def test_a_store_that_is_away_is_trouble_with_a_line_that_says_why(
    shown: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown("the store postgresql://db[1] failed: the server does not answer") == 1
    assert "the store postgresql://db[1] failed: the server does not answer" in capsys.readouterr().out


def test_a_control_plane_that_waits_for_its_store_too_long_is_trouble(
    shown: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(SetupError("the control plane does not answer (timed out); see it")) == 1
    assert "the control plane does not answer (timed out)\n" in capsys.readouterr().out


def test_a_store_that_answers_is_no_line(shown: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown("") == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["control", "plane", "ready"]


def test_a_control_plane_that_starts_is_not_asked(shown: Any) -> None:
    assert shown(SetupError("asked"), phase="starting") == 4
