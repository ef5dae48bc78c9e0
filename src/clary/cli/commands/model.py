"""`clary model unpack`: what is in a model's artefact, and how it is opened elsewhere."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from clary.cli import clients, options
from clary.cli.supervisor import state
from clary.kernel.errors import CustomerError, SetupError, ValidationException

EXAMPLE = "clary model unpack my-training-job -o model"
UNKNOWN = {"ValidationException", "ResourceNotFound"}

model = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@model.callback()
def group() -> None:
    """Models' artefacts."""


@model.command()
def unpack(
    source: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="model.tar.gz, s3://... of one, or a model's or training job's name."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where it is unpacked to.")
    ] = Path("model"),
    algorithm: Annotated[str, typer.Option(help="Built-in algorithm; default: those that can load it.")] = "",
    account: options.Account = "default",
    data_dir: options.DataDir = None,
) -> None:
    """Unpack a model, say what is in it, and print the lines of Python that open it elsewhere."""
    from clary.algorithms import _contents, base  # noqa: PLC0415 - 0.1 s that other commands need not pay

    if algorithm and algorithm not in base.names():
        raise SetupError(f"there is no algorithm {algorithm}; there are: {', '.join(base.names())}")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise SetupError(f"{output} is there already, and not empty; choose another folder with -o")
    try:
        algorithm = algorithm or _algorithm_of(_fetch(source, output, account, data_dir))
    except CustomerError as error:
        raise SetupError(str(error)) from None
    found = _contents.parts(output)
    width = max((len(each.name) for each in found), default=0)
    print(f"{output}:")
    for each in found:
        print(f"  {each.name:<{width}}  {_size(each.path.stat().st_size):>9}  {each.what}".rstrip())
    for each in found:
        if each.opening:
            print("\n".join(("", f"# {each.name}, without Clary", *each.opening)))
    for name in [algorithm] if algorithm else _contents.algorithms_of(output):
        title = f"# {base.find(name).title}, by the plain library: pip install clary"
        print("\n".join(("", title, *_contents.answering(name, output))))


def _algorithm_of(image: str) -> str:
    """Return the built-in algorithm that an image is; nothing where it is none, or not known."""
    from clary.algorithms import base  # noqa: PLC0415 - as above
    from clary.compute import images  # noqa: PLC0415

    with contextlib.suppress(ValidationException):
        runtime = images.resolve(image)
        return runtime.name if runtime.name in base.names() else ""
    return ""


def _fetch(source: str, output: Path, account: str, data_dir: Path | None) -> str:
    """Unpack a file, an object, or what a name stands for; return the image that it belongs to, if known."""
    from clary.toolkit import archive  # noqa: PLC0415

    path = Path(source)
    if path.is_file():
        with path.open("rb") as file:
            archive.unpack(file, output, what=source)
        return ""
    if os.sep in source and not source.startswith("s3://"):
        raise SetupError(f"there is no file {source}")
    running = state.expect_running(options.settings_of(data_dir).data_dir)
    try:
        uri, image = source, ""
        if not source.startswith("s3://"):
            uri, image = _place(clients.sagemaker(running, account), source)
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        with tempfile.TemporaryFile() as file:
            clients.client(running, "s3", account, timeout_s=60).download_fileobj(bucket, key, file)
            file.seek(0)
            archive.unpack(file, output, what=uri)
        return image
    except (SetupError, CustomerError):
        raise
    except Exception as error:
        raise clients.explained(error) from None


def _place(sagemaker: Any, name: str) -> tuple[str, str]:
    """Return where the artefact of a model or a training job lies, and its image.

    Raises
    ------
    SetupError
        There is neither of that name, or it has no artefact.
    """
    described = _described(sagemaker.describe_model, ModelName=name)
    if described is not None:
        containers = [described.get("PrimaryContainer") or {}, *described.get("Containers", ())]
        found = [(_data_of(each), each.get("Image", "")) for each in containers if _data_of(each)]
    else:
        described = _described(sagemaker.describe_training_job, TrainingJobName=name)
        if described is None:
            raise SetupError(f"there is no model and no training job {name}, and no such file")
        uri = described.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
        image = described.get("AlgorithmSpecification", {}).get("TrainingImage", "")
        found = [(uri, image)] if uri else []
    if not found:
        raise SetupError(f"{name} has no artefact")
    if len(found) > 1:
        uris = ", ".join(uri for uri, _ in found)
        raise SetupError(f"{name} has several artefacts; unpack one of them: {uris}")
    return found[0]


def _data_of(container: Any) -> str:
    source = container.get("ModelDataSource", {}).get("S3DataSource", {})
    return str(container.get("ModelDataUrl") or source.get("S3Uri") or "")


def _described(describe: Any, **key: str) -> Any:
    try:
        return describe(**key)
    except Exception as error:
        if clients.code_of(error) in UNKNOWN:
            return None
        raise


def _size(n_bytes: int) -> str:
    size, units = float(n_bytes), iter(("B", "KiB", "MiB", "GiB"))
    unit = next(units)
    while size >= 1024 and unit != "GiB":
        size, unit = size / 1024, next(units)
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
