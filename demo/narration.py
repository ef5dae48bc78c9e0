"""The demo's voice: numbered steps with their times, and the SDK's chatter kept in its place."""

import contextlib
import io
import logging
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console

QUIET_LOGGERS = (
    "sagemaker",
    "sagemaker.config",
    "sagemaker.image_uris",
    "botocore",
    "boto3",
    "urllib3",
    "root",
)


def hush() -> None:
    """Silence what the SDK says about itself; job logs are printed, not logged, and stay."""
    warnings.filterwarnings("ignore")
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    # The SDK gives its loggers a level and a handler on import, where it finds none.
    logging.getLogger("sagemaker.config").addHandler(logging.NullHandler())
    logging.getLogger("sagemaker.config").propagate = False


class Margin(io.TextIOBase):
    """A stream that sets every line behind a bar, as a quotation."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.lines: list[str] = []
        self.rest = ""

    def write(self, text: str) -> int:
        """Print the complete lines; keep the rest for later."""
        if self.rest and text.startswith("["):  # the SDK leaves a status line open, and a log line follows
            text = "\n" + text
        *whole, self.rest = (self.rest + text).split("\n")
        for line in whole:
            self.show(line)
        return len(text)

    def show(self, line: str) -> None:
        """Print one line, unless it is blank or only the signs of waiting."""
        if line.strip(".-! "):
            self.lines.append(line)
            self.console.print(f"    │ {line}", style="dim", markup=False, highlight=False, soft_wrap=True)

    def flush(self) -> None:
        """Nothing is held back but half a line."""

    def finish(self) -> None:
        """Print what came without a line end."""
        self.show(self.rest)
        self.rest = ""


@dataclass
class Narrator:
    """Tells the steps and remembers how long each took."""

    n_steps: int
    console: Console = field(default_factory=lambda: Console(highlight=False))
    times: list[tuple[str, float]] = field(default_factory=list)

    @contextlib.contextmanager
    def step(self, title: str, detail: str = "") -> Iterator[None]:
        """Announce a step, and say how long it took."""
        number = len(self.times) + 1
        self.console.print(f"\n[bold cyan]{number}/{self.n_steps}[/]  [bold]{title}[/]  [dim]{detail}[/]")
        begun = time.perf_counter()
        yield
        took = time.perf_counter() - begun
        self.times.append((title, took))
        self.console.print(f"     [green]✓[/] [dim]{took:.1f} s[/]")

    def say(self, text: str) -> None:
        """Print one line of the step."""
        self.console.print(f"     {text}", soft_wrap=True)

    @contextlib.contextmanager
    def quotation(self) -> Iterator[Margin]:
        """Set everything printed meanwhile behind a bar."""
        margin = Margin(self.console)
        # The console keeps the real stream: it is bound before stdout is swapped.
        self.console.file = real_stdout()
        with contextlib.redirect_stdout(margin):
            yield margin
            margin.finish()


def real_stdout() -> TextIO:
    """Return the stream this process was started with."""
    return sys.__stdout__ or sys.stdout


hush()  # on import, which comes before that of the SDK
