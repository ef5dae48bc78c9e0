r"""Hyperparameters: declared once with range, default and tunability, then read from the wire's strings.

    Integer · Continuous · Categorical · Text        one value
    Words · Signs · Groups                           several: hyperlists.py

A declaration without a default is required; `default=None` leaves the choice to the library. Values arrive as
strings, and some clients put JSON quotes around them: `"5"` and `"\"5\""` read the same.
"""

import builtins
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from clary.kernel.errors import CustomerError

REQUIRED: Final = "<required>"
"""Default of a hyperparameter that the customer must set."""

_MAX_LISTED = 40


@dataclass(frozen=True, kw_only=True)
class Recommended:
    """The range that tuning starts from."""

    min: float
    max: float
    scale: str = "Linear"
    """`Linear`, `Logarithmic` or `ReverseLogarithmic`."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A range of numbers; each end closed (`min`, `max`) or open (`above`, `below`), or absent."""

    min: float | None = None
    max: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: object) -> bool:
        """Say whether `value` lies within."""
        if not isinstance(value, int | float) or math.isnan(value):
            return False
        return not (
            (self.min is not None and value < self.min)
            or (self.max is not None and value > self.max)
            or (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
        )

    def __str__(self) -> str:
        """Spell it as `[0, +inf)`."""
        left = (
            f"({self.above}"
            if self.above is not None
            else f"[{self.min}"
            if self.min is not None
            else "(-inf"
        )
        right = (
            f"{self.below})"
            if self.below is not None
            else f"{self.max}]"
            if self.max is not None
            else "+inf)"
        )
        return f"{left}, {right}"


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """One hyperparameter of any kind."""

    name: str
    doc: str
    default: Any = REQUIRED
    usual: str = ""
    """What the library takes where nothing is given and `default` is None; told, not sent."""
    aliases: tuple[str, ...] = ()
    """Other names that mean the same."""
    tunable: Recommended | tuple[str, ...] | None = None
    """What tuning may try; None means that it may not be tuned."""

    kind: ClassVar[str] = "FreeText"
    """`Type` as DescribeAlgorithm spells it."""
    wanted: ClassVar[str] = "text"

    @property
    def is_required(self) -> bool:
        """Whether a job without it is refused."""
        return isinstance(self.default, str) and self.default == REQUIRED

    @property
    def allowed(self) -> str:
        """What is allowed, as messages and documentation say it."""
        return self.wanted

    def parse(self, text: str) -> Any:
        """Read the wire's string; ValueError when it is no such value."""
        return text

    def admits(self, value: Any) -> bool:
        """Say whether a parsed value is in range."""
        return True

    def read(self, text: str) -> Any:
        """Parse and check one value.

        Raises
        ------
        CustomerError
            Malformed, or out of range; the text names the hyperparameter, the value and what is allowed.
        """
        try:
            value = self.parse(text.strip())
        except (ValueError, SyntaxError, TypeError) as error:
            raise CustomerError(
                f"Hyperparameter {self.name}: could not parse value {text!r}; expected {self.allowed}"
            ) from error
        if not self.admits(value):
            raise CustomerError(f"Hyperparameter {self.name}: value {text} not in range {self.range_text}")
        return value

    @property
    def range_text(self) -> str:
        """The range alone."""
        return self.allowed


@dataclass(frozen=True, kw_only=True)
class _Numeric(Hyperparameter):
    min: float | None = None
    max: float | None = None
    above: float | None = None
    """Open lower bound."""
    below: float | None = None
    """Open upper bound."""
    words: tuple[str, ...] = ()
    """Words that stand for a number: `auto`."""

    @property
    def interval(self) -> Interval:
        """Range of the value."""
        return Interval(min=self.min, max=self.max, above=self.above, below=self.below)

    @property
    def allowed(self) -> str:
        """Say what is allowed."""
        return f"{self.wanted} in range {self.range_text}"

    @property
    def range_text(self) -> str:
        """Spell the range alone."""
        return " or ".join([str(self.interval), *(word or "nothing" for word in self.words)])

    def read(self, text: str) -> Any:
        """Parse and check one value, a number or one of `words`; CustomerError names it."""
        word = text.strip()
        return word if word in self.words else super().read(text)

    def admits(self, value: Any) -> bool:
        """Say whether a parsed value is in range."""
        return value in self.interval


@dataclass(frozen=True, kw_only=True)
class Integer(_Numeric):
    """A whole number."""

    kind: ClassVar[str] = "Integer"
    wanted: ClassVar[str] = "an integer"

    def parse(self, text: str) -> int:
        """Read an integer; tuning sends whole floats such as `6.0` too."""
        try:
            return int(text)
        except ValueError:
            value = float(text)
            if not value.is_integer():
                raise
            return int(value)


@dataclass(frozen=True, kw_only=True)
class Continuous(_Numeric):
    """A real number."""

    kind: ClassVar[str] = "Continuous"
    wanted: ClassVar[str] = "a number"

    def parse(self, text: str) -> float:
        """Read a float."""
        return float(text)


@dataclass(frozen=True, kw_only=True)
class Categorical(Hyperparameter):
    """One of several words."""

    choices: tuple[str, ...]

    kind: ClassVar[str] = "Categorical"

    @property
    def allowed(self) -> str:
        """Say what is allowed."""
        return f"one of {', '.join(self.choices)}"

    @property
    def range_text(self) -> str:
        """Spell the range alone."""
        return f"[{', '.join(self.choices)}]"

    def parse(self, text: str) -> str:
        """Read a word; letter case of a boolean does not matter."""
        return text.lower() if text not in self.choices and {"true", "false"} <= set(self.choices) else text

    def admits(self, value: Any) -> bool:
        """Say whether a parsed value is in range."""
        return value in self.choices


@dataclass(frozen=True, kw_only=True)
class Text(Hyperparameter):
    """Any text."""


@dataclass(frozen=True)
class Params(Mapping[str, Any]):
    """Validated hyperparameters: those given, and those with a default."""

    values_by_name: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)

    def int(self, name: str) -> builtins.int:
        """Return an integer that is certainly there."""
        return builtins.int(self.values_by_name[name])

    def float(self, name: str) -> builtins.float:
        """Return a number that is certainly there."""
        return builtins.float(self.values_by_name[name])

    def text(self, name: str) -> str:
        """Return a word that is certainly there."""
        return str(self.values_by_name[name])

    def is_true(self, name: str) -> bool:
        """Say whether a `true`/`false` or 0/1 hyperparameter is set and true."""
        return self.values_by_name.get(name) in ("true", 1)


Rule = Callable[[Params], None]
"""Checks hyperparameters against each other; raises CustomerError."""


def unquoted(text: str) -> str:
    """Take off the JSON quotes that script-mode clients put around strings."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, str) else text
    return text


def validate(
    declared: Sequence[Hyperparameter], given: Mapping[str, Any], rules: Sequence[Rule] = ()
) -> Params:
    """Read the hyperparameters of a request.

    Parameters
    ----------
    declared : sequence of Hyperparameter
        All that the algorithm has.
    given : mapping of str to str
        As in CreateTrainingJob; names that start with `sagemaker_` are the platform's and are passed over.
    rules : sequence of Rule
        Run in order, after every value is in range.

    Raises
    ------
    CustomerError
        One is missing or unknown, a value is malformed or out of range, or a rule is broken.
    """
    by_name = {each.name: each for each in declared}
    aliases = {alias: each.name for each in declared for alias in each.aliases}
    asked: dict[str, str] = {}
    for name, text in given.items():
        if name.startswith("sagemaker_"):
            continue
        plain = aliases.get(name, name)
        if plain not in by_name:
            raise CustomerError(f"Extraneous hyperparameter found: {name}{_closest(name, by_name)}")
        if plain in asked and asked[plain] != unquoted(str(text)):
            raise CustomerError(f"Hyperparameter {plain}: given twice, as {name} too, with different values")
        asked[plain] = unquoted(str(text))
    values: dict[str, Any] = {}
    for each in declared:
        if each.name in asked:
            values[each.name] = each.read(asked[each.name])
        elif each.is_required:
            raise CustomerError(f"Missing required hyperparameter: {each.name}")
        elif each.default is not None:
            values[each.name] = each.default
    params = Params(values)
    for rule in rules:
        rule(params)
    return params


def _closest(name: str, by_name: Mapping[str, Hyperparameter]) -> str:
    """Suggest what was probably meant."""
    import difflib  # noqa: PLC0415 - 4 ms, and only on the way to an error

    near = difflib.get_close_matches(name, by_name, n=1, cutoff=0.75)
    if near:
        return f". Did you mean {near[0]}?"
    return f". There are: {', '.join(sorted(by_name))}" if len(by_name) <= _MAX_LISTED else ""
