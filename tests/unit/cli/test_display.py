"""What a person sees: lines that stay where there is no terminal."""

import io
from typing import Any

from rich.console import Console

from clary.cli import display
from clary.cli.display import Display
from clary.cli.supervisor.process import Event


def shown(events: list[Event], **console: Any) -> str:
    output = io.StringIO()
    with Display(Console(file=output, width=100, **console)) as screen:
        for event in events:
            screen(event)
    return output.getvalue()


STARTED = [
    Event(kind="starting", name="objects"),
    Event(kind="starting", name="edge"),
    Event(kind="ready", name="objects", seconds=1.25),
    Event(kind="ready", name="edge", seconds=0.4),
    Event(kind="up", seconds=1.3),
]


def test_without_a_terminal_each_process_is_a_plain_line():
    assert shown(STARTED) == "object store     ready in 1.2 s\nedge             ready in 0.4 s\n"


def test_on_a_terminal_the_table_stays_with_the_times():
    text = shown(STARTED, force_terminal=True, color_system=None, legacy_windows=False)
    assert "✓ object store     1.2 s" in text
    assert "✓ edge             0.4 s" in text


def test_a_restart_is_told_once_the_platform_is_up():
    text = shown([*STARTED, Event(kind="ended", name="edge", text="killed by SIGKILL", seconds=0.2)])
    assert "edge killed by SIGKILL; starts again in 0.2 s" in text


def test_the_welcome_says_where_and_how_to_go_on():
    output = io.StringIO()
    display.welcome(
        Console(file=output, width=100),
        url="http://127.0.0.1:1",
        seconds=1.84,
        log="/d/logs",
        is_detached=True,
    )
    text = output.getvalue()
    assert "Ready in 1.8 s   http://127.0.0.1:1" in text
    for step in ("clary run -- python my.py", 'eval "$(clary env)"', "clary down", "/d/logs"):
        assert step in text
