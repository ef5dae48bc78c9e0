"""What a zygote imports before it forks, so that nobody after it waits for that: a cold start costs 2.7 s.

Only imports: pools of threads do not survive a fork.
"""

import contextlib
import gc
import importlib
import logging
import os
import sys
from collections.abc import Iterator

from clary.compute import inside, limits
from clary.kernel.errors import CustomerError

RUNTIMES = {
    "base": (
        "numpy",
        "numpy.random",
        "scipy.sparse",
        "scipy.stats",
        "scipy.optimize",
        "pandas",
        "sklearn.cluster",
        "sklearn.compose",
        "sklearn.datasets",
        "sklearn.decomposition",
        "sklearn.ensemble",
        "sklearn.feature_extraction.text",
        "sklearn.impute",
        "sklearn.linear_model",
        "sklearn.metrics",
        "sklearn.model_selection",
        "sklearn.naive_bayes",
        "sklearn.neighbors",
        "sklearn.neural_network",
        "sklearn.pipeline",
        "sklearn.preprocessing",
        "sklearn.svm",
        "sklearn.tree",
        "joblib",
        "threadpoolctl",
        "xgboost",
        "xgboost.sklearn",
    ),
    # the last is imported by the first step of any optimizer, in a second of processor time
    "torch": ("torch", "torch.utils.data", "torch.nn.functional", "torch.optim", "torch._dynamo"),
}
"""Modules that each runtime imports; `torch` has those of `base` too. A missing one is left out."""
OWN = (
    "clary.compute.agent",
    "clary.compute.runners.process",
    "clary.toolkit.objects",
    "clary.toolkit.s3",
    "clary.algorithms",
    "clary.serving",
)
"""Packages of ours, imported with all their modules; one with a function `warm` has it called."""
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Libraries that start their pools when loaded start none; forks get their own number again.

Not OMP_NUM_THREADS: libgomp starts no thread before its first loop, and could not be told otherwise later.
"""

log = logging.getLogger("clary.zygote")


def warm_up(runtime: str) -> None:
    """Import what the runtime names, single-threaded."""
    for name, value in limits.PATIENT_THREADS.items():
        os.environ.setdefault(name, value)  # whoever started this: OpenMP reads it once, when it is loaded
    for name in _ONE_THREAD:
        os.environ[name] = "1"
    os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"
    modules = RUNTIMES["base"] + (RUNTIMES["torch"] if runtime == "torch" else ())
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            log.info("left out %s: %s", name, error)
    with _without_torch() if runtime != "torch" else contextlib.nullcontext():
        for name in _own_modules():
            try:
                module = importlib.import_module(name)
                getattr(module, "warm", lambda: None)()
            except (ImportError, CustomerError) as error:  # what stands on an extra
                log.info("left out %s: %s", name, error)
            except Exception:  # a broken member must not stop the others
                log.exception("left out %s", name)
    for name in (*_ONE_THREAD, "JE_ARROW_MALLOC_CONF"):
        os.environ.pop(name, None)
    with contextlib.suppress(ImportError):
        inside.pools[:] = [importlib.import_module("threadpoolctl").ThreadpoolController()]
    gc.collect()
    gc.freeze()  # the collector then leaves these pages alone, and they stay shared


@contextlib.contextmanager
def _without_torch() -> Iterator[None]:
    """Leave out modules of ours that stand on torch: it weighs 200 MB, and only its own runtime needs it."""
    sys.modules["torch"] = None  # type: ignore[assignment]  # how Python is told that there is none
    try:
        yield
    finally:
        del sys.modules["torch"]


def _own_modules() -> Iterator[str]:
    import pkgutil  # noqa: PLC0415 - needed once

    for name in OWN:
        try:
            package = importlib.import_module(name)
        except ImportError as error:
            log.info("left out %s: %s", name, error)
            continue
        yield name
        if hasattr(package, "__path__"):
            for module in pkgutil.walk_packages(package.__path__, f"{name}.", onerror=log.info):
                if not module.name.endswith("__main__"):
                    yield module.name
