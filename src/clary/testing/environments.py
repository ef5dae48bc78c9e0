"""Environments for tests: one with a stand-in for JupyterLab."""

import shutil
from pathlib import Path

from clary.testing import lab
from clary.toolkit import requirements


def stand_in(folder: Path) -> Path:
    """Make an environment whose JupyterLab is `clary.testing.lab`; return its Python."""
    python = requirements.interpreter()
    requirements.overlay(folder, python)
    package = Path(requirements.site_packages(folder, python)) / "jupyterlab"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    shutil.copyfile(lab.__file__, package / "__main__.py")
    return folder / "bin" / "python"
