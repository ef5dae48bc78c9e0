"""Times as the store keeps them: microseconds since 1970 in columns, fixed-width ISO text in documents."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Return microseconds since 1970.

    Raises
    ------
    ValueError
        `moment` has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"times must be aware, {moment.isoformat()} has no time zone")
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=micros)


def to_text(moment: datetime) -> str:
    """Return ISO text in UTC, always 27 characters, so that text order is time order."""
    if moment.tzinfo is None:
        raise ValueError(f"times must be aware, {moment.isoformat()} has no time zone")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def from_text(text: str) -> datetime:
    """Read what `to_text` wrote."""
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
