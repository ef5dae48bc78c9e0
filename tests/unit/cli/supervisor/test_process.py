"""Restart policy."""

from clary.cli.supervisor.process import Restart


def test_the_delay_doubles_from_200_ms_to_5_s():
    assert [Restart().delay_s(n) for n in range(1, 8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_thousand_failures_still_wait_5_s():
    assert Restart().delay_s(1000) == 5.0
