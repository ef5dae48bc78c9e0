"""Host agents that were asked to stop: who has ended, who is killed."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.cli import agents
from clary.cli.agents import Agent
from clary.cli.supervisor import identity

LONG_S = 60.0


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """One that has written its result, and goes on waiting for somebody to tell it to."""
    (tmp_path / "result.json").write_text("{}")
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    since = identity.started(process.pid)
    yield Agent(
        run_id="r", host="algo-1", kind="serving", name="n", folder=tmp_path, pid=process.pid, since=since
    )
    process.kill()
    process.wait()


def test_where_nobody_hears_an_agent_with_a_result_is_not_waited_for(agent: Agent) -> None:
    assert agents.end([agent], within_s=LONG_S, is_heard=False) == 1
    assert not identity.is_alive(agent.pid, agent.since)


def test_one_that_has_its_time_over_is_killed(agent: Agent) -> None:
    assert agents.end([agent], within_s=0.0, is_heard=True) == 1
    assert not identity.is_alive(agent.pid, agent.since)
