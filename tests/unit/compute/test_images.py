"""Image URIs resolve by repository and tag."""

from dataclasses import replace
from pathlib import Path

import pytest

from clary.algorithms import base
from clary.compute import images
from clary.kernel import registry
from clary.kernel.errors import ValidationException
from clary.toolkit import requirements

EAST = "683313688378.dkr.ecr.us-east-1.amazonaws.com"
CHINA = "450853457545.dkr.ecr.cn-north-1.amazonaws.com.cn"


@pytest.fixture(autouse=True)
def _folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "stems", lambda _: ["kmeans", "linear_learner", "xgboost"])


@pytest.mark.parametrize("host", [EAST, CHINA, "246618743249.dkr.ecr.us-west-2.amazonaws.com"])
@pytest.mark.parametrize("tag", ["0.90-1-cpu-py3", "1.0-1-cpu-py3", "1.2-2", "1.7-1", "3.0-5"])
def test_account_and_region_do_not_matter(host: str, tag: str) -> None:
    runtime = images.resolve(f"{host}/sagemaker-xgboost:{tag}")
    assert (runtime.kind, runtime.name, runtime.version) == ("framework", "xgboost", tag)


@pytest.mark.parametrize("tag", [":1", ":latest", "", ":1@sha256:" + "a" * 64])
def test_a_built_in_algorithm_has_its_folder(tag: str) -> None:
    runtime = images.resolve(f"811284229777.dkr.ecr.us-east-1.amazonaws.com/xgboost{tag}")
    assert (runtime.kind, runtime.name) == ("builtin", "xgboost")
    assert images.resolve(f"{EAST}/linear-learner:1").name == "linear_learner"


def test_there_are_seventeen_algorithms() -> None:
    assert len(images.ALGORITHMS) == 17


@pytest.mark.parametrize("name", sorted(set(images.ALGORITHMS) - {"kmeans", "linear-learner", "xgboost"}))
def test_an_algorithm_without_a_folder_is_named_as_not_available(name: str) -> None:
    with pytest.raises(ValidationException, match=f"algorithm '{name}' is not available yet; .*xgboost"):
        images.resolve(f"{EAST}/{name}:1")


def test_an_algorithm_whose_extra_is_missing_is_refused_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(base.find("kmeans"), "extra", "torch", raising=False)
    monkeypatch.setattr(images, "_is_installed", lambda *_: False)
    with pytest.raises(ValidationException, match=r"'kmeans' needs torch, .*: pip install 'clary\[torch\]'"):
        images.resolve(f"{EAST}/kmeans:1")
    assert "kmeans" not in images.runnable()
    monkeypatch.setattr(images, "_is_installed", lambda *_: True)
    assert images.resolve(f"{EAST}/kmeans:1").zygote == "torch"
    assert "kmeans" in images.runnable()


@pytest.mark.parametrize("tag", ["0.20.0-cpu-py3", "0.23-1-cpu-py3", "1.2-1-cpu-py3", "1.4-2-cpu-py3"])
def test_scikit_learn_is_a_framework(tag: str) -> None:
    runtime = images.resolve(f"{EAST}/sagemaker-scikit-learn:{tag}")
    assert (runtime.kind, runtime.name, runtime.zygote) == ("framework", "scikit-learn", "base")


PYTORCH = [
    "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.3.0-cpu-py311",
    "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.3.0-gpu-py311",
    "520713654638.dkr.ecr.us-east-1.amazonaws.com/sagemaker-pytorch:1.0-cpu-py3",
]


@pytest.mark.parametrize("uri", PYTORCH)
def test_pytorch_runs_where_torch_is_installed(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_is_installed", lambda _: True)
    runtime = images.resolve(uri)
    assert (runtime.kind, runtime.name, runtime.zygote) == ("framework", "pytorch", "torch")
    monkeypatch.setattr(images, "_is_installed", lambda _: False)
    with pytest.raises(ValidationException, match=r"pip install 'clary\[torch\]'"):
        images.resolve(uri)


@pytest.mark.parametrize(
    "image",
    [
        "tensorflow-training:2.14-cpu-py310",
        "tensorflow-inference:2.14-cpu",
        "sagemaker-tensorflow-scriptmode:1.12-cpu-py3",
        "mxnet-training:1.9.0-cpu-py38",
        "sagemaker-chainer:5.0.0-cpu-py3",
        "huggingface-pytorch-training:2.1.0-transformers4.36.0-gpu-py310-cu121-ubuntu20.04",
        "autogluon-training:1.0-cpu-py310",
        "djl-inference:0.27.0-cpu-full",
        "sagemaker-tritonserver:25.09-py3-cpu",
        "sagemaker-rl-ray-container:ray-1.6.0-torch-cpu-py36",
        "sagemaker-spark-processing:3.3-cpu",
        "sagemaker-clarify-processing:1.0",
        "sagemaker-model-monitor-analyzer",
        "sagemaker-debugger-rules:latest",
        "sagemaker-data-wrangler-container:3.x",
        "xgboost-neo:latest",
        "sagemaker-neo-pytorch:1.9-inf-py3",
        "smdistributed-modelparallel:2.2.0-gpu-py310",
    ],
)
def test_a_known_image_that_does_not_run_here_says_what_it_needs(image: str) -> None:
    with pytest.raises(ValidationException, match="container engine, and none is configured") as raised:
        images.resolve(f"{EAST}/{image}")
    assert image.split(":", maxsplit=1)[0] in raised.value.message


@pytest.mark.parametrize(
    "uri", ["img", "docker.io/library/python:3.11", "localhost:5000/mine:1", "team/app:2"]
)
def test_an_unknown_image_is_refused_with_what_there_is(uri: str) -> None:
    with pytest.raises(ValidationException, match=r"no container engine is configured; .*sagemaker-xgboost"):
        images.resolve(uri)


@pytest.mark.parametrize("uri", ["", "a b", "UPPER:1", "x:1:2:3/"])
def test_what_is_no_image_uri_is_refused(uri: str) -> None:
    with pytest.raises(ValidationException, match="is not an image URI"):
        images.resolve(uri)


def test_pytorch_runs_where_the_runtime_that_the_settings_name_has_torch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = requirements.interpreter()
    monkeypatch.setenv("CLARY_RUNTIME_PYTHON", "/opt/other/bin/python")
    monkeypatch.setattr(requirements, "interpreter", lambda _: replace(python, packages=(str(tmp_path),)))
    with pytest.raises(ValidationException, match="needs torch"):
        images.resolve(f"{EAST}/pytorch-training:2.1-cpu-py310")
    (tmp_path / "torch").mkdir()
    assert images.resolve(f"{EAST}/pytorch-training:2.1-cpu-py310").name == "pytorch"


@pytest.mark.parametrize("name", ["kmeans:1", "clary-notebook:1", "sagemaker-scikit-learn:1.2-1"])
@pytest.mark.parametrize("host", ["registry.example.com", "localhost:5000", "127.0.0.1:4747"])
def test_an_image_of_a_foreign_registry_is_never_taken_for_ours(
    host: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValidationException, match="none that Clary runs itself"):
        images.resolve(f"{host}/{name}")
    monkeypatch.setenv("CLARY_CONTAINERS", "podman")
    assert images.resolve(f"{host}/{name}").kind == "container"
    assert images.resolve(f"{EAST}/kmeans:1").kind == "builtin"
