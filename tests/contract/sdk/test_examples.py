"""Each script of `examples/algorithms`, as its reader would run it, against a live Clary."""

import subprocess
from pathlib import Path

import pytest

from clary.algorithms import base
from clary.testing.server import ClaryServer

from .conftest import ROOT, python_of

SCRIPTS = {path.stem.rstrip("_"): path for path in sorted((ROOT / "examples/algorithms").glob("*.py"))}
"""An underscore keeps a script from hiding the library that it imports."""
SHOWN = ("score", "best", "first", "outside")
"""Words that begin the last lines of each."""


def test_every_algorithm_has_its_script() -> None:
    assert set(SCRIPTS) == set(base.names())


def examples_python() -> Path:
    """Return the Python of SDK v2 that has the libraries which open models, or skip."""
    python = python_of("sdk2")
    if not (python.parents[1] / ".ready-examples").exists():
        pytest.skip("what opens models is not in .venvs/sdk2: make test-all sets it up")
    return python


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.torch if base.find(name).extra == "torch" else ())
        for name in SCRIPTS
    ],
)
def test_a_script_trains_tunes_answers_and_opens_its_model(
    clary_server: ClaryServer, name: str, tmp_path: Path
) -> None:
    if extra := base.find(name).extra:
        pytest.importorskip(extra, reason=f"needs pip install 'clary[{extra}]'")
    environ = clary_server.env(clary_server.account())
    done = subprocess.run(
        [examples_python(), "-W", "ignore", SCRIPTS[name]],
        cwd=tmp_path,
        env={**environ, "SAGEMAKER_SUPPRESS_V2_WARNING": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=840,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    begun = {line.split(" ")[0] for line in done.stdout.splitlines()}
    assert begun >= set(SHOWN), done.stdout[-3000:]
