"""What measurements under load have in common: options, a folder of their own, the client that asks."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench._bars import Report
from bench._drive import Driver, built


@dataclass(frozen=True)
class Stage:
    """One run of a measurement."""

    report: Report
    driver: Driver
    home: Path
    chosen: argparse.Namespace

    @property
    def seconds(self) -> float:
        """Of each window of load."""
        return float(self.chosen.seconds)


def run(name: str, doc: str | None, measure: Callable[[Stage], None], **options: dict[str, Any]) -> int:
    """Measure, judge; return the exit status.

    Parameters
    ----------
    options : dict
        Arguments of the command line beside `--seconds` and `--json`, as `add_argument` takes them.
    """
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="of each window of load")
    for option, given in options.items():
        parser.add_argument(f"--{option}", **given)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    report = Report(name)
    home = Path(tempfile.mkdtemp(prefix="clary-bench-"))
    home.chmod(0o711)  # replicas of other user ids pass
    try:
        binary = built("load", home)
        if binary is None:
            print("no C compiler: the client cannot be built, and nothing is measured", file=sys.stderr)
            return 2
        measure(Stage(report, Driver(binary, home), home, chosen))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return report.finish(chosen.json)
