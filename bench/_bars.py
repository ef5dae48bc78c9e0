"""How every benchmark reports: a table for people, a line for each bar, JSON beside it, an exit status."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path("build/bench")


@dataclass(frozen=True)
class Bar:
    """One thing that was promised, and what was measured of it."""

    name: str
    measured: float
    most: float
    """The bar holds up to this."""
    unit: str = "ms"

    @property
    def holds(self) -> bool:
        """Whether the promise is kept."""
        return self.measured <= self.most

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "short"
        return f"{verdict}  {self.name}  {self.measured:.4g} {self.unit}  at most {self.most:g} {self.unit}"


@dataclass
class Report:
    """What one benchmark has to say."""

    name: str
    bars: list[Bar] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    """Goes into the JSON beside the bars."""

    def table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Print a table: the first column to the left, figures to the right."""
        texts = [[_text(cell) for cell in row] for row in (head, *rows)]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        print(f"\n{title}")
        for first, *others in texts:
            figures = (f"{text:>{width}}" for text, width in zip(others, widths[1:], strict=True))
            print(f"  {first:<{widths[0]}}  {'  '.join(figures)}", flush=True)

    def bar(self, name: str, measured: float, most: float, unit: str = "ms") -> None:
        """Judge one bar; it is printed at the end."""
        self.bars.append(Bar(name, measured, most, unit))

    def finish(self, path: Path | None = None) -> int:
        """Print the bars, write the JSON; return the exit status: 1 where a bar is short."""
        print()
        for bar in self.bars:
            print(bar)
        path = path or FOLDER / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        bars = [asdict(bar) | {"holds": bar.holds} for bar in self.bars]
        machine = {"system": platform.platform(), "python": platform.python_version()}
        path.write_text(json.dumps({"machine": machine, "bars": bars, **self.facts}, indent=1) + "\n")
        return 0 if all(bar.holds for bar in self.bars) else 1


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Sequence[float]) -> Mapping[str, float]:
    """Return median, 99th percentile, least and most."""
    return {
        "median": quantile(values, 0.5),
        "p99": quantile(values, 0.99),
        "least": min(values),
        "most": max(values),
    }


def _text(cell: Any) -> str:
    return f"{cell:,.1f}" if isinstance(cell, float) else str(cell)
