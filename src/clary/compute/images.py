"""Image URIs: which runtime an ECR image stands for, by repository and tag alone.

Account and region say nothing: every region has its own accounts (reference: `image_uris.retrieve` of the
SageMaker Python SDK).
"""

import importlib.util
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from clary.algorithms import base as algorithms
from clary.compute.base import Runtime
from clary.compute.docker.pull import PRIVATE
from clary.kernel import registry
from clary.kernel.errors import ValidationException
from clary.kernel.settings import Settings
from clary.toolkit import requirements

_URI = re.compile(
    r"(?:(?P<registry>[A-Za-z0-9.-]+(?::\d+)?)/)?(?P<repository>[a-z0-9._/-]+?)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]*))?(?:@sha256:[0-9a-f]{64})?"
)

_ECR = re.compile(r"\d{12}\.dkr\.ecr(?:-fips)?\.[a-z0-9-]+\..+")
"""Registries whose names say nothing: every region has its own."""

ALGORITHMS = (
    "blazingtext",
    "factorization-machines",
    "forecasting-deepar",
    "image-classification",
    "ipinsights",
    "kmeans",
    "knn",
    "lda",
    "linear-learner",
    "ntm",
    "object-detection",
    "object2vec",
    "pca",
    "randomcutforest",
    "semantic-segmentation",
    "seq2seq",
    "xgboost",
)
"""Repositories of the built-in algorithms; the folder in `clary.algorithms` has the name in snake case, and
that of `forecasting-deepar` is `deepar`."""

PROCESSOR = "clary-"
"""How the repositories of Clary's own processing images begin; the rest is a file of `toolkit/processors`."""


@dataclass(frozen=True, kw_only=True)
class _Framework:
    """A family of framework images."""

    pattern: str
    name: str
    needs: str = ""
    """Module without which it cannot run."""
    extra: str = ""
    """Extra of the package that brings it."""
    is_served: bool = True


_FRAMEWORKS = (
    _Framework(pattern=r"sagemaker-xgboost", name="xgboost"),
    _Framework(pattern=r"sagemaker-scikit-learn", name="scikit-learn"),
    _Framework(
        pattern=r"pytorch-(?:training|inference)(?:-.+)?|sagemaker-pytorch",
        name="pytorch",
        needs="torch",
        extra="torch",
    ),
    _Framework(
        pattern=r"tensorflow-(?:training|inference)(?:-.+)?|sagemaker-tensorflow(?:-.+)?",
        name="tensorflow",
        is_served=False,
    ),
    _Framework(
        pattern=r"mxnet-(?:training|inference)(?:-.+)?|sagemaker-mxnet(?:-.+)?", name="mxnet", is_served=False
    ),
    _Framework(pattern=r"sagemaker-chainer", name="chainer", is_served=False),
    _Framework(pattern=r"huggingface-.+", name="huggingface", is_served=False),
    _Framework(pattern=r"autogluon-.+", name="autogluon", is_served=False),
    _Framework(pattern=r"djl-.+", name="djl", is_served=False),
    _Framework(pattern=r"sagemaker-tritonserver", name="tritonserver", is_served=False),
    _Framework(pattern=r"sagemaker-rl-.+", name="reinforcement learning", is_served=False),
    _Framework(pattern=r"sagemaker-spark-processing", name="spark", is_served=False),
    _Framework(pattern=r"sagemaker-clarify-processing", name="clarify", is_served=False),
    _Framework(pattern=r"sagemaker-model-monitor-analyzer", name="model-monitor", is_served=False),
    _Framework(pattern=r"sagemaker-debugger-rules", name="debugger", is_served=False),
    _Framework(pattern=r"sagemaker-data-wrangler-container", name="data-wrangler", is_served=False),
    _Framework(pattern=r".+-neo|sagemaker-neo-.+|sagemaker-inference-.+", name="neo", is_served=False),
    _Framework(pattern=r"smdistributed-modelparallel", name="smdistributed", is_served=False),
)


@dataclass(frozen=True, kw_only=True)
class Image:
    """The parts of an image URI."""

    repository: str
    tag: str
    is_foreign: bool = False
    """It is of a registry that is none of ECR's: whatever its name, it is not ours."""


def parse(uri: str) -> Image:
    """Split an image URI.

    Raises
    ------
    ValidationException
        It is not an image URI.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise ValidationException(f"{uri!r} is not an image URI; write <registry>/<repository>:<tag>")
    host, repository = match["registry"], match["repository"]
    if host and not ("." in host or ":" in host or host == "localhost"):
        repository = f"{host}/{repository}"  # a Docker Hub name: no registry in front
        host = ""
    is_foreign = bool(host) and not _ECR.fullmatch(host)
    return Image(repository=repository, tag=match["tag"] or "", is_foreign=is_foreign)


def resolve(uri: str, role_arn: str = "") -> Runtime:
    """Return what an image URI stands for.

    Where a container engine is set up, whatever is not ours is a container; so is an image in the registry of
    the account whose role runs it, or in one that is none of ECR's, whatever the image's name.

    A `sagemaker-xgboost` image is returned as `framework`: whether it runs the built-in algorithm or a
    script, only `sagemaker_program` of the hyperparameters tells.

    Raises
    ------
    ValidationException
        Nothing here runs that image; the text says which images run.
    """
    image = parse(uri)
    if uri.startswith(PRIVATE):
        raise ValidationException(
            f"image {uri!r}: names under {PRIVATE} are Clary's own; give the registry's name"
        )
    has_engine = bool(Settings.load().containers)
    account = role_arn.split(":")[4] if role_arn.count(":") >= 5 else ""
    if has_engine and account and uri.startswith(f"{account}.dkr.ecr."):
        return _container(uri, image)
    if not image.is_foreign and (found := _own(image, has_engine=has_engine)):
        return found
    if has_engine:
        return _container(uri, image)
    raise ValidationException(
        f"image {uri!r} is none that Clary runs itself, and no container engine is configured; "
        f"CLARY_CONTAINERS=podman or docker sets one up; images that run here: {', '.join(runnable())}"
    )


def _own(image: Image, *, has_engine: bool) -> Runtime | None:
    """Return what of ours a repository's name stands for; None for what only a container can run."""
    if image.repository in ALGORITHMS:
        return _algorithm(image)
    if image.repository.startswith(PROCESSOR):
        return _processor(image)
    for framework in _FRAMEWORKS:
        if re.fullmatch(framework.pattern, image.repository):
            return _framework(framework, image) if framework.is_served or not has_engine else None
    return None


def runnable() -> list[str]:
    """Return the repositories that run on this machine."""
    here = registry.stems("clary.algorithms")
    names = [
        repository
        for repository in ALGORITHMS
        if (folder := _folder(repository)) in here
        and (not (extra := algorithms.find(folder).extra) or _is_installed(extra, ""))
    ]
    names += ["sagemaker-xgboost", "sagemaker-scikit-learn"]
    if _is_installed("torch"):
        names += ["pytorch-training", "pytorch-inference", "sagemaker-pytorch"]
    return sorted(names)


def _container(uri: str, image: Image) -> Runtime:
    return Runtime(kind="container", name=uri, version=image.tag)


def _algorithm(image: Image) -> Runtime:
    folder = _folder(image.repository)
    if folder not in registry.stems("clary.algorithms"):
        raise ValidationException(
            f"the built-in algorithm {image.repository!r} is not available yet; "
            f"images that run here: {', '.join(runnable())}"
        )
    extra = algorithms.find(folder).extra
    if extra and not _is_installed(extra, ""):
        raise ValidationException(
            f"the built-in algorithm {image.repository!r} needs {extra}, which is not installed; "
            f"install it with: pip install 'clary[{extra}]'"
        )
    return Runtime(kind="builtin", name=folder, version=image.tag, zygote=extra or "base")


def _framework(framework: _Framework, image: Image) -> Runtime:
    if not framework.is_served:
        raise ValidationException(
            f"{framework.name} images ({image.repository}) need a container engine, and none is configured; "
            f"CLARY_CONTAINERS=podman or docker sets one up; images that run here: {', '.join(runnable())}"
        )
    if framework.needs and not _is_installed(framework.needs):
        raise ValidationException(
            f"image {image.repository!r} needs {framework.needs}, which is not installed; "
            f"install it with: pip install 'clary[{framework.extra}]'"
        )
    zygote = "torch" if framework.needs == "torch" else "base"
    return Runtime(kind="framework", name=framework.name, version=image.tag, zygote=zygote)


def _processor(image: Image) -> Runtime:
    """Return the processing image of our own that a repository names."""
    name = _folder(image.repository.removeprefix(PROCESSOR))
    known = registry.stems("clary.toolkit.processors")
    if name not in known:
        names = ", ".join(f"{PROCESSOR}{each.replace('_', '-')}" for each in known)
        raise ValidationException(f"image {image.repository!r} is none of Clary's own: {names}")
    if name == "notebook" and not _is_installed("nbclient", Settings.load().notebook_python):
        raise ValidationException(
            "image 'clary-notebook' runs notebooks, and the environment of the notebooks has no nbclient: "
            "install it with: pip install 'clary[notebooks]', or set CLARY_NOTEBOOK_PYTHON"
        )
    return Runtime(kind="processor", name=name, version=image.tag)


def _folder(repository: str) -> str:
    return repository.removeprefix("forecasting-").replace("-", "_")


def _is_installed(module: str, chosen: str | None = None) -> bool:
    """Return whether the Python that runs scripts, or another one chosen, has a module."""
    chosen = Settings.load().runtime_python if chosen is None else chosen
    if not chosen:
        return importlib.util.find_spec(module) is not None
    try:
        folders = requirements.interpreter(chosen).packages
    except (OSError, subprocess.SubprocessError, ValueError):
        return False
    return any((Path(each) / module).is_dir() for each in folders)
