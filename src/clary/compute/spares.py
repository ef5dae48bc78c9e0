"""Spare agents: one whose run has ended waits a little for the next run of its account.

zygote ──home──▶ agent ──run──▶ "idle" ──▶ zygote ──home of the next──▶ the same agent
                                              └─ end of file after SPARE_S: it ends

A fork of the zygote, and of the launcher off it, costs 50 ms of CPU time with its page tables and its first
touch of every page; a spare has that behind it. It never changes its account: its launcher has seen the
environments of its programs, tokens among them.
"""

import contextlib
import os
import selectors
import socket
import time
from dataclasses import dataclass
from pathlib import Path

SPARE_S = 10.0
"""How long an agent waits for another run."""
MAX_SPARES = max(2, os.cpu_count() or 1)
"""Agents that wait at once: each holds some 50 MiB."""
_MAX_PATH = 8192


@dataclass
class Agent:
    """One agent, as its zygote knows it."""

    pid: int
    account: str
    channel: socket.socket
    waits_until: float | None = None
    """On the monotonic clock; None while it works."""


class Spares:
    """The zygote's side: every agent it forked, and which of them wait.

    Parameters
    ----------
    selector : selectors.BaseSelector
        Gets the channels of the agents; each one's `data` is its `Agent`.
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._waiting: list[Agent] = []

    def add(self, pid: int, account: str, channel: socket.socket) -> None:
        """Know an agent that has just been forked."""
        self._selector.register(channel, selectors.EVENT_READ, Agent(pid, account, channel))

    def hear(self, agent: Agent) -> None:
        """Take what an agent says: that it waits, or by its silence that it has ended."""
        said = b""
        with contextlib.suppress(OSError):
            said = agent.channel.recv(64)
        if not said:
            self._forget(agent)
            return
        agent.waits_until = time.monotonic() + SPARE_S
        self._waiting.append(agent)
        for spare in self._waiting[:-MAX_SPARES]:
            self._forget(spare)

    def take(self, home: Path, account: str) -> int | None:
        """Give a run to the spare of its account that waits longest; return its pid, None without one."""
        for agent in [each for each in self._waiting if each.account == account]:
            self._waiting.remove(agent)
            agent.waits_until = None
            try:
                agent.channel.sendall(os.fsencode(home))
            except OSError:  # killed while it waited
                self._forget(agent)
                continue
            return agent.pid
        return None

    def expire(self) -> float | None:
        """Let those go that waited long enough; return the seconds until the next one's time is over."""
        now = time.monotonic()
        for agent in [each for each in self._waiting if (each.waits_until or 0.0) <= now]:
            self._forget(agent)
        return min(((each.waits_until or now) - now for each in self._waiting), default=None)

    def _forget(self, agent: Agent) -> None:
        if agent in self._waiting:
            self._waiting.remove(agent)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(agent.channel)
        agent.channel.close()


def next_home(channel: socket.socket) -> Path | None:
    """Wait, as an agent, for the folder of another run; None when there is none to come."""
    with contextlib.suppress(OSError):
        channel.sendall(b"idle")
        given = channel.recv(_MAX_PATH)
        return Path(os.fsdecode(given)) if given else None
    return None
