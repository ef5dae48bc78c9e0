"""The bars of the built-in algorithms: both sides in the same run, on the same data, on one core.

    python -m bench.algorithms [--only kmeans,pca] [--json FILE]

Each file of this folder has `run(report)`. Times are CPU seconds of this process, the best of some; ours
are whole trainings, files and all, and a peer gets arrays in memory.
"""

import argparse
import importlib
import os
import pkgutil
import sys
from pathlib import Path

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


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
    for name in given.only.split(","):
        importlib.import_module(f"bench.algorithms.{name}").run(report)
    return report.finish(given.json)


if __name__ == "__main__":
    sys.exit(main())
