# ruff: noqa: D102 - the name of a test is the sentence it proves
"""Laws of leases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import sqlalchemy as sa

from clary.store import work
from clary.store.database import Store
from clary.store.work import Work
from clary.testing.store_laws.samples import NOW, make_work


class WorkLaws:
    """What leases promise."""

    def test_due_rows_are_claimed_longest_due_first(self, store: Store) -> None:
        for i, delay in enumerate((5, -1, -3, 0)):
            store.write(work.arm, make_work(f"arn:{i}", NOW + timedelta(seconds=delay)))
        first = store.write(work.claim, NOW, "me", 2, 30.0)
        assert [each.arn for each in first] == ["arn:2", "arn:1"]
        assert [each.arn for each in store.write(work.claim, NOW, "me", 9, 30.0)] == ["arn:3"]
        assert first[0].lease_until == NOW + timedelta(seconds=30)
        assert store.read(work.next_due) == NOW + timedelta(seconds=5)

    def test_a_live_lease_keeps_others_out_and_an_old_one_does_not(self, store: Store) -> None:
        store.write(work.arm, make_work("arn:1"))
        (mine,) = store.write(work.claim, NOW, "me", 9, 30.0)
        later = NOW + timedelta(seconds=29)
        assert store.write(work.claim, later, "you", 9, 30.0) == []
        assert store.write(work.renew, "arn:1", mine.lease_token, later + timedelta(seconds=30)) is True
        assert store.write(work.claim, NOW + timedelta(seconds=31), "you", 9, 30.0) == []
        (theirs,) = store.write(work.claim, NOW + timedelta(seconds=60), "you", 9, 30.0)
        assert theirs.lease_token != mine.lease_token
        for verdict in (
            store.write(work.renew, "arn:1", mine.lease_token, later),
            store.write(work.keep, "arn:1", mine.lease_token, "Other", {}, later),
            store.write(work.finish, "arn:1", mine.lease_token),
            store.write(work.finish, "arn:1", None),
        ):
            assert verdict is False
        assert store.write(work.advance, "arn:1", mine.lease_token, "Other", NOW, {}) is None
        assert store.read(work.find, "arn:1") == theirs

    def test_leases_of_an_earlier_life_are_void_at_once_and_no_others(self, store: Store) -> None:
        for arn in ("arn:1", "arn:2"):
            store.write(work.arm, make_work(arn))
        (mine,) = store.write(work.claim, NOW, "me", 1, 30.0)
        (theirs,) = store.write(work.claim, NOW, "you", 1, 30.0)
        later = NOW + timedelta(seconds=1)
        assert store.write(work.disown, "me", later) == 1
        assert store.write(work.disown, "me", later) == 0
        assert store.write(work.advance, mine.arn, mine.lease_token, "Next", later, {}) is None
        assert [each.arn for each in store.write(work.claim, later, "me", 9, 30.0)] == [mine.arn]
        assert store.write(work.advance, theirs.arn, theirs.lease_token, "Next", later, {}) == later

    def test_an_advance_moves_the_machine_and_gives_the_lease_back(self, store: Store) -> None:
        store.write(work.arm, make_work("arn:1"))
        (mine,) = store.write(work.claim, NOW, "me", 9, 30.0)
        due = NOW + timedelta(seconds=7)
        assert store.write(work.advance, "arn:1", mine.lease_token, "Next", due, {"n": 1, "at": NOW}) == due
        assert store.read(work.find, "arn:1") == Work(
            "arn:1", "Job", "Next", due, None, None, {"n": 1, "at": NOW}, 2
        )
        assert store.write(work.claim, NOW, "me", 9, 30.0) == []
        (again,) = store.write(work.claim, due, "me", 9, 30.0)
        assert (
            store.write(work.keep, "arn:1", again.lease_token, "Third", {}, due + timedelta(seconds=30))
            is True
        )
        assert store.write(work.finish, "arn:1", again.lease_token) is True
        assert store.read(work.find, "arn:1") is None
        assert store.read(work.next_due) is None

    def test_a_wake_makes_a_row_due_now(self, store: Store) -> None:
        store.write(work.arm, make_work("arn:1", NOW + timedelta(hours=1)))
        assert store.write(work.wake, "arn:1", NOW) is True
        assert store.write(work.wake, "arn:none", NOW) is False
        assert store.read(work.next_due) == NOW
        assert len(store.write(work.claim, NOW, "me", 9, 30.0)) == 1

    def test_a_wake_does_not_put_off_what_is_due(self, store: Store) -> None:
        store.write(work.arm, make_work("arn:1", NOW - timedelta(hours=1)))
        store.write(work.wake, "arn:1", NOW)
        assert store.read(work.next_due) == NOW - timedelta(hours=1)

    def test_a_wake_during_a_lease_is_not_lost(self, store: Store) -> None:
        store.write(work.arm, make_work("arn:1"))
        (mine,) = store.write(work.claim, NOW, "me", 9, 30.0)
        woken = NOW + timedelta(seconds=1)
        assert store.write(work.wake, "arn:1", woken) is True
        assert store.write(work.claim, woken, "you", 9, 30.0) == []
        store.write(work.keep, "arn:1", mine.lease_token, "Same", {}, NOW + timedelta(seconds=40))
        due = store.write(work.advance, "arn:1", mine.lease_token, "Next", NOW + timedelta(hours=1), {})
        assert due == store.read(work.next_due) == woken
        (again,) = store.write(work.claim, woken, "you", 9, 30.0)
        store.write(work.advance, "arn:1", again.lease_token, "Next", NOW + timedelta(hours=1), {})
        assert store.read(work.next_due) == NOW + timedelta(hours=1)

    def test_arming_anew_voids_a_lease(self, store: Store) -> None:
        store.write(work.arm, make_work("arn:1"))
        (mine,) = store.write(work.claim, NOW, "me", 9, 30.0)
        store.write(work.arm, make_work("arn:1"))
        assert store.write(work.finish, "arn:1", mine.lease_token) is False
        assert len(store.write(work.claim, NOW, "me", 9, 30.0)) == 1
        assert store.write(work.drop, "arn:1") is True

    def test_no_row_goes_to_two_claimants(self, store: Store) -> None:
        def arm_all(conn: sa.Connection) -> None:
            for i in range(60):
                work.arm(conn, make_work(f"arn:{i:02}"))

        store.write(arm_all)

        def claim_until_none(owner: int) -> list[str]:
            mine: list[str] = []
            while batch := store.write(work.claim, NOW, str(owner), 3, 30.0):
                mine += [each.arn for each in batch]
            return mine

        with ThreadPoolExecutor(8) as pool:
            claimed = [arn for mine in pool.map(claim_until_none, range(8)) for arn in mine]
        assert sorted(claimed) == [f"arn:{i:02}" for i in range(60)]
