"""The program of a built-in training job: `/opt/ml` in, model out, exit code.

Standard library until the hyperparameters are known to be good, so that a mistake in them shows at once.
"""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clary.algorithms import base
from clary.algorithms.base import Source, Training
from clary.kernel.errors import CustomerError

FAILED = 1
"""Exit code of a job that failed by its input: the text is in `output/failure`."""
BROKEN = 2
"""Exit code of a job that failed by a fault of ours: the stack is in the log."""
_LONGEST_REASON = 1024


def main(arguments: Mapping[str, str]) -> int:
    """Train `arguments["algorithm"]` on `/opt/ml`, or `SAGEMAKER_BASE_DIR`; return the exit code."""
    algorithm = arguments["algorithm"]
    ml = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    try:
        training = prepare(algorithm, ml)
        base.find(algorithm).fit(training)
    except CustomerError as error:
        _fail(ml, str(error))
        return FAILED
    except MemoryError:
        _fail(ml, "Out of memory: use an instance type with more, or several instances.")
        return FAILED
    except Exception as error:
        traceback.print_exc()
        _fail(ml, f"{type(error).__name__}: {error}")
        return BROKEN
    return 0


def prepare(algorithm: str, ml: Path) -> Training:
    """Read the configuration files.

    Raises
    ------
    CustomerError
        A hyperparameter or a channel is wrong; the text names it.
    """
    definition = base.find(algorithm)
    config = ml / "input/config"
    params = definition.validate(_document(config / "hyperparameters.json"))
    channels = _document(config / "inputdataconfig.json")
    base.validate_channels(definition, channels)
    resources = _document(config / "resourceconfig.json")
    hosts = tuple(sorted(resources.get("hosts") or ["algo-1"]))
    return Training(
        params=params,
        sources={name: _source(name, given, ml / "input/data" / name) for name, given in channels.items()},
        model_dir=ml / "model",
        output_data_dir=ml / "output/data",
        checkpoint_dir=_checkpoint_dir(config, ml),
        hosts=hosts,
        host=resources.get("current_host") or hosts[0],
        name=os.environ.get("TRAINING_JOB_NAME", ""),
        n_threads=threads(),
    )


def threads() -> int:
    """Return how many threads this job may use."""
    for variable in ("SM_NUM_CPUS", "OMP_NUM_THREADS"):
        if os.environ.get(variable, "").isdigit():
            return max(1, int(os.environ[variable]))
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _source(name: str, given: dict[str, str], path: Path) -> Source:
    return Source(
        name=name,
        path=path,
        content_type=given.get("ContentType", ""),
        mode=given.get("TrainingInputMode", "File"),
        distribution=given.get("S3DistributionType", "FullyReplicated"),
    )


def _checkpoint_dir(config: Path, ml: Path) -> Path | None:
    """Return the folder of `checkpointconfig.json`; below the base folder when that is not `/opt/ml`."""
    local = _document(config / "checkpointconfig.json").get("LocalPath")
    if not local:
        return None
    path = Path(local)
    return ml / path.relative_to("/opt/ml") if path.is_relative_to("/opt/ml") else path


def _document(path: Path) -> dict[str, Any]:
    """Read a configuration file; an absent one says nothing."""
    if not path.is_file():
        return {}
    document = json.loads(path.read_text())
    return document if isinstance(document, dict) else {}


def _fail(ml: Path, reason: str) -> None:
    """Leave the reason where the platform looks for it, and in the log."""
    print(f"[{time.strftime('%Y-%m-%d:%H:%M:%S')}:ERROR] {reason}", flush=True)  # noqa: T201 - the job's log
    path = ml / "output/failure"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(reason[:_LONGEST_REASON])


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the log's reader is gone: so is the job
    sys.exit(main({"algorithm": sys.argv[1]}))
