"""The worker: claims due machines, runs their steps, commits their moves.

Life of one turn
1. `claim` leases the rows that are due.
2. The step runs outside any transaction, in a thread of its own.
3. One transaction re-reads the record, checks that nobody changed it meanwhile, and writes status,
   transition, document and the machine's next due time, guarded by the lease.
4. A move without delay runs the next step at once, under the same lease.
"""

import logging
import socket
import threading
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from sqlalchemy import Connection

from clary.engine import notes
from clary.engine.machine import Job, Machine, Move
from clary.engine.notes import Note
from clary.engine.world import World
from clary.store import nodes, notices, records, work
from clary.store.records import Record
from clary.store.work import Place, Work

log = logging.getLogger("clary.engine")

LEASE_S = 30.0
IDLE_S = 5.0
"""Longest sleep of the worker: the safety net under lost wakes."""
RETRY_S = 1.0
MAX_STEP_FAULTS = 8
"""A step that raises so often in a row ends its job as Failed: no machine spins for ever."""


class _Verdict(Enum):
    DONE = "done"
    AGAIN = "again"
    LOST = "lost"


class Worker:
    """Drives every machine of one control plane; several workers may share a store."""

    def __init__(
        self,
        world: World,
        machines: Mapping[str, Machine],
        *,
        width: int = 16,
        noted: Mapping[str, Note] | None = None,
        place: Place = lambda _noun: "",
    ) -> None:
        self.world = world
        self.machines = machines
        self.noted = noted or {}
        self.place = place
        """Says which node a new machine shall belong to."""
        self.owner = world.node or f"{socket.gethostname()}:{world.settings.data_dir}"
        """One control plane runs on a data folder: by this it knows what its own earlier life held."""
        self._slots = threading.Semaphore(width)
        self._pool = ThreadPoolExecutor(width, thread_name_prefix="step")
        self._awake = threading.Event()
        self._sleeps_until: datetime | None = None
        """None while it looks for what is due: it may just have missed it."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Begin to drive; first with what this control plane held when it was killed."""
        self.world.store.write(work.disown, self.owner, self.world.clock())
        self._thread.start()

    def close(self) -> None:
        """Stop claiming and wait for the steps that run."""
        self._closing.set()
        self._awake.set()
        self._thread.join()
        self._pool.shutdown(wait=True)

    def wake(self, arn: str) -> None:
        """Make the machine of `arn` due now; from any thread."""
        self.world.store.write(work.wake, arn, self.world.clock())
        self._awake.set()

    def nudge(self, _arn: str) -> None:
        """Look at once for due machines: a row became due in the caller's own transaction."""
        self._awake.set()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._awake.clear()
            self._sleeps_until = None
            try:
                now = self.world.clock()
                due = self.world.store.read(work.next_due) or now + timedelta(seconds=IDLE_S)
                if due <= now:
                    self._claim(now)
                else:
                    self._sleeps_until = due
                    self._awake.wait(min(IDLE_S, (due - now).total_seconds()))
            except Exception:
                log.exception("the worker could not claim")
                self._closing.wait(RETRY_S)

    def _claim(self, now: datetime) -> None:
        self._slots.acquire()
        try:
            claimed = self.world.store.write(work.claim, now, self.owner, 1, LEASE_S, self.place)
        except BaseException:
            self._slots.release()
            raise
        if not claimed:
            self._slots.release()
        for row in claimed:
            self._pool.submit(self._drive, row).add_done_callback(lambda _done: self._slots.release())

    def _look_at(self, due: datetime) -> None:
        """Look again when a row is due that the sleeping worker does not know of."""
        if self._sleeps_until is None or due < self._sleeps_until:
            self._awake.set()

    def _drive(self, row: Work) -> None:
        """Step one machine until it wants to wait, ends, or the lease is lost."""
        try:
            current: Work | None = row
            while current is not None and not self._closing.is_set():
                current = self._turn(current)
        except Exception:
            log.exception("machine of %s", row.arn)
            self._awake.set()

    def _turn(self, row: Work) -> Work | None:
        record = self.world.store.read(records.find_by_arn, row.arn)
        if record is None:
            self.world.store.write(work.finish, row.arn, row.lease_token)
            return None
        job = Job(record=record, state=row.state, memory=row.memory)
        machine = self.machines[row.noun]
        self.world.held.notices = []
        try:
            move = machine.step_of(row.state)(job, self.world)
            machine.check(row.state, move)
        except Exception:
            log.exception("step %s of %s", row.state, row.arn)
            move = _after_fault(machine, row)
        return self._apply(row, job, machine, move)

    def _apply(self, row: Work, job: Job, machine: Machine, move: Move) -> Work | None:
        """Commit a move; return the row to go on with, or None to let it rest."""
        memory = {**row.memory, "faults": 0, **move.memory}
        held, self.world.held.notices = self.world.held.notices, None
        verdict, due = self.world.store.write(self._commit, row, job, machine, move, memory, held)
        if due is not None:
            self._look_at(due)
        if verdict is _Verdict.AGAIN:
            return row
        if verdict is _Verdict.LOST:
            return None
        if machine.is_final(move.state):
            if machine.release is not None:
                machine.release(job, self.world)
            return None
        return None if move.after_s > 0 else replace(row, state=move.state, memory=memory)

    def _commit(
        self,
        conn: Connection,
        row: Work,
        job: Job,
        machine: Machine,
        move: Move,
        memory: Mapping[str, Any],
        held: list[list[str]],
    ) -> tuple[_Verdict, datetime | None]:
        """Write a move; return how that went, and when a row is due by it that the worker may not know of."""
        now = self.world.clock()
        due: datetime | None = None
        if held:
            notices.tell(conn, {"drop": held})
        current = records.find_by_arn(conn, row.arn)
        if current is None:
            work.finish(conn, row.arn, row.lease_token)
            return _Verdict.LOST, now
        if current.version != job.record.version:
            is_held = work.renew(conn, row.arn, row.lease_token, now + timedelta(seconds=LEASE_S))
            return (_Verdict.AGAIN, None) if is_held else (_Verdict.LOST, now)
        if machine.is_final(move.state):
            is_held = work.finish(conn, row.arn, row.lease_token)
            if is_held and current.document.get(machine.parent):
                work.wake(conn, current.document[machine.parent], now)
                due = now
        elif move.after_s > 0:
            later = now + timedelta(seconds=move.after_s)
            due = work.advance(conn, row.arn, row.lease_token, move.state, later, memory)
            is_held = due is not None
        else:
            until = now + timedelta(seconds=LEASE_S)
            is_held = work.keep(conn, row.arn, row.lease_token, move.state, memory, until)
        if not is_held:
            return _Verdict.LOST, now
        if move.node:
            nodes.leave(conn, move.node, row.arn)
            work.wake(conn, row.arn, now)
        self._show(conn, row, current, machine, move, now)
        return _Verdict.DONE, due

    def _show(
        self, conn: Connection, row: Work, current: Record, machine: Machine, move: Move, now: datetime
    ) -> None:
        """Write what a move shows of its record, and what follows from that."""
        private = {**current.private, **move.private}
        shown = machine.shown(private) if move.private and machine.shown is not None else {}
        changes: dict[str, Any] = {**shown, **move.document}
        for state in (*move.through, move.state):
            if state != row.state or move.message:
                text = move.message if state == move.state else ""
                changes |= machine.enter({**current.document, **changes}, state, now=now, message=text)
        status = machine.status(move.state)
        if changes or move.private or status != current.status:
            document = {**current.document, **changes}
            after = replace(current, document=document, private=private, status=status, modified=now)
            records.update(conn, after)
            if status != current.status:
                notes.write(conn, self.noted.get(row.noun), current, after)


def _after_fault(machine: Machine, row: Work) -> Move:
    """Try a step again with back-off; fail the job when it never succeeds."""
    count = int(row.memory.get("faults", 0)) + 1
    if count >= MAX_STEP_FAULTS and "Failed" in machine.edges.get(row.state, frozenset()):
        text = traceback.format_exc(limit=0).strip().splitlines()[-1]
        return Move("Failed", {"FailureReason": f"InternalServerError: the platform failed: {text}"})
    return Move(row.state, memory={"faults": count}, after_s=min(30.0, RETRY_S * 2 ** min(count - 1, 5)))
