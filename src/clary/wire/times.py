"""Timestamps as they travel: epoch seconds, ISO 8601, RFC 822. Aware, UTC, to the millisecond."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


def to_epoch(moment: Any) -> float:
    """Return seconds since 1970 to the millisecond; whole seconds as a whole number."""
    since = (moment if type(moment) is datetime and moment.tzinfo is UTC else as_datetime(moment)) - _EPOCH
    seconds, ms = since.days * 86_400 + since.seconds, since.microseconds // 1000
    return (seconds * 1000 + ms) / 1000 if ms else seconds


def to_iso(moment: Any) -> str:
    """Return `2024-01-31T10:20:30Z`, with milliseconds where there are any."""
    moment = as_datetime(moment)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")  # years below 1000 come out short
    return f"{text}.{moment.microsecond // 1000:03d}Z" if moment.microsecond >= 1000 else f"{text}Z"


def to_rfc822(moment: Any) -> str:
    """Return `Wed, 31 Jan 2024 10:20:30 GMT`."""
    return format_datetime(as_datetime(moment), usegmt=True)


def as_datetime(value: Any) -> datetime:
    """Return an aware UTC datetime of a datetime, of seconds since 1970, or of a text in any of the formats.

    Raises
    ------
    ValueError
        It is no point in time, or none that a datetime can hold.
    """
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a timestamp")
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            return _from_text(value)
        value = float(value)
    try:
        return _EPOCH + timedelta(microseconds=round(value * 1_000_000))
    except (OverflowError, ValueError):
        raise ValueError(f"{value!r} seconds since 1970 are out of range") from None


def _from_text(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            found = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError):
            raise ValueError(f"{text!r} is not a timestamp") from None
    try:
        return as_datetime(found)
    except OverflowError:
        raise ValueError(f"{text!r} is out of range") from None


FORMATS = {"unixtimestamp": to_epoch, "iso8601": to_iso, "rfc822": to_rfc822}
"""By `timestampFormat`, in lower case."""
