"""The seam of `clary doctor`: a check looks at one thing and yields findings."""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How bad it is."""

    OK = "ok"
    ABSENT = "absent"
    """An extra that is not installed: no fault."""
    LIMITED = "limited"
    """Clary runs, and something does not."""
    BROKEN = "broken"
    """Clary cannot start, or cannot run jobs."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check found.

    Promises
    --------
    - A finding that is not OK says how to mend it, or that it cannot be mended here.
    - A check changes nothing on the machine, takes no longer than a few seconds, and raises nothing.
    """

    subject: str
    grade: Grade
    text: str
    mend: str = ""
