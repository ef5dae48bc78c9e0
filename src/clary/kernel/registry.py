"""The folder is the registry: members are found by the file's name, never listed by hand."""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from types import ModuleType


@cache
def stems(package: str) -> tuple[str, ...]:
    """Return the names of `package`'s member modules and folders, sorted; looked for once.

    `base` is the seam and names with a leading underscore are private: neither is a member.
    """
    root = importlib.import_module(package)
    names = (module.name for module in pkgutil.iter_modules(root.__path__))
    return tuple(sorted(name for name in names if name != "base" and not name.startswith("_")))


@cache
def member(package: str, stem: str) -> ModuleType:
    """Import one member by its name.

    Raises
    ------
    LookupError
        No such member; the text lists those that exist.
    """
    if stem not in stems(package):
        raise LookupError(f"{stem!r} is not in {package}; there are: {', '.join(stems(package))}")
    return importlib.import_module(f"{package}.{stem}")


def members(package: str) -> Iterator[tuple[str, ModuleType]]:
    """Yield every member of `package` as (stem, module)."""
    for stem in stems(package):
        yield stem, member(package, stem)
