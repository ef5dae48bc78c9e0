"""Write `docs/coverage.md` from graded operations.

    python docs/_tools/coverage.py [build/coverage]

The tests leave one JSON a session in that folder: {"<service>": {"<operation>": "proven"}}; of several grades
the best counts.
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

from clary.services.sagemaker._refused import reason_of
from clary.wire.service import service

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


def merged(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the best grade of every operation that a session saw, and what is refused, and why."""
    best: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        for service_name, operations in json.loads(path.read_text()).items():
            known = best.setdefault(service_name, {})
            for name, grade in operations.items():
                before = known.get(name, {"grade": "refused"})["grade"]
                if GRADES.index(grade) <= GRADES.index(before):
                    known[name] = {"grade": grade}
    if best:
        sagemaker = best.setdefault("sagemaker", {})
        for name in service("sagemaker").operations:
            reason = reason_of(name)
            if name not in sagemaker and reason is not None:
                sagemaker[name] = {"grade": "refused", "note": reason}
    return best


def main() -> None:
    """Read the grades and write the page."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "coverage"
    services = merged(folder)
    if services:
        (ROOT / "docs" / "coverage.md").write_text(page(services))


if __name__ == "__main__":
    main()
