"""Batch transform: a model in, this host's share of the objects through it, outputs out.

Downloading ──▶ Starting ──▶ Transforming ──▶ result
    │ stop          │ stop, model lost: what is published stays, what is not is dropped
    ▼               │ an object fails: the others go on, the job fails in the end
  result ◀──────────┘

The agent reads, splits, writes; models are loaded and asked in sandboxes. A built-in model gets blocks of
shared memory (`batch/direct.py`), every other one frames (`batch/replica.py`).
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from clary.compute.agent import failure
from clary.compute.agent.batch import capture, direct
from clary.compute.agent.batch.base import Model
from clary.compute.agent.batch.plan import Plan
from clary.compute.agent.batch.replica import ReplicaModel
from clary.compute.agent.batch.work import Tally, Work, stamp
from clary.compute.agent.execute import objects_for
from clary.compute.agent.host import INSIDE, REASON_CHARS, Host
from clary.compute.agent.logs import Pump
from clary.compute.agent.programmes._containers import Below, seat
from clary.compute.agent.programmes.serving import FAILURE, SOCKET, SOCKET_FOLDER, ServingRun, socket_folder
from clary.compute.agent.reports import Reporter
from clary.compute.agent.watch import InterruptionError, Watch
from clary.compute.base import Outcome, Result, RunPhase
from clary.compute.containers import name_of
from clary.compute.runners.base import Exit, Program, Running
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
        containers = host.spec.request["Containers"]
        names = [name_of(each, n) if len(containers) > 1 else "" for n, each in enumerate(containers)]
        self._places = [
            Place(seat(host, n), watch, Below(reporter, name), name) for n, name in enumerate(names)
        ]

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
        for place in self._places:
            place.stage(objects)
        return items

    def _started(self, stack: contextlib.ExitStack, items: Sequence[Item]) -> Model:
        """Start the models' programs and return the way to ask them."""
        if len(self._places) == 1 and self._places[0].is_builtin:
            n_bytes = sum(item.entry.size or 0 for item in items if item.entry is not None)
            return self._places[0].direct(stack, self._plan, n_bytes)
        addresses = [place.replica(stack, self._plan) for place in self._places]
        processing = Processing.of(
            self._plan.processing,
            content_type=self._plan.content_type,
            split=self._plan.split,
            is_stamped=self._plan.is_stamped,
        )
        return ReplicaModel(addresses, self._plan, processing, [place.name for place in self._places])

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
                for place in self._places:
                    place.raise_failure()
            capture.write(objects, self._plan, tally.published, f"{self._plan.job}/{self._host.name}")
        except (InterruptionError, ModelFailedError):
            raise
        except Exception:  # of whatever kind: where a model has ended, that is why
            for place in self._places:
                place.raise_failure()
            raise
        finally:
            over.set()
            model.close()
            guard.join()
        return tally

    def _guard(self, over: threading.Event, cancel: Callable[[], None]) -> None:
        """Call everything off when a model's program ends too early."""
        while not over.wait(0.1):
            if any(place.has_ended for place in self._places):
                cancel()
                return

    def _tell(self, text: str) -> None:
        self._reporter.log(epoch_ms(), stamp(text), DATA_LOG)


def _reason(tally: Tally, n_objects: int) -> str:
    """Return the FailureReason of objects that failed. Source: its first sentence is the service's own."""
    status = max(each[1] or 500 for each in tally.failures)
    kind = "ClientError" if status < 500 else "AlgorithmError"
    name, _, why = min(tally.failures)
    which = f"{len(tally.failures)} of {n_objects} objects failed; the first, " if n_objects > 1 else ""
    shown = why if len(why) <= SHOWN else f"{why[:SHOWN]}..."
    return f"{kind}: See job logs for more information. {which}{name}: {shown}"


class Place:
    """One container of the model on this host."""

    def __init__(self, host: Host, watch: Watch, reporter: Reporter, name: str = "") -> None:
        self.name = name
        """Of the container, where the model has several."""
        self._host = host
        self._serving = ServingRun(host, watch, reporter)
        self._watch = watch
        self._running: Running | None = None
        self._pump: Pump | None = None

    @property
    def is_builtin(self) -> bool:
        """The model is of an algorithm of ours."""
        return self._host.spec.runtime.kind == "builtin"

    @property
    def has_ended(self) -> bool:
        """Its program has ended."""
        return self._running is not None and self._running.wait(0) is not None

    def stage(self, objects: Objects) -> None:
        """Bring in model and code."""
        self._serving.stage(objects)

    def replica(self, stack: contextlib.ExitStack, plan: Plan) -> str:
        """Start a replica; return its address once it is well."""
        address = str(socket_folder(self._host.home) / SOCKET)
        Path(address).unlink(missing_ok=True)
        self._start(stack, self._serving.program(self._serving.packages()))
        assert self._running is not None
        exit_ = self._serving.await_health(self._running, address)
        self._raise_early(exit_)
        return address

    def direct(self, stack: contextlib.ExitStack, plan: Plan, n_bytes: int) -> Model:
        """Start the algorithm's own program; return the way to ask it once its model is loaded."""
        threads = max(1, min(self._host.spec.size.cpus, os.cpu_count() or 1))
        listening = stack.enter_context(direct.door(socket_folder(self._host.home) / SOCKET))
        self._start(stack, self._direct_program(plan, threads))
        is_large = n_bytes >= columns.COMPILED_BYTES and columns.is_csv(plan.content_type)
        compiled = columns.Compiled() if is_large else None
        return direct.DirectModel(self._accepted(listening), plan, threads, compiled)

    def _direct_program(self, plan: Plan, threads: int) -> Program:
        spec = self._host.spec
        arguments = {
            "socket": f"{SOCKET_FOLDER}/{SOCKET}",
            "name": spec.runtime.name,
            "version": spec.runtime.version,
            "model_dir": f"{INSIDE}/model",
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
        served = self._serving.program(self._serving.packages())
        return replace(served, call=direct.PROGRAM, arguments=arguments)

    def _start(self, stack: contextlib.ExitStack, program: Program) -> None:
        self._running, self._pump = stack.enter_context(self._serving.executor.running(program))

    def _accepted(self, listening: socket.socket) -> socket.socket:
        """Wait for the program to connect.

        Raises
        ------
        CustomerError
            It did not in time.
        """
        assert self._running is not None
        until = time.monotonic() + ACCEPT_S
        listening.settimeout(0.05)
        while time.monotonic() < until:
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                self._raise_early(self._running.wait(0))
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
            raise ModelFailedError(self._why(exit_, "The model could not be started"), exit_)

    def raise_failure(self) -> None:
        """Raise why the model's program has ended, where it has."""
        exit_ = self._running.wait(ENDING_S) if self._running is not None else None
        if exit_ is not None:
            raise ModelFailedError(self._why(exit_, "The model ended before its work"), exit_)

    def _why(self, exit_: Exit, lead: str) -> str:
        assert self._pump is not None
        spec, ended = self._host.spec, failure.of_exit(exit_)
        if exit_.is_out_of_memory:
            return failure.out_of_memory(spec, ended, self._pump.tail)
        written = beneath.read_text(self._host.ml, FAILURE, REASON_CHARS).strip()
        last = written or failure.last_words(self._pump.tail or self._pump.last)
        where = f"{self.name}: " if self.name else ""
        return failure.clip(f"AlgorithmError: {where}{lead}, with {ended}: ", last, "")
