"""Metrics: numbers that a job prints, found in its log lines by regular expressions."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

LONGEST_LINE = 16_384
"""Characters of a line that are searched: a regular expression's time grows with them."""
TAB = "#011"
"""How a tab reaches regular expressions. Source: xgboost's own ones, `algorithm_mode/metrics.py`."""


MAX_SLOW_LINES = 3
"""Lines on which an expression may be too slow before it is given up."""

Search = Callable[[re.Pattern[str], str], re.Match[str] | None]
"""Searches a text; raises `TooSlowError` to leave it."""


class TooSlowError(Exception):
    """A search took too long."""


class Scraper:
    """Finds metrics in log lines."""

    def __init__(
        self,
        definitions: Iterable[Mapping[str, str]],
        *,
        search: Search = re.Pattern.search,
        given_up: Callable[[str], None] = lambda _name: None,
    ) -> None:
        """Compile the definitions, `MetricDefinitions` of a CreateTrainingJob request.

        Parameters
        ----------
        search : callable
            How a line is searched.
        given_up : callable
            Told the name of a metric that is searched for no longer.

        Raises
        ------
        ValueError
            A regular expression is not one; the text names the metric.
        """
        self._search = search
        self._given_up = given_up
        self._n_slow: Counter[str] = Counter()
        self._patterns: list[tuple[str, re.Pattern[str], str]] = []
        for each in definitions:
            try:
                pattern = re.compile(each["Regex"])
                self._patterns.append((each["Name"], pattern, literal_of(pattern)))
            except re.error as error:
                raise ValueError(
                    f'the regular expression of metric "{each["Name"]}" is wrong: {error}'
                ) from error

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._patterns)

    def scrape(self, line: str) -> Iterator[tuple[str, float]]:
        """Yield name and value of each metric that `line` shows: the first group of the first match."""
        line = line[:LONGEST_LINE]
        escaped = line.replace("\t", TAB)
        for name, pattern, literal in tuple(self._patterns):
            try:
                match = self._search(pattern, escaped) if literal in escaped else None
                if match is None and escaped is not line and literal in line:
                    match = self._search(pattern, line)
            except TooSlowError:
                self._count(name)
                continue
            if match is None:
                continue
            text = match.group(1) if pattern.groups else match.group()
            value = _number((text or "").partition(TAB)[0])  # `\S+` stops at a tab, however it is spelled
            if value is not None:
                yield name, value

    def _count(self, name: str) -> None:
        self._n_slow[name] += 1
        if self._n_slow[name] == MAX_SLOW_LINES:
            self._patterns = [each for each in self._patterns if each[0] != name]
            self._given_up(name)


def literal_of(pattern: re.Pattern[str]) -> str:
    """Return the longest text that every match holds, as far as it shows; lines without it need no search."""
    if pattern.flags & (re.IGNORECASE | re.VERBOSE):
        return ""
    # the library's own parser: it has no public name, and one of ours would understand less
    runs, is_open = [""], True
    for operation, argument in re._parser.parse(pattern.pattern):  # type: ignore[attr-defined]
        if str(operation) != "LITERAL":
            is_open = False
            continue
        if not is_open:
            runs.append("")
        runs[-1] += chr(argument)
        is_open = True
    return max(runs, key=len)


def _number(text: str | None) -> float | None:
    try:
        value = float((text or "").strip().rstrip(",;"))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
