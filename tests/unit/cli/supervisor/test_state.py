"""State file and lock."""

import dataclasses

import pytest

from clary.cli.supervisor import state
from clary.cli.supervisor.state import ProcessState, Running
from clary.kernel.errors import SetupError

RUNNING = Running(
    pid=12,
    since="34",
    url="http://127.0.0.1:1",
    region="us-east-1",
    data_dir="/d",
    version="1",
    started_at="2026-01-01T00:00:00+00:00",
    processes=[ProcessState(name="edge", phase="ready", last_lines=["é"])],
)


def test_what_was_written_is_read(tmp_path):
    state.write(tmp_path, RUNNING)
    assert state.read(tmp_path) == RUNNING


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"processes": [{"x": 1}]}'])
def test_a_damaged_file_is_no_state(tmp_path, text):
    (tmp_path / state.STATE).write_text(text)
    assert state.read(tmp_path) is None


def test_a_second_holder_is_refused_with_pid_and_url_of_the_first(tmp_path):
    with state.hold_lock(tmp_path):
        state.write(tmp_path, RUNNING)
        with (
            pytest.raises(SetupError, match=r"already runs on .* \(pid 12\) at http://127.0.0.1:1"),
            state.hold_lock(tmp_path),
        ):
            pass
    assert not state.is_locked(tmp_path)


def test_a_state_without_the_lock_is_not_running(tmp_path):
    state.write(tmp_path, dataclasses.replace(RUNNING, is_ready=True))
    assert state.running(tmp_path) is None
    with pytest.raises(SetupError, match="not running"):
        state.expect_running(tmp_path)
    with state.hold_lock(tmp_path):
        assert state.expect_running(tmp_path).pid == 12


def test_a_clary_that_still_starts_is_said_to(tmp_path):
    with state.hold_lock(tmp_path):
        state.write(tmp_path, RUNNING)
        with pytest.raises(SetupError, match="still starting"):
            state.expect_running(tmp_path)
