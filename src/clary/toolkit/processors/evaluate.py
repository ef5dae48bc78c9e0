"""Image `clary-evaluate`: predictions in, `evaluation.json`, `report.html` and `decision.json` out."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clary.kernel.errors import CustomerError
from clary.toolkit.evaluation import _files

MESSAGE = Path("/opt/ml/output/message")
FAILURE = Path("/opt/ml/output/failure")


def main(arguments: Mapping[str, Any]) -> int:
    """Judge the rows below `/opt/ml/processing/input`; return the exit code."""
    try:
        found = _files.run(_files.arguments().parse_args(list(arguments["arguments"])))
    except (CustomerError, ValueError, OSError) as error:
        FAILURE.write_text(f"ClientError: {error}")
        sys.stderr.write(f"{error}\n")
        return 1
    MESSAGE.write_text(found.verdict[:1024])
    sys.stdout.write(f"{found.verdict}\n")
    return 0
