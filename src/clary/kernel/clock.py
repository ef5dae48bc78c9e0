"""Time, so that tests can hold it still."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present as an aware UTC datetime."""


def now() -> datetime:
    """Return the present, aware, UTC."""
    return datetime.now(UTC)


def epoch_ms(moment: datetime | None = None) -> int:
    """Return milliseconds since 1970, of `moment` or of now."""
    return int((moment.timestamp() if moment else time.time()) * 1000)


def from_epoch_ms(ms: int) -> datetime:
    """Return the aware UTC datetime of `ms` milliseconds since 1970."""
    return datetime.fromtimestamp(ms / 1000, UTC)
