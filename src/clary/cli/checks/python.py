"""Python itself."""

import platform
import sys
from collections.abc import Iterator

from clary.cli.checks.base import Finding, Grade
from clary.kernel.settings import Settings

LEAST = (3, 11)


def check(settings: Settings) -> Iterator[Finding]:
    """Look at the interpreter of the server."""
    text = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info >= LEAST:
        yield Finding(subject="Python", grade=Grade.OK, text=text)
    else:
        mend = f"make an environment with Python {LEAST[0]}.{LEAST[1]} or newer and install Clary there"
        yield Finding(subject="Python", grade=Grade.BROKEN, text=text, mend=mend)
