"""Run functions of a module, by name, as the lines of standard input ask: `python programs MODULE`.

Importing an SDK takes seconds: one process runs the functions of many tests.
"""

import importlib
import json
import os
import sys
import traceback
from pathlib import Path


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the SDKs print goes to the log
    sys.path.insert(0, str(Path(__file__).parent))
    module = importlib.import_module(sys.argv[1])
    for line in sys.stdin:
        asked = json.loads(line)
        print(f"--- {asked['name']}", file=sys.stderr, flush=True)  # noqa: T201
        try:
            answer = {"value": getattr(module, asked["name"])(*asked["arguments"])}
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


main()
