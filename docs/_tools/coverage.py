"""Write `docs/coverage.md` from graded operations.

    python docs/_tools/coverage.py [build/coverage.json]

The tests write the JSON: {"<service>": {"<operation>": {"grade": "proven", "note": ""}}}.
Grades, each more than the one before:

    refused   answered with 400 and a message that names the operation
    typed     minimal and maximal inputs are accepted, outputs satisfy their shapes (the sweep)
    behaves   a contract test through a real client passes
    proven    an SDK program passes end to end
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
GRADES = ("proven", "behaves", "typed", "refused")
HEAD = """# Coverage

Generated from test results, not from the names of methods.

| grade | what a test showed |
| --- | --- |
| proven | a program of the SageMaker SDK passes end to end |
| behaves | a contract test through a real client passes |
| typed | minimal and maximal inputs are accepted, and outputs satisfy their shapes |
| refused | answered with 400 and a message that names the operation |
"""
NOTHING = """
No results have been collected in this build: run `make test`, then `make docs`.
"""


def section(service: str, operations: dict[str, dict[str, Any]]) -> str:
    """Return the part of one service."""
    counts = Counter(each["grade"] for each in operations.values())
    unknown = set(counts) - set(GRADES)
    if unknown:
        raise SystemExit(
            f"{service}: unknown grade {', '.join(sorted(unknown))}; there are {', '.join(GRADES)}"
        )
    summary = ", ".join(f"{counts[grade]} {grade}" for grade in GRADES if counts[grade])
    lines = [
        f"\n## {service}\n",
        f"{len(operations)} operations: {summary}.\n",
        "| operation | grade | |",
        "| --- | --- | --- |",
    ]
    for name, each in sorted(operations.items(), key=lambda item: (GRADES.index(item[1]["grade"]), item[0])):
        lines.append(f"| `{name}` | {each['grade']} | {each.get('note', '')} |")
    return "\n".join(lines) + "\n"


def page(services: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return the whole page."""
    if not services:
        return HEAD + NOTHING
    return HEAD + "".join(section(name, services[name]) for name in sorted(services))


def main() -> None:
    """Read the grades and write the page."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "coverage.json"
    services = json.loads(source.read_text()) if source.exists() else {}
    (ROOT / "docs" / "coverage.md").write_text(page(services))


if __name__ == "__main__":
    main()
