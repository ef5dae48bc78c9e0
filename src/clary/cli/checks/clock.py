"""The clock: signatures are refused when client and server differ by more than five minutes."""

import time
from collections.abc import Iterator

from clary import __version__
from clary.cli.checks.base import Finding, Grade
from clary.kernel.clock import now
from clary.kernel.settings import Settings

EARLIEST_YEAR = 2025


def check(settings: Settings) -> Iterator[Finding]:
    """Look whether the clock is plausible and goes forward."""
    moment = now()
    text = f"{moment:%Y-%m-%d %H:%M:%S} UTC (Clary {__version__})"
    begin = time.time()
    is_sane = moment.year >= EARLIEST_YEAR and time.time() >= begin
    if is_sane:
        yield Finding(subject="Clock", grade=Grade.OK, text=text)
    else:
        mend = "set the clock (timedatectl set-ntp true): clients elsewhere would be refused"
        yield Finding(subject="Clock", grade=Grade.BROKEN, text=text, mend=mend)
