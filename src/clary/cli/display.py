"""What a person sees while Clary starts: a small live table on a terminal, plain lines elsewhere."""

import time

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from clary.cli.supervisor.process import Event

TITLES = {
    "objects": "object store",
    "control": "control plane",
    "zygote-base": "warm runtime",
    "accelerator": "accelerators",
}
WIDTH = 16


def title(name: str) -> str:
    """Return what a process is called for people."""
    return TITLES.get(name, name)


class Display:
    """Shows events; give it every one of them.

    `tick` draws the live table, called by the loop that also starts the processes: there is no thread.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = (
            Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        )
        self._rows: dict[str, tuple[str, float, str]] = {}
        """Name to (kind, begin or seconds, text)."""
        self._spinner = Spinner("dots", style="cyan")
        self._is_up = False

    def __enter__(self) -> "Display":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the live table away; what it showed stays as lines."""
        if self._live:
            self._live.stop()
            self._live = None

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if event.kind == "up":
            self._finish()
        elif self._live and event.kind in {"starting", "ready", "ended"}:
            self._rows[event.name] = (
                event.kind,
                time.monotonic() if event.kind == "starting" else event.seconds,
                event.text,
            )
            self.tick()
        elif line := self._line(event):
            self.console.print(line, highlight=False)

    def tick(self) -> None:
        """Draw the live table again."""
        if self._live:
            self._live.update(Group(*(self._row(name) for name in self._rows)), refresh=True)

    def _finish(self) -> None:
        """Turn the live table into lines that stay."""
        was_live = self._live is not None
        self.close()
        self._is_up = True
        if was_live:
            for name in self._rows:
                self.console.print(self._row(name))

    def _row(self, name: str) -> Table:
        kind, value, text = self._rows[name]
        row = Table.grid(padding=(0, 1))
        row.add_column(width=1)
        row.add_column(width=WIDTH)
        row.add_column()
        if kind == "ready":
            row.add_row(Text("✓", style="green"), title(name), Text(f"{value:.1f} s", style="dim"))
        elif kind == "ended":
            row.add_row(Text("!", style="yellow"), title(name), Text(f"{text}, starts again", style="yellow"))
        elif self._is_up:
            row.add_row(Text("…", style="dim"), title(name), Text("warms up in the background", style="dim"))
        else:
            row.add_row(self._spinner, title(name), Text(f"{time.monotonic() - value:.1f} s", style="dim"))
        return row

    def _line(self, event: Event) -> str:
        """Return one event as a line; empty for those that are not news."""
        name = title(event.name)
        match event.kind:
            case "ready" if not self._is_up:
                return f"{name:<{WIDTH}} ready in {event.seconds:.1f} s"
            case "ready":
                return f"[dim]{_now()}[/] {name} is ready"
            case "ended":
                return f"[dim]{_now()}[/] [yellow]{name} {event.text}; starts again in {event.seconds:g} s[/]"
            case "stopping":
                return f"[dim]stopping {name}[/]"
            case _:
                return ""


def welcome(console: Console, *, url: str, seconds: float, log: str, is_detached: bool) -> None:
    """Say that Clary is ready, where, and how to go on."""
    console.print(f"\n[bold green]Ready in {seconds:.1f} s[/]   [bold]{url}[/]\n", highlight=False)
    steps = [
        ("clary run -- python my.py", "run boto3 or SageMaker SDK code, unchanged"),
        ('eval "$(clary env)"', "or take the environment into this shell"),
        ("clary status", "what runs"),
    ]
    if is_detached:
        steps.append(("clary down", "stop it"))
    for command, what in steps:
        console.print(f"  [cyan]{command:<28}[/][dim]{what}[/]", highlight=False)
    console.print(f"\n[dim]Logs: {log}{'' if is_detached else '   Ctrl-C stops Clary.'}[/]", highlight=False)


def _now() -> str:
    return time.strftime("%H:%M:%S")
