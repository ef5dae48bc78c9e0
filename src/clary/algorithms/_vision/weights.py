"""Where weights come from and go: model files, the `model` channel, a folder of pretrained ones."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _artifact
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clary.algorithms.base import Source
    from clary.toolkit.hyperparameters import Params

PRETRAINED_DIR = "CLARY_PRETRAINED_DIR"
"""Names the folder of pretrained weights, in the environment of a job."""
_ENDINGS = (".npz", ".pth", ".pt")
_ARCHIVE = "model.tar.gz"


def write(model_dir: Path, name: str, facts: Mapping[str, Any], weights: str) -> None:
    """Say beside the weights what network they belong to."""
    document = {**facts, "weights": weights}
    (model_dir / f"{name}.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


def facts_of(model_dir: Path, name: str) -> dict[str, Any]:
    """Return what `write` wrote.

    Raises
    ------
    CustomerError
        There is no such model.
    """
    path = model_dir / f"{name}.json"
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise CustomerError(
            f"Unable to load model: there is no file {path.name} in {model_dir.name}"
        ) from error
    except ValueError as error:
        raise CustomerError(f"Unable to load model: {path.name} is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("weights"), str):
        raise CustomerError(f"Unable to load model: {path.name} does not name its weights")
    return document


def arrays_of(model_dir: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weights that a model's facts name."""
    return _artifact.load(model_dir / Path(facts["weights"]).name)


def earlier(source: Source, name: str, params: Params, alike: Sequence[str], spool: Path) -> dict[str, Any]:
    """Return the weights of the `model` channel.

    Parameters
    ----------
    alike : sequence of str
        Hyperparameters that the earlier training must have had the same values of.

    Raises
    ------
    CustomerError
        There is no model of this algorithm, or one of another network; the text names the hyperparameter.
    """
    folder = source.path
    archives = sorted(folder.rglob("*.tar.gz"))
    if archives:
        folder = spool / "model"
        try:
            with tarfile.open(archives[0]) as archive:
                archive.extractall(folder, filter="data")
        except (tarfile.TarError, OSError, EOFError) as error:
            raise CustomerError(
                f"Unable to read data channel '{source.name}': {archives[0].name}: {error}"
            ) from error
    facts = facts_of(folder, name)
    for each in alike:
        wanted = list(params[each]) if isinstance(params[each], tuple) else params[each]
        if facts.get(each) != wanted:
            raise CustomerError(
                f"Hyperparameter {each}: value {_shown(wanted)} is not that of the model in channel "
                f"'{source.name}', "
                f"{_shown(facts.get(each))}; training that goes on from a model needs the same "
                f"{', '.join(alike)}"
            )
    return arrays_of(folder, facts)


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def pretrained(name: str) -> dict[str, Any]:
    """Return the pretrained weights called `name`, as torchvision names them, but for the last layer.

    Raises
    ------
    CustomerError
        No folder is configured, or it has no such file, or the file holds no weights.
    """
    folder = os.environ.get(PRETRAINED_DIR, "")
    if not folder:
        raise CustomerError(
            f"use_pretrained_model=1 needs the weights of {name}, and no folder of pretrained weights is "
            "configured: "
            f"set {PRETRAINED_DIR}, or use_pretrained_model=0 to begin anew"
        )
    paths = [Path(folder) / f"{name}{ending}" for ending in _ENDINGS]
    path = next((each for each in paths if each.is_file()), None)
    if path is None:
        raise CustomerError(
            f"use_pretrained_model=1 needs the weights of {name}, and {folder} has none of "
            f"{', '.join(each.name for each in paths)}; use_pretrained_model=0 begins anew"
        )
    if path.suffix == ".npz":
        return _artifact.load(path)
    import torch  # noqa: PLC0415 - of torch's own files only

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        return {key: each.numpy() for key, each in found.items()}
    except Exception as error:  # torch raises what its reader meets
        raise CustomerError(f"Unable to load pretrained weights: {path.name}: {error}") from error


def put(network: Any, arrays: Mapping[str, Any], *, but: tuple[str, ...] = ()) -> None:
    """Put weights into a network; those whose names begin as `but` says stay as they are.

    Raises
    ------
    CustomerError
        One is missing, or has another shape; the text names it.
    """
    import torch  # noqa: PLC0415 - a job's, not a definition's

    state = network.state_dict()
    for key, values in state.items():
        if key.startswith(but) or key.endswith("num_batches_tracked"):
            continue
        found = arrays.get(key)
        if found is None or tuple(found.shape) != tuple(values.shape):
            shape = None if found is None else tuple(found.shape)
            raise CustomerError(f"Unable to load weights: {key} has shape {shape}, not {tuple(values.shape)}")
        values.copy_(torch.from_numpy(np.array(found)))
