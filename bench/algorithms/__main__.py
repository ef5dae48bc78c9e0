"""The bars of the built-in algorithms: both sides in the same run, on the same data, on one core.

    python -m bench.algorithms [--only kmeans,pca] [--json FILE]

Each file of this folder has `run(report)`. Times are CPU seconds of this process, the best of some; ours
are whole trainings, files and all, and a peer gets arrays in memory. Where torch is not here but in
`.venvs/torch`, as `make test-all` makes it, the algorithms on torch run there.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench._bars import Report

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

TORCH = Path(".venvs/torch/bin/python")


def main() -> int:
    """Run what was asked for; return the exit status."""
    if any(os.environ.get(name) != "1" for name in ONE_THREAD):
        os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
        os.execv(sys.executable, [sys.executable, "-m", "bench.algorithms", *sys.argv[1:]])
    import bench.algorithms as folder  # noqa: PLC0415
    from bench._bars import Report  # noqa: PLC0415 - after the threads are set

    from clary.toolkit.kernels import warm  # noqa: PLC0415 - as above

    warm.main()
    warm.load()  # as every fork of the zygote has them

    names = sorted(
        each.name for each in pkgutil.iter_modules(folder.__path__) if not each.name.startswith("_")
    )
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default=",".join(names), help=f"of {', '.join(names)}")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    report = Report("algorithms")
    asked = given.only.split(",")
    elsewhere = [name for name in asked if _needs_torch(name)] if _is_torch_beside() else []
    for name in asked:
        if name not in elsewhere:
            importlib.import_module(f"bench.algorithms.{name}").run(report)
    if elsewhere:
        _run_beside(report, elsewhere)
    return report.finish(given.json)


def _needs_torch(name: str) -> bool:
    """Whether a file of this folder is of an algorithm on torch."""
    from clary.algorithms import base  # noqa: PLC0415 - after the threads are set

    return name in base.names() and base.find(name).extra == "torch"


def _is_torch_beside() -> bool:
    """Whether torch is in its environment, and not here."""
    return importlib.util.find_spec("torch") is None and TORCH.exists()


def _run_beside(report: Report, names: list[str]) -> None:
    """Run benchmarks in the environment of torch; their bars join the report."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "bars.json"
        command = [str(TORCH), "-m", "bench.algorithms", "--only", ",".join(names), "--json", str(path)]
        subprocess.run(command, check=False)
        if not path.exists():
            raise SystemExit(f"the benchmarks of {', '.join(names)} did not end")
        for each in json.loads(path.read_text())["bars"]:
            report.bar(each["name"], each["measured"], each["most"], each["unit"])


if __name__ == "__main__":
    sys.exit(main())
