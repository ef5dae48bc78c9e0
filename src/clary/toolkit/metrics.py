"""Metrics: numbers that a job prints, found in its log lines by regular expressions."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping

LONGEST_LINE = 16_384
"""Characters of a line that are searched: a regular expression's time grows with them."""
TAB = "#011"
"""How a tab reaches regular expressions. Source: xgboost's own ones, `algorithm_mode/metrics.py`."""


class Scraper:
    """Finds metrics in log lines."""

    def __init__(self, definitions: Iterable[Mapping[str, str]]) -> None:
        """Compile the definitions, `MetricDefinitions` of a CreateTrainingJob request.

        Raises
        ------
        ValueError
            A regular expression is not one; the text names the metric.
        """
        self._patterns: list[tuple[str, re.Pattern[str]]] = []
        for each in definitions:
            try:
                self._patterns.append((each["Name"], re.compile(each["Regex"])))
            except re.error as error:
                raise ValueError(
                    f'the regular expression of metric "{each["Name"]}" is wrong: {error}'
                ) from error

    def scrape(self, line: str) -> Iterator[tuple[str, float]]:
        """Yield name and value of each metric that `line` shows: the first group of the first match."""
        line = line[:LONGEST_LINE]
        escaped = line.replace("\t", TAB)
        for name, pattern in self._patterns:
            match = pattern.search(escaped)
            if match is None and escaped is not line:
                match = pattern.search(line)
            if match is None:
                continue
            text = match.group(1) if pattern.groups else match.group()
            value = _number((text or "").partition(TAB)[0])  # `\S+` stops at a tab, however it is spelled
            if value is not None:
                yield name, value


def _number(text: str | None) -> float | None:
    try:
        value = float((text or "").strip().rstrip(",;"))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
