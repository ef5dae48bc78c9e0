"""Which operations a test session saw succeed, and through which client: what the coverage page is made from.

The server's audit and access logs say it, so that programs in other environments count like these tests.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ENVIRONMENT = "CLARY_COVERAGE_DIR"
"""Folder that takes one file per test session; nothing is kept without it."""
SWEEP = "clary-sweep"
"""Mark of the sweep's client in its User-Agent."""
_INVOKE = re.compile(r"/endpoints/[^/]+/invocations")


def keep(home: Path) -> None:
    """Write the graded operations of a session whose server logged into `home`."""
    folder = os.environ.get(ENVIRONMENT)
    if not folder:
        return
    grades: dict[str, dict[str, str]] = {}
    for service, operation, grade in _seen(home):
        best = grades.setdefault(service, {})
        if GRADES.index(grade) > GRADES.index(best.get(operation, GRADES[0])):
            best[operation] = grade
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / f"{os.getpid()}.json").write_text(json.dumps(grades, indent=1, sort_keys=True))


GRADES = ("", "typed", "behaves", "proven")
"""From least to most."""


def _seen(home: Path) -> Iterator[tuple[str, str, str]]:
    for line in _lines(home / "audit.jsonl"):
        grade = grade_of(line["client"])
        if line["status"] < 300 or (grade == "typed" and line["status"] < 500):
            yield line["service"], line["operation"], grade
    for line in _lines(home / "access.jsonl"):
        if line["status"] == 200 and _INVOKE.fullmatch(line["path"]):
            yield "sagemaker-runtime", "InvokeEndpoint", grade_of(line["client"])


def grade_of(client: str) -> str:
    """Return what a success of this client shows."""
    if SWEEP in client:
        return "typed"
    return (
        "proven" if "AWS-SageMaker-Python-SDK" in client or "sagemaker-core" in client.lower() else "behaves"
    )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        with path.open(encoding="utf-8") as file:
            yield from (json.loads(line) for line in file if line.endswith("\n"))
