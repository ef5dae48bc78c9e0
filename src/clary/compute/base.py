"""The seams of compute: what a run is, where it may go, how it is watched.

    service noun ──RunSpec──▶ Placement ──HostSpec──▶ agent (one per host) ──▶ sandbox ──▶ program
                 ◀─RunState──           ◀─result.json─                ──facts over HTTP──▶ engine

A **run** is one execution of one container on one or more hosts. Everything in a spec is JSON, so that an
agent can be started on this machine, in a Ray actor or in a pod from the same text.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol


class RunKind(StrEnum):
    """What a run is for; picks the agent's programme."""

    TRAINING = "training"
    PROCESSING = "processing"
    SERVING = "serving"
    TRANSFORM = "transform"
    NOTEBOOK = "notebook"


RESIDENT = frozenset({RunKind.SERVING, RunKind.NOTEBOOK})
"""Kinds that stay until they are stopped: they reserve little, and do not wait behind jobs."""


class RunPhase(StrEnum):
    """Where a host stands; a run stands where its slowest host does."""

    QUEUED = "Queued"
    STARTING = "Starting"
    DOWNLOADING = "Downloading"
    TRAINING = "Training"
    PROCESSING = "Processing"
    TRANSFORMING = "Transforming"
    SERVING = "Serving"
    UPLOADING = "Uploading"
    ENDED = "Ended"
    LOST = "Lost"


class Outcome(StrEnum):
    """How an ended host ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    """A managed spot interruption; the job may run again from its checkpoint."""
    OUT_OF_TIME = "out_of_time"
    """`MaxRuntimeInSeconds` passed; artefacts were still published."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """What one host may use."""

    cpus: int
    memory_mib: int
    gpus: int = 0


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What an image URI resolved to."""

    kind: str
    """`builtin` (an algorithm of ours), `framework` (script mode), `container` (a real image)."""
    name: str
    """Algorithm or framework: `xgboost`, `scikit-learn`, `pytorch` …; the image itself for containers."""
    version: str = ""
    """Tag of the image as asked for."""
    zygote: str = "base"
    """Zygote whose imports suit it."""


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One run, as the engine asks for it. JSON all through."""

    run_id: str
    """Unique, path-safe; launching the same id twice starts nothing new."""
    kind: RunKind
    account: str
    region: str
    name: str
    """Name of the job or endpoint."""
    arn: str
    runtime: Runtime
    size: Size
    hosts: tuple[str, ...] = ("algo-1",)
    instance_type: str = "ml.m5.large"
    attempt: int = 1
    """1 for the first try; grows with retries and spot restarts."""
    request: Mapping[str, Any] = field(default_factory=dict)
    """The wire document of the noun: for training, the CreateTrainingJob request."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What the platform adds to the program's environment (credentials' URI, endpoint URLs, region)."""
    report_url: str = ""
    """Where agents POST facts: `{report_url}/{host}`; bearer `token`."""
    token: str = ""
    objects: Mapping[str, str] = field(default_factory=dict)
    """S3 for the agent itself: `endpoint`, `access_key`, `secret_key`, `region`."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "RunSpec":
        """Read what `to_json` wrote."""
        values = dict(document)
        values["kind"] = RunKind(values["kind"])
        values["runtime"] = Runtime(**values["runtime"])
        values["size"] = Size(**values["size"])
        values["hosts"] = tuple(values["hosts"])
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one host ended; the agent publishes it as `result.json` by rename before it reports it."""

    outcome: Outcome
    phase: RunPhase = RunPhase.TRAINING
    """Phase in which it ended."""
    exit_code: int | None = None
    signal: str | None = None
    """`SIGKILL` and so on, where a signal ended the program."""
    reason: str = ""
    """`FailureReason` as the customer reads it, prefix included; empty on success."""
    is_retryable: bool = False
    """A fault of the platform (lost object store, lost host), not of the job."""
    started_ms: int = 0
    ended_ms: int = 0
    artifacts: str = ""
    """S3 URI of the model artefact, if one was published."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """Versions of the data that came in, by channel."""
    message: str = ""
    """What a processing program left in `/opt/ml/output/message`."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Result":
        """Read what `to_json` wrote."""
        values = dict(document)
        values["outcome"] = Outcome(values["outcome"])
        values["phase"] = RunPhase(values["phase"])
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class RunState:
    """A run as it stands now."""

    phase: RunPhase
    results: Mapping[str, Result] = field(default_factory=dict)
    """By host, those that ended."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """By host, the unix socket or `host:port` at which a serving program answers, once it is healthy."""
    live: frozenset[str] = frozenset()
    """Hosts that ended but whose agent still runs: it has its last report to send."""


class Placement(Protocol):
    """Where the hosts of a run go.

    Promises
    --------
    - `launch` is idempotent by `run_id`, takes all hosts or none, and returns before they have started.
      What does not fit now is queued, and starts in order when room appears.
    - `poll` never waits. A host whose agent is gone and left no result is `LOST`. An unknown run is `LOST`.
    - `stop` is idempotent and returns at once: SIGTERM to the program, SIGKILL after `grace_s`; what is
      queued ends. `outcome` is what the agent then writes: `stopped`, `interrupted` or `out_of_time`.
    - `discard` forgets an ended run and frees its folder; of a live one it first kills every process.
    - `forsake` ends what the control plane of another node, which is lost, has where this one reaches it.
    - Methods may be called from any thread. After a restart of the control plane all of them work as before.
    """

    name: ClassVar[str]

    def launch(self, spec: RunSpec) -> None:
        """Start, or queue, every host of `spec`.

        Raises
        ------
        ResourceLimitExceeded
            One host is larger than the whole machine.
        """
        ...

    def poll(self, run_id: str) -> RunState:
        """Return how the run stands."""
        ...

    def stop(self, run_id: str, *, outcome: Outcome = Outcome.STOPPED, grace_s: float = 120.0) -> None:
        """Ask every host to end."""
        ...

    def discard(self, run_id: str) -> None:
        """Forget the run."""
        ...

    def forsake(self, node: str) -> None:
        """End what the lost node `node` has left beyond its own machine; returns at once."""
        ...
