from datetime import UTC, datetime, timedelta, timezone

import pytest

from clary.wire.times import as_datetime, to_epoch, to_iso, to_rfc822

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)


def test_each_format_is_read_back():
    for write in (to_epoch, to_iso):
        assert as_datetime(write(MOMENT)) == MOMENT.replace(microsecond=678000)
    assert as_datetime(to_rfc822(MOMENT)) == MOMENT.replace(microsecond=0)


def test_formats_are_as_aws_writes_them():
    assert to_epoch(MOMENT) == 1767323045.678
    assert to_iso(MOMENT) == "2026-01-02T03:04:05.678Z"
    assert to_iso(MOMENT.replace(microsecond=0)) == "2026-01-02T03:04:05Z"
    assert to_rfc822(MOMENT) == "Fri, 02 Jan 2026 03:04:05 GMT"


def test_times_before_the_epoch_and_early_years_are_kept():
    early = datetime(33, 4, 3, 15, 0, 0, 250000, tzinfo=UTC)
    assert as_datetime(to_epoch(early)) == as_datetime(to_iso(early)) == early


def test_other_zones_become_utc_and_none_is_utc():
    east = datetime(2026, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert as_datetime(east).tzinfo is UTC
    assert as_datetime(east) == as_datetime(datetime(2026, 1, 2, 3, 4, 5))  # noqa: DTZ001 - what is read


@pytest.mark.parametrize(
    "value", ["", "soon", "2026-13-01", None, True, [], float("inf"), float("nan"), 1e20]
)
def test_what_is_no_time_is_refused(value):
    with pytest.raises(ValueError, match=r"timestamp|range"):
        as_datetime(value)
