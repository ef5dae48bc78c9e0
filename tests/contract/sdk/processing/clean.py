"""Count the rows of a folder, and say by what they were counted."""

import argparse
import importlib.util
import json
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--keep", type=float, default=1.0)
given = parser.parse_args()
rows = [
    line for path in Path("/opt/ml/processing/input/raw").glob("*.csv") for line in path.read_text().split()
]
kept = rows[: int(len(rows) * given.keep)]
out = Path("/opt/ml/processing/output/clean")
(out / "rows.csv").write_text("\n".join(kept))
(out / "seen.json").write_text(
    json.dumps(
        {"rows": len(rows), "kept": len(kept), "cloudpickle": bool(importlib.util.find_spec("cloudpickle"))}
    )
)
Path("/opt/ml/output/message").write_text(f"kept {len(kept)}")
print("kept", len(kept), flush=True)  # noqa: T201 - what a job says
