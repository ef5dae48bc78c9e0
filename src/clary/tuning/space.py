"""The space that tuning searches: ranges on scales, between the wire's strings and the unit cube.

    "0.01" ──unit──▶ 0.5        of ContinuousParameterRange 0.0001 … 1, Logarithmic
    "0.01" ◀─value── 0.5

Numbers lie in [0, 1]; a category is its place in the list of values.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LINEAR = "Linear"
LOGARITHMIC = "Logarithmic"
REVERSE = "ReverseLogarithmic"
AUTO = "Auto"
WIDE = 100.0
"""`Auto` takes a logarithmic scale when the ends of a range are so many times apart."""
DIGITS = 12
"""Digits of a continuous value: enough, and free of what rounding leaves."""
KINDS = {
    "IntegerParameterRanges": "Integer",
    "ContinuousParameterRanges": "Continuous",
    "CategoricalParameterRanges": "Categorical",
}
"""Members of the wire's `ParameterRanges`, and what they hold."""


@dataclass(frozen=True)
class Parameter:
    """One tuned hyperparameter."""

    name: str
    kind: str
    """`Integer`, `Continuous` or `Categorical`."""
    low: float = 0.0
    high: float = 1.0
    scale: str = LINEAR
    """`Linear`, `Logarithmic` or `ReverseLogarithmic`, never `Auto`."""
    values: tuple[str, ...] = ()
    """Of a category, as the wire spells them."""

    @classmethod
    def from_range(cls, kind: str, document: Mapping[str, Any]) -> "Parameter":
        """Read one range of `ParameterRanges`.

        Raises
        ------
        ValueError
            An end of it is not a number.
        """
        name = document["Name"]
        if kind == "Categorical":
            return cls(name, kind, values=tuple(document["Values"]))
        low, high = _number(document["MinValue"], kind), _number(document["MaxValue"], kind)
        scale = document.get("ScalingType", AUTO)
        return cls(name, kind, low, high, scale=fitting(low, high) if scale == AUTO else scale)

    @property
    def n_values(self) -> float:
        """How many values it has; infinite for a continuous one, unless both ends are one."""
        if self.kind == "Categorical":
            return len(self.values)
        if self.kind == "Integer":
            return self.high - self.low + 1
        return math.inf if self.high > self.low else 1

    def value(self, unit: float) -> str:
        """Return the wire's string of a place in [0, 1], or of a category's place in the list."""
        if self.kind == "Categorical":
            return self.values[int(unit)]
        low, high = self.ends
        at = _from_scale(self.scale, low + unit * (high - low))
        if self.kind == "Integer":
            return str(int(min(max(math.floor(at + 0.5), self.low), self.high)))
        return repr(float(min(max(float(f"{at:.{DIGITS}g}"), self.low), self.high)))

    def unit(self, text: str) -> float | None:
        """Return the place of the wire's string; None where it lies outside of the range."""
        if self.kind == "Categorical":
            return float(self.values.index(text)) if text in self.values else None
        try:
            number = _number(text, "Continuous")
        except ValueError:
            return None
        if not self.low <= number <= self.high:
            return None
        low, high = self.ends
        if high == low:
            return 0.5
        return min(1.0, max(0.0, (_to_scale(self.scale, number) - low) / (high - low)))

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends on the scale; an integer's reach half a step further, so that each gets its share."""
        if self.kind != "Integer":
            return _to_scale(self.scale, self.low), _to_scale(self.scale, self.high)
        low = self.low - 0.5 if self.scale == LINEAR or self.low >= 1 else self.low
        return _to_scale(self.scale, low), _to_scale(self.scale, self.high + 0.5)


@dataclass(frozen=True)
class Space:
    """The product of some ranges."""

    parameters: tuple[Parameter, ...]

    @classmethod
    def from_ranges(cls, ranges: Mapping[str, Sequence[Mapping[str, Any]]]) -> "Space":
        """Read the wire's `ParameterRanges`; by name, so that the order of a request does not matter."""
        found = (
            Parameter.from_range(kind, each)
            for member, kind in KINDS.items()
            for each in ranges.get(member) or ()
        )
        return cls(tuple(sorted(found, key=lambda each: each.name)))

    @property
    def n_values(self) -> float:
        """How many combinations there are."""
        return math.prod((each.n_values for each in self.parameters), start=1.0)

    def values(self, units: Iterable[float]) -> dict[str, str]:
        """Return the hyperparameters of a point."""
        return {each.name: each.value(unit) for each, unit in zip(self.parameters, units, strict=True)}

    def units(self, values: Mapping[str, str]) -> tuple[float, ...] | None:
        """Return the point of some hyperparameters; None where one is missing or out of range."""
        found = [each.unit(values[each.name]) if each.name in values else None for each in self.parameters]
        return None if None in found else tuple(unit for unit in found if unit is not None)


def fitting(low: float, high: float) -> str:
    """Return the scale that `Auto` takes: logarithmic towards the end at which values crowd."""
    if low > 0 and high / low >= WIDE:
        return LOGARITHMIC
    if low >= 0 and high < 1 and (1 - low) / (1 - high) >= WIDE:
        return REVERSE
    return LINEAR


def _number(text: str, kind: str) -> float:
    number = float(str(text).strip().strip('"'))
    if not math.isfinite(number) or (kind == "Integer" and not number.is_integer()):
        raise ValueError(f"{text!r} is not {'an integer' if kind == 'Integer' else 'a number'}")
    return number


def _to_scale(scale: str, number: float) -> float:
    if scale == LOGARITHMIC:
        return math.log(number)
    return -math.log1p(-number) if scale == REVERSE else number


def _from_scale(scale: str, at: float) -> float:
    if scale == LOGARITHMIC:
        return math.exp(at)
    return -math.expm1(-at) if scale == REVERSE else at
