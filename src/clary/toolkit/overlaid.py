"""A script in a warm process whose Python, for whatever it starts, is that of a writable overlay.

Processing scripts install packages with `[sys.executable, "-m", "pip", "install", …]` and import them in the
next line; the runtime itself is read-only.
"""

import sys
from collections.abc import Mapping
from typing import Any

from clary.toolkit import script


def main(arguments: Mapping[str, Any]) -> int:
    """Run a script as `clary.toolkit.script` does; return its exit code.

    Parameters
    ----------
    arguments : mapping
        As `script.main` takes them, and `python`, the overlay's interpreter.
    """
    sys.executable = str(arguments["python"])
    return script.main(arguments)
