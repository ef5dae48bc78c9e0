"""Schedules of scaling: `at(…)`, `rate(…)` and `cron(…)`.

Source: API reference, PutScheduledAction; EventBridge Scheduler user guide, "Cron-based schedules".
"""

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

LATEST_YEAR = 2199
LOOK_AHEAD_DAYS = 366 * 8
"""As far as a cron is followed: over two leap days."""
_UNITS = {"minute": 60, "hour": 3_600, "day": 86_400}
_MONTHS = {name.upper(): n for n, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {name: n for n, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}


class ScheduleError(ValueError):
    """The text is no schedule; it says why."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something happens."""

    next_after: Callable[[datetime], datetime | None]
    """Returns the first moment after another; None where there is none any more."""


def parse(text: str, zone: str = "UTC", *, since: datetime) -> Schedule:
    """Read a schedule.

    Parameters
    ----------
    zone : str
        Name of a time zone, for `at` and `cron`.
    since : datetime
        From when a rate counts.

    Raises
    ------
    ScheduleError
        It cannot be read.
    """
    try:
        tz = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ScheduleError(f"Timezone '{zone}' is not known; use a name such as Europe/Berlin") from None
    match = re.fullmatch(r"(at|rate|cron)\((.*)\)", text.strip())
    if match is None:
        raise ScheduleError(f"'{text}' must be at(yyyy-mm-ddThh:mm:ss), rate(n unit) or cron(fields)")
    kind, inside = match.groups()
    if kind == "at":
        return _at(inside, tz)
    if kind == "rate":
        return _rate(inside, since)
    return _cron(inside, tz)


def _at(inside: str, tz: ZoneInfo) -> Schedule:
    try:
        moment = datetime.strptime(inside, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=tz).astimezone(UTC)
    except ValueError:
        raise ScheduleError(f"at({inside}) must be at(yyyy-mm-ddThh:mm:ss)") from None
    return Schedule(lambda after: moment if moment > after else None)


def _rate(inside: str, since: datetime) -> Schedule:
    match = re.fullmatch(r"(\d+) (minute|hour|day)s?", inside)
    if match is None or int(match[1]) < 1:
        raise ScheduleError(f"rate({inside}) must be rate(n minutes), rate(n hours) or rate(n days)")
    every = timedelta(seconds=int(match[1]) * _UNITS[match[2]])

    def next_after(after: datetime) -> datetime:
        n = max(0, (after - since) // every) + 1
        return since + n * every

    return Schedule(next_after)


def _cron(inside: str, tz: ZoneInfo) -> Schedule:
    fields = inside.upper().split()
    if len(fields) != 6:
        raise ScheduleError(f"cron({inside}) must have six fields: minutes hours days months weekdays years")
    if "?" not in (fields[2], fields[4]):
        raise ScheduleError(f"cron({inside}): one of days of the month and days of the week must be ?")
    minutes, hours = _numbers(fields[0], 0, 59), _numbers(fields[1], 0, 23)
    months = _numbers(fields[3], 1, 12, _MONTHS)
    years = _numbers(fields[5], 1970, LATEST_YEAR)
    is_day = _days_of_month(fields[2]) if fields[4] == "?" else _days_of_week(fields[4])

    def next_after(after: datetime) -> datetime | None:
        local = after.astimezone(tz)
        for n in range(LOOK_AHEAD_DAYS):
            day = local.date() + timedelta(days=n)
            if day.month not in months or day.year not in years or not is_day(day):
                continue
            for hour in sorted(hours):
                for minute in sorted(minutes):
                    moment = datetime(day.year, day.month, day.day, hour, minute, tzinfo=tz).astimezone(UTC)
                    if moment > after:
                        return moment
        return None

    return Schedule(next_after)


def _days_of_month(field: str) -> Callable[[date], bool]:
    def last(day: date) -> int:
        return calendar.monthrange(day.year, day.month)[1]

    if field == "L":
        return lambda day: day.day == last(day)
    if match := re.fullmatch(r"(\d+)W", field):
        wanted = int(match[1])
        return lambda day: day.day == _weekday_near(day, min(wanted, last(day)))
    allowed = _numbers(field, 1, 31)
    return lambda day: day.day in allowed


def _weekday_near(day: date, wanted: int) -> int:
    """Return the weekday of the month that is nearest to one of its days."""
    target = day.replace(day=wanted)
    days = calendar.monthrange(day.year, day.month)[1]
    if target.weekday() == 5:
        return wanted - 1 if wanted > 1 else wanted + 2
    if target.weekday() == 6:
        return wanted + 1 if wanted < days else wanted - 2
    return wanted


def _days_of_week(field: str) -> Callable[[date], bool]:
    if match := re.fullmatch(r"([1-7]|[A-Z]{3})#([1-5])", field):
        wanted, nth = min(_numbers(match[1], 1, 7, _WEEKDAYS)), int(match[2])
        return lambda day: _weekday(day) == wanted and (day.day - 1) // 7 + 1 == nth
    if match := re.fullmatch(r"([1-7]|[A-Z]{3})L", field):
        wanted = min(_numbers(match[1], 1, 7, _WEEKDAYS))
        return lambda day: (
            _weekday(day) == wanted and day.day + 7 > calendar.monthrange(day.year, day.month)[1]
        )
    allowed = _numbers(field, 1, 7, _WEEKDAYS)
    return lambda day: _weekday(day) in allowed


def _weekday(day: date) -> int:
    """Return the day of the week as cron counts it: Sunday is 1."""
    return day.isoweekday() % 7 + 1


def _numbers(field: str, low: int, high: int, names: dict[str, int] | None = None) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if first in {"*", "?"}:
            begin, end = low, high
        else:
            begin = _number(first, names)
            end = _number(last, names) if dash else (high if step else begin)
        if not low <= begin <= end <= high or (step and not step.isdecimal()) or step == "0":
            raise ScheduleError(
                f"cron field '{field}' must be numbers from {low} to {high}, such as 1,5-7,*/2"
            )
        found.update(range(begin, end + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, names: dict[str, int] | None) -> int:
    if names and text in names:
        return names[text]
    if not text.isdecimal():
        raise ScheduleError(f"cron field '{text}' is no number")
    return int(text)
