"""`python -m clary.toolkit.kernels.warm`: compile every kernel once, for all processes of this user."""

import contextlib
import fcntl
import hashlib
import importlib
import importlib.metadata
import platform
from pathlib import Path

PARTS = tuple(sorted(path.stem for path in Path(__file__).parent.glob("_[a-z]*.py") if path.stem != "_numba"))
"""The compiled halves."""


def _mark() -> Path:
    """Return the file that says that this source is compiled, for this numba and this processor."""
    from clary.toolkit.kernels import _numba  # noqa: PLC0415 - an extra

    sources = b"".join((Path(__file__).parent / f"{part}.py").read_bytes() for part in (*PARTS, "_numba"))
    words = f"{importlib.metadata.version('numba')} {platform.processor()} {platform.python_version()}"
    return _numba.folder() / f"warm-{hashlib.sha256(sources + words.encode()).hexdigest()[:16]}"


def is_warm() -> bool:
    """Tell whether importing the compiled halves takes milliseconds; True where there is no numba either."""
    try:
        return _mark().exists()
    except ImportError:
        return True


def load() -> bool:
    """Import the compiled halves where that takes milliseconds; say whether there is nothing left to do."""
    if not is_warm():
        return False
    with contextlib.suppress(ImportError):
        _import_all()
    return True


def _import_all() -> None:
    for part in PARTS:
        importlib.import_module(f"clary.toolkit.kernels.{part}")


def main() -> None:
    """Compile; of several processes that are asked to, the first does."""
    try:
        mark = _mark()
    except ImportError:
        return
    if not mark.parent.is_dir():
        _import_all()
        return
    with (mark.parent / "warm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists():
            _import_all()
            mark.touch()


if __name__ == "__main__":
    main()
