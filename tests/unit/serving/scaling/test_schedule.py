"""When schedules fire."""

from datetime import UTC, datetime, timedelta

import pytest

from clary.serving.scaling.schedule import ScheduleError, parse

NOON = datetime(2026, 3, 4, 12, 0, 30, tzinfo=UTC)  # a Wednesday


def on(*parts):
    return datetime(*parts).replace(tzinfo=UTC)  # noqa: DTZ001 - it has one at once


def after(text, zone="UTC", moment=NOON):
    return parse(text, zone, since=NOON).next_after(moment)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at(2026-03-05T01:02:03)", on(2026, 3, 5, 1, 2, 3)),
        ("cron(* * * * ? *)", on(2026, 3, 4, 12, 1)),
        ("cron(0/15 8-10 ? * MON-FRI *)", on(2026, 3, 5, 8, 0)),
        ("cron(30 6 1,15 * ? *)", on(2026, 3, 15, 6, 30)),
        ("cron(0 0 L * ? *)", on(2026, 3, 31)),
        ("cron(0 0 1W AUG ? *)", on(2026, 8, 3)),  # the first is a Saturday
        ("cron(0 9 ? * 2#1 *)", on(2026, 4, 6, 9, 0)),
        ("cron(0 9 ? * FRIL *)", on(2026, 3, 27, 9, 0)),
        ("cron(0 0 29 2 ? *)", on(2028, 2, 29)),
    ],
)
def test_the_next_moment(text, expected):
    assert after(text) == expected


def test_times_are_of_the_zone():
    assert after("cron(0 9 * * ? *)", "Asia/Tokyo") == datetime(2026, 3, 5, 0, 0, tzinfo=UTC)
    assert after("at(2026-03-05T09:00:00)", "Asia/Tokyo") == datetime(2026, 3, 5, 0, 0, tzinfo=UTC)


def test_a_rate_counts_from_its_beginning():
    assert after("rate(5 minutes)") == NOON + timedelta(minutes=5)
    assert after("rate(1 hour)", moment=NOON + timedelta(minutes=61)) == NOON + timedelta(hours=2)


def test_what_is_over_comes_no_more():
    assert after("at(2020-01-01T00:00:00)") is None
    assert after("cron(0 0 1 1 ? 2020)") is None


@pytest.mark.parametrize(
    "text",
    [
        "every day",
        "rate(0 minutes)",
        "rate(5 weeks)",
        "at(tomorrow)",
        "cron(0 0 * * * *)",
        "cron(0 25 ? * MON *)",
        "cron(0 0 ? *)",
        "cron(0/0 0 ? * MON *)",
    ],
)
def test_what_is_no_schedule_is_refused(text):
    with pytest.raises(ScheduleError):
        after(text)


def test_a_zone_that_is_not_known_is_refused():
    with pytest.raises(ScheduleError, match="Nowhere"):
        after("rate(5 minutes)", "Nowhere/Else")
