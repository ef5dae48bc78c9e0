"""SageMaker's own toolkits, from PyPI as they are, inside an image: one trains a script, one serves it."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from clary.testing.server import ClaryServer

pytestmark = [pytest.mark.slow, pytest.mark.documented, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples/toolkits"
IMAGE = "localhost/toolkits:test"
TOOLKITS = ("sagemaker-training", "sagemaker-inference", "multi-model-server", "setuptools<81")
JVM = ("java", "net", "nio", "jli", "zip", "jimage", "verify", "extnet", "management", "prefs", "instrument")
CONTAINERFILE = """
FROM localhost/byoc-base:1
COPY site /usr/local/site
COPY root /
COPY --chmod=755 serve /usr/bin/serve
COPY inference.py handler_service.py /opt/program/
ENV PYTHONPATH=/usr/local/site:/opt/program PATH=/usr/local/site/bin:/usr/lib/jvm/java/bin:/usr/bin
"""
"""The example's, where no registry and no package index is reached from within."""


def base_example() -> ModuleType:
    """Return the example's program that makes base images."""
    spec = importlib.util.spec_from_file_location("byoc_base", ROOT / "examples/byoc/base.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def installed(folder: Path) -> None:
    """Install the toolkits into `folder`, their commands for whatever Python is first on the PATH."""
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), *TOOLKITS]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=400, check=False)
    if done.returncode:
        pytest.skip(f"the toolkits cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    for path in (folder / "bin").iterdir():
        if path.is_file() and path.read_bytes().startswith(b"#!"):
            rest = path.read_text().partition("\n")[2]
            path.write_text(f"#!/usr/bin/env python3\n{rest}")


def java_and_libraries(root: Path, site: Path) -> None:
    """Put this machine's Java, `which`, and the libraries that all of it loads below `root`."""
    java = Path(
        os.path.realpath(shutil.which("java") or pytest.skip("needs Java: apt install default-jre-headless"))
    )
    jvm = root / "usr/lib/jvm/java"
    shutil.copytree(java.parents[1], jvm, ignore_dangling_symlinks=True)
    native = [path for path in (jvm / "lib").rglob("*.so") if path.stem.removeprefix("lib") in {*JVM, "jvm"}]
    (root / "usr/bin").mkdir(parents=True, exist_ok=True)
    shutil.copy(os.path.realpath(shutil.which("which") or "/bin/which"), root / "usr/bin/which")
    for path in base_example().needed([jvm / "bin/java", *native, *site.rglob("*.so*")]):
        if path.exists() and not path.is_relative_to(root) and not path.is_relative_to(site):
            place = root / str(path).lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(os.path.realpath(path), place)


@pytest.fixture(scope="module")
def toolkits(image: str, podman: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image, on the same base as the example's."""
    folder = tmp_path_factory.mktemp("toolkits")
    (folder / "Containerfile").write_text(CONTAINERFILE)
    for name in ("serve", "inference.py", "handler_service.py"):
        shutil.copy(EXAMPLE / name, folder)
    installed(folder / "site")
    java_and_libraries(folder / "root", folder / "site")
    build = [*podman, "build", "--quiet", "--tag", IMAGE, "."]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(folder)
    return IMAGE


def test_a_script_is_trained_by_one_toolkit_and_served_by_the_other(
    container_server: ClaryServer, toolkits: str
) -> None:
    python = ROOT / ".venvs/sdk2/bin/python"
    if not python.exists():
        pytest.skip(f"{python.relative_to(ROOT)} is not there: make test sets it up")
    account = container_server.account()
    done = subprocess.run(
        [python, "-W", "ignore", EXAMPLE / "run.py", toolkits],
        capture_output=True,
        text=True,
        timeout=400,
        env={**container_server.env(account), "SAGEMAKER_SUPPRESS_V2_WARNING": "1"},
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    told = json.loads(done.stdout[done.stdout.rindex("{") :])  # behind the SDK's `----!`
    assert told["predicted"] == [1.0, 4.0, 9.0]
    found = account.client("sagemaker").describe_training_job(TrainingJobName=told["job"])
    assert found["FinalMetricDataList"][0]["Value"] == 3.0
