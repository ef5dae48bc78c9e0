"""The worker: claims due machines, runs their steps, commits their moves.

Life of one turn
1. `claim` leases the rows that are due.
2. The step runs outside any transaction.
3. One transaction re-reads the record, checks that nobody changed it meanwhile, and writes status,
   transition, document and the machine's next due time, guarded by the lease.
4. A move without delay runs the next step at once, under the same lease.
"""

import asyncio
import logging
import traceback
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from clary.engine.machine import Job, Machine, Move
from clary.engine.world import World
from clary.kernel import ids
from clary.store import records, work
from clary.store.work import Work

log = logging.getLogger("clary.engine")

LEASE_S = 30.0
IDLE_S = 5.0
"""Longest sleep of the worker: the safety net under lost wakes."""
RETRY_S = 2.0
MAX_STEP_FAULTS = 8
"""A step that raises so often in a row ends its job as Failed: no machine spins for ever."""

class Worker:
    """Drives every machine of one control plane; several workers may share a store."""

    def __init__(self, world: World, machines: Mapping[str, Machine], *, width: int = 32) -> None:
        self.world = world
        self.machines = machines
        self.owner = ids.short()
        self._width = width
        self._awake = asyncio.Event()
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._loop = asyncio.get_running_loop()

    def wake(self, arn: str) -> None:
        """Make the machine of `arn` due now; from any thread."""
        self.world.store.write(work.wake, arn, self.world.clock())
        self.nudge(arn)

    def nudge(self, arn: str) -> None:
        """Look at once for due machines, `arn` among them (its row is due already)."""
        self._loop.call_soon_threadsafe(self._nudge, arn)

    def _nudge(self, arn: str) -> None:
        if arn in self._busy:
            self._again.add(arn)
        self._awake.set()

    async def run(self) -> None:
        """Drive machines until cancelled."""
        while True:
            self._awake.clear()
            room = self._width - len(self._busy)
            claimed = await asyncio.to_thread(self._claim, room) if room else []
            for row in claimed:
                task = asyncio.create_task(self._drive(row))
                self._busy[row.arn] = task
                task.add_done_callback(lambda _t, arn=row.arn: self._ended(arn))
            if claimed:
                continue
            delay = await asyncio.to_thread(self._delay)
            try:
                await asyncio.wait_for(self._awake.wait(), delay)
            except TimeoutError:
                continue

    async def close(self) -> None:
        """Cancel running steps; their leases lapse."""
        for task in list(self._busy.values()):
            task.cancel()
        await asyncio.gather(*self._busy.values(), return_exceptions=True)

    def _ended(self, arn: str) -> None:
        self._busy.pop(arn, None)
        self._again.discard(arn)
        self._awake.set()

    def _claim(self, room: int) -> list[Work]:
        now = self.world.clock()
        return self.world.store.write(work.claim, now, self.owner, room, LEASE_S)

    def _delay(self) -> float:
        due = self.world.store.read(work.next_due)
        if due is None:
            return IDLE_S
        return min(IDLE_S, max(0.01, (due - self.world.clock()).total_seconds()))

    async def _drive(self, row: Work) -> None:
        """Step one machine until it wants to wait, ends, or the lease is lost."""
        faults = 0
        while True:
            job = await asyncio.to_thread(self._load, row)
            if job is None:
                return
            machine = self.machines[row.noun]
            try:
                move = await machine.step_of(row.state)(job, self.world)
                if not machine.admits(row.state, move.state):
                    raise RuntimeError(f"{row.noun}: no edge {row.state} -> {move.state}")  # noqa: TRY301
                faults = 0
            except Exception:
                faults += 1
                log.exception("step %s of %s", row.state, row.arn)
                move = self._after_fault(machine, row, faults)
            after = await asyncio.to_thread(self._apply, row, job, machine, move)
            if after is None:
                return
            row = after
            self._again.discard(row.arn)

    def _after_fault(self, machine: Machine, row: Work, faults: int) -> Move:
        text = traceback.format_exc(limit=0).strip().splitlines()[-1]
        count = int(row.memory.get("faults", 0)) + 1
        if count >= MAX_STEP_FAULTS and "Failed" in machine.edges.get(row.state, frozenset()):
            return Move("Failed", {"FailureReason": f"InternalServerError: the platform failed: {text}"})
        return Move(row.state, memory={"faults": count}, after_s=min(30.0, RETRY_S * 2 ** min(count, 4)))

    def _load(self, row: Work) -> Job | None:
        record = self.world.store.read(records.find_by_arn, row.arn)
        if record is None:
            self.world.store.write(work.finish, row.arn, row.lease_token)
            return None
        return Job(record=record, state=row.state, memory=row.memory)

    def _apply(self, row: Work, job: Job, machine: Machine, move: Move) -> Work | None:
        """Commit a move; return the row to go on with, or None to let it rest."""
        now = self.world.clock()
        memory = {**row.memory, **move.memory}
        is_final = machine.is_final(move.state)
        rests = is_final or move.after_s > 0

        def unit(conn: Connection) -> str:
            current = records.find_by_arn(conn, row.arn)
            if current is None:
                work.finish(conn, row.arn, row.lease_token)
                return "gone"
            if current.version != job.record.version:
                return "again" if work.renew(conn, row.arn, row.lease_token, now + timedelta(seconds=LEASE_S)) else "lost"
            changes: dict[str, Any] = dict(move.document)
            if move.state != row.state or move.message:
                changes |= machine.enter(current.document, move.state, now=now, message=move.message)
            if is_final:
                held = work.finish(conn, row.arn, row.lease_token)
            elif rests:
                held = work.advance(
                    conn, row.arn, row.lease_token, move.state, now + timedelta(seconds=move.after_s), memory
                )
            else:
                held = work.renew(conn, row.arn, row.lease_token, now + timedelta(seconds=LEASE_S))
                held = held and work.keep(conn, row.arn, row.lease_token, move.state, memory)
            if not held:
                return "lost"
            status = machine.status(move.state)
            if changes or status != current.status:
                document = {**current.document, **changes}
                records.update(conn, replace(current, document=document, status=status, modified=now))
            return "done"

        verdict = self.world.store.write(unit)
        if verdict in {"gone", "lost"}:
            return None
        if verdict == "again":
            return row
        if is_final and machine.release is not None:
            machine.release(job, self.world)
        if rests:
            return None
        return replace(row, state=move.state, memory=memory)
