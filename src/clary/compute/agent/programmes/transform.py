"""Batch transform: a model in, this host's share of the objects through it, outputs out.

Downloading ──▶ Starting ──▶ Transforming ──▶ result
    │ stop          │ stop, model lost: what is published stays, what is not is dropped
    ▼               │ an object fails: the others go on, the job fails in the end
  result ◀──────────┘

The agent reads, splits, writes; models are loaded and asked in sandboxes. A built-in model and a row of
several get blocks of shared memory (`batch/direct.py`), every other one frames (`batch/replica.py`).
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clary.compute.agent import failure
from clary.compute.agent.batch import capture, direct
from clary.compute.agent.batch.base import Model
from clary.compute.agent.batch.plan import Plan
from clary.compute.agent.batch.replica import ReplicaModel
from clary.compute.agent.batch.work import Tally, Work, stamp
from clary.compute.agent.execute import objects_for
from clary.compute.agent.host import INSIDE, REASON_CHARS, Host
from clary.compute.agent.programmes._containers import Batch, Container, Process, processes_of
from clary.compute.agent.programmes.serving import FAILURE, SOCKET, SOCKET_FOLDER, Part, socket_folder
from clary.compute.agent.reports import Reporter
from clary.compute.agent.watch import InterruptionError, Watch
from clary.compute.base import Outcome, Result, RunPhase
from clary.compute.invocations import execution_parameters
from clary.compute.runners.base import Exit
from clary.kernel.clock import epoch_ms
from clary.kernel.errors import CustomerError
from clary.toolkit import beneath, channels
from clary.toolkit.channels import Item, Share
from clary.toolkit.objects import Objects
from clary.toolkit.transform import columns
from clary.toolkit.transform.records import Processing

DATA_LOG = "data-log"
"""Log stream below the host's own. Source: developer guide, "Log events"."""
ACCEPT_S = 600.0
"""For a built-in model to load."""
ENDING_S = 2.0
"""Between a model's last word and its exit."""
ROW = "clary.serving.blocks:main"
DOOR = "door.sock"
"""Where a program comes to be asked in blocks, beside the replica's own socket."""

PARAMETERS_S = 10.0
"""For a container to say how it wants to be asked."""
SHOWN = 300
"""Characters of one object's fault in the FailureReason."""


def run(host: Host, watch: Watch, reporter: Reporter) -> Result:
    """Transform this host's share."""
    return TransformRun(host, watch, reporter).run()


class ModelFailedError(Exception):
    """A model's program ended by itself; the text is the FailureReason."""

    def __init__(self, reason: str, exit_: Exit) -> None:
        super().__init__(reason)
        self.exit = exit_


class TransformRun:
    """One transforming host, from its models to its result."""

    def __init__(self, host: Host, watch: Watch, reporter: Reporter) -> None:
        self._host = host
        self._watch = watch
        self._reporter = reporter
        self._plan = Plan.from_request(host.spec.request)
        n = len(host.spec.request["Containers"])
        self._containers = [Container(host, place, watch, reporter) for place in range(n)]
        self._places: list[Place] = []

    def run(self) -> Result:
        """Return how it ended."""
        self._host.enter(RunPhase.DOWNLOADING)
        objects = objects_for(self._host)
        items = self._watch.during(lambda: self._stage(objects), objects.cancel.set)
        self._host.enter(RunPhase.STARTING)
        self._tell(self._plan.headline)
        try:
            with contextlib.ExitStack() as stack:
                model = self._started(stack, items)
                self._host.enter(RunPhase.TRANSFORMING)
                tally = self._transformed(objects, model, items)
        except ModelFailedError as error:
            members = {"exit_code": error.exit.code, "signal": error.exit.signal}
            return self._host.result(Outcome.FAILED, reason=str(error), **members)
        if not tally.failures:
            return self._host.result(Outcome.SUCCEEDED)
        return self._host.result(Outcome.FAILED, reason=_reason(tally, len(items)))

    def _stage(self, objects: Objects) -> list[Item]:
        """Bring in the models; return this host's objects."""
        channel = replace(self._plan.channel, distribution="ShardedByS3Key")
        hosts = self._host.spec.hosts
        items = Share(channel, channels.resolve(channel, objects), hosts, self._host.name).of_epoch(0)
        for each in self._containers:
            each.serving.stage(objects)
        return items

    def _started(self, stack: contextlib.ExitStack, items: Sequence[Item]) -> Model:
        """Start the models' programs and return the way to ask them."""
        for each in self._containers:
            each.packages = each.serving.packages()
        kinds = {each.host.spec.runtime.kind for each in self._containers}
        if kinds == {"builtin"} or (len(self._containers) > 1 and kinds <= {"builtin", "framework"}):
            return self._direct(stack, items)
        return self._replicas(stack)

    def _replicas(self, stack: contextlib.ExitStack) -> Model:
        """Start every container; they are asked over frames, one after the other."""
        plan = self._plan
        for each in self._containers:
            address = str(socket_folder(each.host.home) / SOCKET)
            self._places.append(Place(Process(each, None, address), self._watch))
            self._places[-1].start(stack)
        for place in self._places:
            place.await_health()
        plan = self._plan = self._advised(plan)
        processing = Processing.of(
            plan.processing, content_type=plan.content_type, split=plan.split, is_stamped=plan.is_stamped
        )
        addresses = [place.process.address for place in self._places]
        return ReplicaModel(addresses, plan, processing, [each.name for each in self._containers])

    def _advised(self, plan: Plan) -> Plan:
        """Return the plan as the first container wants it, where it is a real image and says so."""
        first = self._places[0].process
        if not first.owner.serving.is_contained:
            return plan
        found = execution_parameters(first.address, PARAMETERS_S)
        advised = plan.advised(found, self._host.spec.request)
        if advised != plan:
            self._tell(advised.headline)
        return advised

    def _direct(self, stack: contextlib.ExitStack, items: Sequence[Item]) -> Model:
        """Start the model's own program, or that of a row; it is asked in blocks."""
        plan, spec = self._plan, self._host.spec
        threads = max(1, min(spec.size.cpus, os.cpu_count() or 1))
        first = self._containers[0]
        if len(self._containers) > 1:
            patience = {"retries": plan.retries, "timeout_s": plan.timeout_s}
            batch = Batch(call=ROW, arguments=_described(plan, threads), patience=patience)
            processes = processes_of(self._containers, batch=batch)
        else:
            arguments = first.serving.described() | _described(plan, threads)
            folder = socket_folder(first.host.home)
            part = Part(call=direct.PROGRAM, arguments=arguments, sockets=folder)
            processes = [Process(first, part, str(folder / SOCKET))]
        self._places = [Place(each, self._watch) for each in processes]
        listening = stack.enter_context(direct.door(Path(processes[0].address).with_name(DOOR)))
        for place in self._places:
            place.start(stack)
        for place in self._places[1:]:
            place.await_health()
        n_bytes = sum(item.entry.size or 0 for item in items if item.entry is not None)
        is_large = n_bytes >= columns.COMPILED_BYTES and columns.is_csv(plan.content_type)
        is_read_here = is_large and len(self._containers) == 1
        compiled = columns.Compiled() if is_read_here else None
        return direct.DirectModel(self._places[0].accepted(listening), plan, threads, compiled)

    def _transformed(self, objects: Objects, model: Model, items: list[Item]) -> Tally:
        """Do the work, while looking after the models."""
        spec = self._host.spec
        work = Work(
            objects, self._plan, model, self._tell, attempt=spec.attempt, began_ms=spec.request["CreatedMs"]
        )

        def cancel() -> None:
            objects.cancel.set()
            model.close()

        over = threading.Event()
        guard = threading.Thread(target=self._guard, args=(over, cancel), name="guard", daemon=True)
        guard.start()
        try:
            tally = self._watch.during(lambda: work.run(items), cancel)
            if any(status == 0 for _, status, _ in tally.failures):  # no answer came: is there anybody?
                self._raise_failure()
            capture.write(objects, self._plan, tally.published, f"{self._plan.job}/{self._host.name}")
        except (InterruptionError, ModelFailedError):
            raise
        except Exception:  # of whatever kind: where a model has ended, that is why
            self._raise_failure()
            raise
        finally:
            over.set()
            model.close()
            guard.join()
        return tally

    def _raise_failure(self) -> None:
        """Raise why a program has ended, where one has; one that hung up in good order is not to blame."""
        until = time.monotonic() + ENDING_S
        while True:
            ended = [(place, exit_) for place in self._places if (exit_ := place.process.exit) is not None]
            if ended:
                place, exit_ = next((each for each in ended if each[1].code != 0), ended[0])
                raise ModelFailedError(place.why(exit_, "The model ended before its work"), exit_)
            if time.monotonic() > until:
                return
            time.sleep(0.02)

    def _guard(self, over: threading.Event, cancel: Callable[[], None]) -> None:
        """Call everything off when a model's program ends too early."""
        while not over.wait(0.1):
            if any(place.process.exit is not None for place in self._places):
                cancel()
                return

    def _tell(self, text: str) -> None:
        self._reporter.log(epoch_ms(), stamp(text), DATA_LOG)


def _described(plan: Plan, threads: int) -> dict[str, Any]:
    """Return what a program that is asked in blocks is told of the job."""
    return {
        "socket": f"{SOCKET_FOLDER}/{DOOR}",
        "failure": f"{INSIDE}/{FAILURE}",
        "threads": threads,
        "content_type": plan.content_type,
        "accept": plan.accept,
        "split": plan.split,
        "assemble_with": plan.assemble_with,
        "is_single": plan.is_single_lines,
        "is_stamped": plan.is_stamped,
        "processing": dict(plan.processing),
    }


def _reason(tally: Tally, n_objects: int) -> str:
    """Return the FailureReason of objects that failed. Source: its first sentence is the service's own."""
    status = max(each[1] or 500 for each in tally.failures)
    kind = "ClientError" if status < 500 else "AlgorithmError"
    name, _, why = min(tally.failures)
    which = f"{len(tally.failures)} of {n_objects} objects failed; the first, " if n_objects > 1 else ""
    shown = why if len(why) <= SHOWN else f"{why[:SHOWN]}..."
    return f"{kind}: See job logs for more information. {which}{name}: {shown}"


class Place:
    """One program of the model on this host."""

    def __init__(self, process: Process, watch: Watch) -> None:
        self.process = process
        self._watch = watch

    def start(self, stack: contextlib.ExitStack) -> None:
        """Start it; the stack ends it."""
        stack.callback(self.process.close)
        self.process.start()

    def await_health(self) -> None:
        """Wait until the replica is well."""
        self._raise_early(self.process.await_health())

    def accepted(self, listening: socket.socket) -> socket.socket:
        """Wait for the program to connect.

        Raises
        ------
        CustomerError
            It did not in time.
        """
        until = time.monotonic() + ACCEPT_S
        listening.settimeout(0.05)
        while time.monotonic() < until:
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                self._raise_early(self.process.exit)
                if (stop := self._watch.look()) is not None:
                    raise InterruptionError(stop.outcome) from None
                continue
            connection.setblocking(True)
            return connection
        raise CustomerError(f"The model was not loaded within {ACCEPT_S:.0f} s.")

    def _raise_early(self, exit_: Exit | Outcome | None) -> None:
        if isinstance(exit_, Outcome):
            raise InterruptionError(exit_)
        if exit_ is not None:
            raise ModelFailedError(self.why(exit_, "The model could not be started"), exit_)

    def why(self, exit_: Exit, lead: str) -> str:
        """Return the FailureReason of a program that ended."""
        owner, pump = self.process.owner, self.process.pump
        spec, ended = owner.host.spec, failure.of_exit(exit_)
        if exit_.is_out_of_memory:
            return failure.out_of_memory(spec, ended, pump.tail)
        written = beneath.read_text(owner.host.ml, FAILURE, REASON_CHARS).strip()
        last = written or failure.last_words(pump.tail or pump.last)
        where = f"{owner.name}: " if owner.name else ""
        return failure.clip(f"AlgorithmError: {where}{lead}, with {ended}: ", last, "")
