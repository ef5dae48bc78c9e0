"""The seam of the built-in algorithms.

    algorithms/<name>/definition.py   DEFINITION: what the wire shows; imports nothing heavy
                      fit.py          the arithmetic, imported when a job starts
                      predict.py      the answering side, imported when a replica starts
                      examples.py     small trainings, for the conformance suite and the documentation

The server reads definitions to validate at Create, to own metric tables and to describe an algorithm; a job
calls `fit`; a replica calls `load`.
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from clary.kernel import registry
from clary.kernel.errors import CustomerError
from clary.toolkit.hyperparameters import Hyperparameter, Params

PACKAGE = "clary.algorithms"


@dataclass(frozen=True, kw_only=True)
class Channel:
    """An input of an algorithm."""

    name: str
    doc: str
    content_types: tuple[str, ...]
    """Accepted content types, without parameters; the first is the default."""
    required: bool = False
    modes: tuple[str, ...] = ("File", "FastFile")
    distributions: tuple[str, ...] = ("FullyReplicated", "ShardedByS3Key")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that training prints."""

    name: str
    """As tuning names it: `validation:auc`."""
    goal: str
    """`Maximize` or `Minimize`."""
    regex: str
    """Finds the value in a log line, in which a tab is spelled `#011`."""
    is_tunable: bool = True
    """Whether tuning may choose it as its objective."""


@dataclass(frozen=True, kw_only=True)
class Instances:
    """Where an algorithm can train."""

    cpu: bool = True
    gpu: bool = False
    distributed: bool = False
    """Whether several instances train one model."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One channel of one training, as it lies on this host."""

    name: str
    path: Path
    """Folder of the files, or the FIFO's path without `_<epoch>` in Pipe mode."""
    content_type: str = ""
    """As the request gave it, parameters included; empty when it gave none."""
    mode: str = "File"
    distribution: str = "FullyReplicated"


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training on one host: everything that `fit` may read or write."""

    params: Params
    sources: Mapping[str, Source]
    model_dir: Path
    """What lies here at the end becomes the model artefact."""
    output_data_dir: Path
    """What lies here at the end becomes `output.tar.gz`."""
    checkpoint_dir: Path | None = None
    """Synced while the job runs, and filled again before a retry; None without CheckpointConfig."""
    hosts: tuple[str, ...] = ("algo-1",)
    host: str = "algo-1"
    name: str = ""
    """Name of the training job; the same on every host."""
    n_threads: int = 0
    """Threads to compute with; 0 means as many as this process may use."""

    @property
    def is_first(self) -> bool:
        """Whether this host leads: it writes the model."""
        return self.host == min(self.hosts)

    def source(self, name: str) -> Source:
        """Return a channel that must be there.

        Raises
        ------
        CustomerError
            The request has no such channel.
        """
        if name not in self.sources:
            raise CustomerError(f"Missing required channel: {name}")
        return self.sources[name]


@dataclass(frozen=True, kw_only=True)
class Example:
    """A small training, for the conformance suite and the documentation."""

    name: str
    doc: str
    hyperparameters: Mapping[str, str]
    content_type: str
    channels: Mapping[str, Sequence[bytes]]
    """Rows of each channel, each encoded as one line or record."""
    files: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    """Whole files, by name, of channels that have no rows."""
    metrics: tuple[str, ...]
    """Metrics that it prints, as `DescribeTrainingJob` names them."""
    request_type: str
    requests: tuple[bytes, ...]
    """Bodies of one row each."""
    answer_type: str = "application/json"
    """What its requests accept: JSON, or recordio-protobuf where an algorithm has no JSON."""
    shuffle_tolerance: float = 0.0
    """How far a prediction may move, absolutely, when the rows come in another order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One request to a model."""

    body: bytes
    content_type: str = ""
    accept: str = ""
    attributes: str = ""
    """The client's `X-Amzn-SageMaker-Custom-Attributes`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    takes_parts: bool = False
    """The client reads the answer as it comes: `InvokeEndpointWithResponseStream`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says to one request."""

    body: bytes
    content_type: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    parts: Iterator[bytes] | None = None
    """What follows `body`, made while it is sent; only for a question that takes parts."""


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """A request that the model will not answer; becomes the response's status and body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def answer(self) -> Answer:
        """Return it as the answer it becomes."""
        return Answer(self.message.encode(), "text/plain; charset=utf-8", self.status)


@runtime_checkable
class Predictor(Protocol):
    """A loaded model.

    Promises
    --------
    - `predict_many(questions)[i]` says the same, bit by bit, as `predict_many([questions[i]])[0]`.
    - No question raises: what cannot be answered gets an answer with a status of 400 or more, alone.
    - Methods may be called from several threads at once.
    """

    def predict_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer every question, in order."""
        ...


class Algorithm(Protocol):
    """A built-in algorithm.

    Promises
    --------
    - `validate` reads nothing but its argument, and imports nothing.
    - `fit` is repeatable: the same seed, data and hyperparameters give the same model. Rows in another order
      change it within rounding.
    - Every metric of `metrics` that a training's hyperparameters ask for is printed, flushed, in a line its
      regular expression finds.
    - What `fit` leaves in `model_dir` is all that `load` needs.
    - `CustomerError` is the only exception for a fault in data or hyperparameters; its text is the job's
      `FailureReason`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]]
    passed_over: ClassVar[tuple[Hyperparameter, ...]]
    """What SDKs send along, of the service's own machinery."""
    channels: ClassVar[tuple[Channel, ...]]
    metrics: ClassVar[tuple[Metric, ...]]
    instances: ClassVar[Instances]
    checkpoints: ClassVar[bool]
    """Whether a training leaves checkpoints, and goes on from them."""
    artefacts: ClassVar[tuple[str, ...]]
    """Kinds of the files that hold the model, as `_contents` names them."""
    extra: ClassVar[str]
    """Extra of the package that it stands on, named as the module that it brings: `torch`; empty for none."""
    request_types: ClassVar[tuple[str, ...]]
    """Content types of requests; the first is the default."""
    answer_types: ClassVar[tuple[str, ...]]
    """Content types of answers; the first is the default."""

    def validate(self, given: Mapping[str, str]) -> Params:
        """Read the request's hyperparameters.

        Raises
        ------
        CustomerError
            The text names the hyperparameter, the value and what is allowed.
        """
        ...

    def fit(self, training: Training) -> None:
        """Train, printing metrics, and leave the model in `training.model_dir`.

        Raises
        ------
        CustomerError
            The data does not suit; becomes `FailureReason`.
        """
        ...

    def load(self, model_dir: Path, environ: Mapping[str, str]) -> Predictor:
        """Load a model that `fit`, or the service itself, wrote.

        Raises
        ------
        CustomerError
            There is no such model in `model_dir`, or it cannot be read.
        """
        ...


def names() -> tuple[str, ...]:
    """Return the names of all algorithms, sorted."""
    return registry.stems(PACKAGE)


def find(name: str) -> Algorithm:
    """Return the definition of algorithm `name`, without importing its library.

    Raises
    ------
    LookupError
        No such algorithm; the text lists those that exist.
    """
    registry.member(PACKAGE, name)
    definition: Algorithm = importlib.import_module(f"{PACKAGE}.{name}.definition").DEFINITION
    return definition


def examples(name: str) -> tuple[Example, ...]:
    """Return the examples of algorithm `name`."""
    found: tuple[Example, ...] = importlib.import_module(f"{PACKAGE}.{name}.examples").EXAMPLES
    return found


def validate_channels(algorithm: Algorithm, asked: Mapping[str, Mapping[str, str]]) -> None:
    """Check the channels of a request against those of an algorithm.

    Parameters
    ----------
    asked : mapping
        As `inputdataconfig.json` has it: a channel's name to its `ContentType`, `TrainingInputMode`,
        `S3DistributionType`.

    Raises
    ------
    CustomerError
        A required channel is missing, or one is unknown, or is of a content type, input mode or
        distribution that the algorithm does not read.
    """
    declared = {channel.name: channel for channel in algorithm.channels}
    for channel in algorithm.channels:
        if channel.required and channel.name not in asked:
            raise CustomerError(f"Missing required channel: {channel.name}")
    for name, given in asked.items():
        if name not in declared:
            raise CustomerError(f"Extraneous channel found: {name}. There are: {', '.join(sorted(declared))}")
        _admit(declared[name], given)


def _admit(channel: Channel, given: Mapping[str, str]) -> None:
    content_type = given.get("ContentType", "").partition(";")[0].strip().lower()
    rules = (
        ("ContentType", content_type, channel.content_types),
        ("TrainingInputMode", given.get("TrainingInputMode", ""), channel.modes),
        ("S3DistributionType", given.get("S3DistributionType", ""), channel.distributions),
    )
    for member, value, allowed in rules:
        if value and value not in allowed:
            raise CustomerError(
                f"Channel configuration for '{channel.name}' channel is not supported: {member} is {value}, "
                f"allowed: {', '.join(allowed)}"
            )
