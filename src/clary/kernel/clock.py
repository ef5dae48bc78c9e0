"""Time, so that tests can hold it still."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Returns the present as an aware UTC datetime."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def now() -> datetime:
    """Return the present, aware, UTC."""
    return datetime.now(UTC)


def epoch_ms(moment: datetime | None = None) -> int:
    """Return milliseconds since 1970, of `moment` or of now."""
    return (moment - _EPOCH) // _MILLISECOND if moment else int(time.time() * 1000)


def from_epoch_ms(ms: int) -> datetime:
    """Return the aware UTC datetime of `ms` milliseconds since 1970."""
    return _EPOCH + ms * _MILLISECOND
