"""Write the tables of hyperparameters in the algorithms' READMEs, from their definitions.

python docs/_tools/hyperparameters.py
"""

import sys
from pathlib import Path

from clary.algorithms import base
from clary.toolkit.hyperparameters import Hyperparameter, Recommended

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "src" / "clary" / "algorithms"
BEGIN, END = "<!-- hyperparameters: from the definition -->\n", "<!-- end -->\n"


def table(name: str) -> str:
    """Return the table of one algorithm, Markdown."""
    lines = ["| name | allowed | default | tuned over | what it is |", "| --- | --- | --- | --- | --- |"]
    for each in base.find(name).hyperparameters:
        cells = (f"`{each.name}`", each.allowed, _default(each), _tuned(each), each.doc)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _default(each: Hyperparameter) -> str:
    if each.is_required:
        return "**required**"
    if each.default is None:
        return each.usual
    return ", ".join(map(str, each.default)) if isinstance(each.default, tuple) else f"{each.default}"


def _tuned(each: Hyperparameter) -> str:
    if isinstance(each.tunable, Recommended):
        scale = "" if each.tunable.scale == "Linear" else f", {each.tunable.scale.lower()}"
        return f"{each.tunable.min:g} to {each.tunable.max:g}{scale}"
    return ", ".join(each.tunable or ())


def written(text: str, name: str) -> str:
    """Return a README with its table renewed; unchanged where it has none."""
    before, begin, rest = text.partition(BEGIN)
    if not begin:
        return text
    return before + BEGIN + table(name) + END + rest.partition(END)[2]


def main() -> int:
    """Renew all tables."""
    for name in base.names():
        path = FOLDER / name / "README.md"
        text = path.read_text()
        renewed = written(text, name)
        if renewed != text:
            path.write_text(renewed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
