"""Hyperparameters that hold several values: `a,b,c`, `64,32`, `(1,0,-1)`, `[[0,1],[2]]`."""

import ast
import math
from dataclasses import dataclass
from typing import Any, ClassVar

from clary.toolkit.hyperparameters import Hyperparameter, Interval


@dataclass(frozen=True, kw_only=True)
class Words(Hyperparameter):
    """Several words, separated by commas."""

    choices: tuple[str, ...] = ()
    """Words allowed; empty means any."""
    prefixes: tuple[str, ...] = ()
    """Words that take a number after `@`, as in `ndcg@5`."""

    @property
    def allowed(self) -> str:
        """Say what is allowed."""
        extra = [f"{word}@<number>" for word in self.prefixes]
        return f"words separated by commas, each one of {', '.join([*self.choices, *extra])}"

    @property
    def range_text(self) -> str:
        """Spell the range alone."""
        return f"[{', '.join([*self.choices, *(f'{word}@<number>' for word in self.prefixes)])}]"

    def parse(self, text: str) -> tuple[str, ...]:
        """Read `a,b,c`, or a JSON list of words."""
        if text.startswith("["):
            return tuple(str(word).strip() for word in ast.literal_eval(text))
        words = tuple(word.strip() for word in text.split(","))
        if not all(words):
            raise ValueError("an empty word")
        return words

    def admits(self, value: Any) -> bool:
        """Say whether a parsed value is in range."""
        return not self.choices or all(word in self.choices or self._takes_number(word) for word in value)

    def _takes_number(self, word: str) -> bool:
        stem, at, number = word.partition("@")
        try:
            return bool(at) and stem in self.prefixes and math.isfinite(float(number.rstrip("-")))
        except ValueError:
            return False


@dataclass(frozen=True, kw_only=True)
class Signs(Hyperparameter):
    """A tuple of -1, 0 and 1."""

    wanted: ClassVar[str] = "a tuple of -1, 0 and 1 such as (1,0,-1)"

    @property
    def range_text(self) -> str:
        """Spell the range alone."""
        return "[-1, 0, 1]"

    def parse(self, text: str) -> tuple[int, ...]:
        """Read `(1,0,-1)`."""
        value = ast.literal_eval(text)
        members = value if isinstance(value, tuple | list) else (value,)
        if not all(isinstance(member, int) for member in members):
            raise ValueError("not integers")
        return tuple(members)

    def admits(self, value: Any) -> bool:
        """Say whether a parsed value is in range."""
        return all(member in {-1, 0, 1} for member in value)


@dataclass(frozen=True, kw_only=True)
class Sizes(Hyperparameter):
    """Positive integers, separated by commas."""

    words: tuple[str, ...] = ()
    """Words that stand for a list: `auto`."""
    wanted: ClassVar[str] = "positive integers separated by commas"

    @property
    def allowed(self) -> str:
        """Say what is allowed."""
        return " or ".join((self.wanted, *(word or "nothing" for word in self.words)))

    def parse(self, text: str) -> tuple[int, ...] | str:
        """Read `64,32`, a JSON list of integers, or one of `words`."""
        if text in self.words:
            return text
        return tuple(int(each) for each in text.removeprefix("[").removesuffix("]").split(","))

    def admits(self, value: Any) -> bool:
        """Say whether a parsed value is in range."""
        return value in self.words or all(each > 0 for each in value)


@dataclass(frozen=True, kw_only=True)
class Groups(Hyperparameter):
    """A list of lists of integers."""

    min: int = 0
    """Least integer."""
    wanted: ClassVar[str] = "a list of lists of integers such as [[0,1],[2,3]]"

    @property
    def range_text(self) -> str:
        """Spell the range alone."""
        return str(Interval(min=self.min))

    def parse(self, text: str) -> tuple[tuple[int, ...], ...]:
        """Read `[[0,1],[2,3]]`."""
        groups = tuple(tuple(group) for group in ast.literal_eval(text))
        if not all(isinstance(member, int) for group in groups for member in group):
            raise ValueError("not integers")
        return groups

    def admits(self, value: Any) -> bool:
        """Say whether a parsed value is in range."""
        return all(member >= self.min for group in value for member in group)
