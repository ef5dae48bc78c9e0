"""A noun, declared once; what is not said is derived from the service model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from clary.engine.machine import Machine
from clary.engine.notes import Note
from clary.store.records import Record

if TYPE_CHECKING:
    from clary.resource.call import Call

View = Callable[["Call", Record], Any]
"""Computes one member when it is described; never stored."""

Joined = Callable[["Call", Sequence[Record]], Sequence[Mapping[str, Any]]]
"""Computes members that Search alone shows, for all records of a page at once."""

Admit = Callable[["Call", Mapping[str, Any]], Mapping[str, Any]]
"""Checks a Create request beyond the model; returns members to store beside the request's own."""


SINCE: Mapping[str, str] = {"CreationTimeAfter": "created ge"}
"""Filters of nouns whose `CreationTimeAfter` is "greater than or equal to", in the model's words."""


class NotFound(Enum):
    """Which code a missing resource answers with."""

    RESOURCE = "ResourceNotFound"
    VALIDATION = "ValidationException"
    """What AWS really sends for the older nouns, whatever the model declares."""


def nothing(_call: "Call", _request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Admit every request as it is."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One noun of a service."""

    noun: str
    """As in `Create<Noun>`."""
    arn: str
    """Template of the ARN's resource part: `training-job/{TrainingJobName}`."""
    key: str = ""
    """Member that names one; empty means `<Noun>Name`."""
    status: str = ""
    """Member of the coarse status; empty when the noun has none."""
    machine: Machine | None = None
    """Machine that drives it from Create on."""
    missing: NotFound = NotFound.RESOURCE
    missing_text: str = "Could not find {title} '{key}'."
    """Text of the error of a missing one; `{title}`, `{key}` and `{arn}` are filled in."""
    taken: str = "ResourceInUse"
    """Code of the error of a second Create under one name."""
    taken_text: str = (
        "{noun} with name {key} already exists ({arn}); names must be unique within an account and region."
    )
    admit: Admit = nothing
    view: Mapping[str, View] = field(default_factory=dict)
    """Members computed when described."""
    kept: frozenset[str] = frozenset()
    """Members of `view` of which the document has a copy, too: where Search looks."""
    filters: Mapping[str, str] = field(default_factory=dict)
    """List filters that do not follow the grammar: request member to `field op`."""
    summary_view: Mapping[str, View] = field(default_factory=dict)
    """Members computed for a list's summaries."""
    joined: Joined | None = None
    """Members computed for Search."""
    note: Note | None = None
    """What follows from it: its trial component, its lineage. A fault in it is logged, and hurts nothing."""
    descending: bool = True
    """Default direction of lists."""
    deletable: frozenset[str] = frozenset()
    """States in which Delete is allowed; empty means all."""
    id_case: str = ""
    """Title of the noun in error texts; empty means the noun in words."""

    @property
    def name_member(self) -> str:
        """Member that names one."""
        return self.key or f"{self.noun}Name"

    @property
    def arn_member(self) -> str:
        """Member that holds the ARN."""
        return f"{self.noun}Arn"

    @property
    def title(self) -> str:
        """The noun in words: `training job`."""
        if self.id_case:
            return self.id_case
        words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in self.noun)
        return words.strip()
