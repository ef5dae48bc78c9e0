"""Tuning: what the loop costs beside its trainings, how soon strategies find what is good, long lists.

python -m bench.tuning [--only loop,bayesian,hyperband,warm,many] [--seeds 20] [--ray PYTHON]

`--ray` names a Python that has Ray Tune and XGBoost.
"""

import argparse
import os
import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import optuna
from bench._bars import Report
from bench._tuning_loop import loop
from bench._tuning_many import many
from bench._tuning_strategies import bayesian, hyperband, warm
from bench.control import running
from threadpoolctl import threadpool_limits

PARTS = ("loop", "bayesian", "hyperband", "warm", "many")


def main() -> int:
    """Measure, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--ray", default="", help="Python of an environment that has ray[tune] and xgboost")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    parts = chosen.only.split(",")
    report = Report("tuning")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with ProcessPoolExecutor(os.cpu_count(), initializer=one_thread) as pool:
        if "bayesian" in parts:
            bayesian(report, pool, chosen.seeds, chosen.trials)
        if "hyperband" in parts:
            hyperband(report, pool, chosen.seeds)
        if "warm" in parts:
            warm(report, pool, chosen.seeds)
    home = Path(tempfile.mkdtemp(prefix="clary-bench-"))
    home.chmod(0o711)  # jobs of other user ids pass
    try:
        if "loop" in parts:
            with running(home) as (_server, account):
                loop(report, account, home, chosen.ray)
        if "many" in parts:
            many(report, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return report.finish(chosen.json)


def one_thread() -> None:
    """Keep a worker to one core, so that two do not wait for each other."""
    threadpool_limits(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
