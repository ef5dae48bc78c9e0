"""Clocks: when a request says it was signed, and how far that may lie from now."""

import re
from datetime import datetime

from clary.kernel.errors import FaultKind, SignatureFault
from clary.wire import canonical

SKEW_S = 900
"""How far a client's clock may be off."""
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)
_LAST_TIME: list[tuple[str, float]] = [("", 0.0)]


def seconds(amz_date: str) -> float:
    """Return seconds since 1970; the last answer is remembered, for busy clients repeat it.

    Raises
    ------
    SignatureFault
        It is no `x-amz-date`.
    """
    last, found_s = _LAST_TIME[0]
    if last == amz_date:
        return found_s
    found = _TIME.fullmatch(amz_date)
    try:
        if found is None:
            raise ValueError(amz_date)
        found_s = canonical.to_seconds(found.groups())
    except ValueError:
        raise SignatureFault(
            FaultKind.MALFORMED, f"Date must be in ISO-8601 'basic format'. Got '{amz_date[:40]}'."
        ) from None
    _LAST_TIME[0] = (amz_date, found_s)
    return found_s


def check_skew(amz_date: str, now: datetime, *, expires_s: int | None = None) -> None:
    """Refuse what was signed too long ago, or too far ahead.

    Parameters
    ----------
    amz_date : str
        `20260131T120000Z`.
    expires_s : int, optional
        Life of a presigned URL, in seconds, in place of the skew that requests may have.

    Raises
    ------
    SignatureFault
        Expired, not yet current, or no `x-amz-date`.
    """
    signed, present = seconds(amz_date), now.timestamp()
    shown = canonical.to_amz_date
    if expires_s is not None and present > signed + expires_s:
        raise SignatureFault(
            FaultKind.EXPIRED_URL,
            f"Signature expired: {shown(signed + expires_s)} is now earlier than {shown(present)}",
        )
    if present > signed + SKEW_S and expires_s is None:
        raise SignatureFault(
            FaultKind.SKEWED,
            f"Signature expired: {amz_date} is now earlier than {shown(present - SKEW_S)}"
            f" ({shown(present)} - 15 min.)",
        )
    if signed > present + SKEW_S:
        raise SignatureFault(
            FaultKind.SKEWED,
            f"Signature not yet current: {amz_date} is still later than "
            f"{shown(present + SKEW_S)} ({shown(present)} + 15 min.)",
        )
