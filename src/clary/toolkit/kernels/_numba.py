"""The one place that imports numba: where compiled code is kept, and how it is compiled."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])
types: Any = numba.types
_njit: Any = numba.njit
_config: Any = numba.config


def folder() -> Path:
    """Return where compiled kernels are kept: what lies there is run, so only this user may write it."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        return Path(given)
    caches = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(caches) / "clary" / f"kernels-{sys.version_info[0]}.{sys.version_info[1]}"


def _is_kept() -> bool:
    """Make the folder; say whether compiled code can be kept there."""
    place = folder()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    about = place.stat()
    return about.st_uid == os.geteuid() and not about.st_mode & 0o022 and os.access(place, os.W_OK)


_IS_KEPT = _is_kept()
if _IS_KEPT:
    _config.CACHE_DIR = str(folder())


def kernel(*signature: Any, **options: Any) -> Callable[[F], F]:
    """Compile a function for one signature, strictly: IEEE arithmetic, no bounds are checked."""
    decorate: Callable[[F], F] = _njit(
        *signature, cache=_IS_KEPT, nogil=True, error_model="numpy", boundscheck=False, **options
    )
    return decorate
