"""Write the table of what each algorithm reads and leaves, in docs/algorithms.md, from the definitions.

python docs/_tools/algorithms.py
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from clary.algorithms import _contents, base
from clary.algorithms.base import Algorithm

PAGE = Path(__file__).resolve().parents[1] / "algorithms.md"
BEGIN, END = "<!-- algorithms: from the definitions -->\n", "<!-- end -->\n"
HEAD = ("algorithm", "reads", "modes", "instances", "goes on", "leaves (opened by)")


def table() -> str:
    """Return the table of all algorithms, Markdown."""
    lines = [_line(HEAD), _line("---" for _ in HEAD)]
    lines += [_line(_cells(base.find(name))) for name in base.names()]
    return "".join(lines)


def _cells(algorithm: Algorithm) -> tuple[str, ...]:
    train = next(each for each in algorithm.channels if each.name == "train")
    full = [each for each in train.content_types if "/" in each]  # the others are aliases
    goes_on = (
        ("from checkpoints", algorithm.checkpoints),
        ("from channel `model`", any(each.name == "model" for each in algorithm.channels)),
    )
    return (
        algorithm.title,
        ", ".join(f"`{each}`" for each in full),
        ", ".join(train.modes),
        "one or several" if algorithm.instances.distributed else "one",
        "; ".join(text for text, holds in goes_on if holds),
        ", ".join(f"{kind} (`{_contents.opened_by(kind)}`)" for kind in algorithm.artefacts),
    )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def written(text: str) -> str:
    """Return the page with its table renewed."""
    before, begin, rest = text.partition(BEGIN)
    return before + begin + table() + END + rest.partition(END)[2]


def main() -> int:
    """Renew it."""
    PAGE.write_text(written(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
