"""The model file `xgboost-model`: always the library's own UBJSON, whatever the image's tag.

The service's containers before 1.3 pickled; ours do not, so that any XGBoost of 1.7 or later reads every
model, and no pickle is ever written. Their pickles are read, with nothing but XGBoost's own class in them.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

import xgboost
from xgboost.core import XGBoostError

from clary.algorithms.xgboost._library import plain
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from pathlib import Path

MODEL_FILE = "xgboost-model"
"""Name of the artefact's file."""

_PICKLE = b"\x80"
_ALLOWED: dict[tuple[str, str], Any] = {
    ("xgboost.core", "Booster"): xgboost.Booster,
    ("builtins", "bytearray"): bytearray,
    ("__builtin__", "bytearray"): bytearray,
    ("builtins", "object"): object,
}


class _Unpickler(pickle.Unpickler):
    """Knows one class, so that a planted pickle can run nothing."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor")}:
            return _reconstruct
        if (module, name) == ("_codecs", "encode"):
            return _latin  # how protocol 2 spells bytes
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it holds {module}.{name}; only XGBoost's own Booster is read from a pickle"
            ) from None


def _latin(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it holds bytes as {encoding}")
    return text.encode(encoding)


def _reconstruct(kind: type, base: type, state: Any) -> Any:
    """Stand in for copyreg's, which makes an object of any class that it is given."""
    if kind is not xgboost.Booster or base is not object or state is not None:
        raise pickle.UnpicklingError("only XGBoost's own Booster is read from a pickle")
    return object.__new__(kind)


def to_bytes(booster: xgboost.Booster) -> bytes:
    """Return the model file's content."""
    return bytes(booster.save_raw(raw_format="ubj"))


def save(booster: xgboost.Booster, path: Path) -> None:
    """Write the model file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.sagemaker-ignore")
    draft.write_bytes(to_bytes(booster))
    draft.replace(path)


def from_bytes(content: bytes, where: str) -> xgboost.Booster:
    """Load a model: UBJSON, JSON, or a pickled Booster of an older container.

    Raises
    ------
    CustomerError
        Not a model of XGBoost, or one in a form that XGBoost 3 no longer reads; the text starts with `where`.
    """
    if content.startswith(_PICKLE):
        return _unpickled(content, where)
    booster = xgboost.Booster()
    try:
        if not content.lstrip()[:1] == b"{":
            raise XGBoostError("it is neither JSON nor UBJSON")  # of no bytes at all the library would abort
        booster.load_model(bytearray(content))
    except XGBoostError as error:
        raise CustomerError(
            f"{where}: not a model that XGBoost {xgboost.__version__} reads ({plain(error)[:200]}). Models "
            "in the binary form of XGBoost before 1.7 must be saved again as JSON with XGBoost 2: "
            'Booster(model_file="xgboost-model").save_model("xgboost-model.json")'
        ) from error
    return booster


def _unpickled(content: bytes, where: str) -> xgboost.Booster:
    try:
        booster = _Unpickler(io.BytesIO(content)).load()
    except (pickle.UnpicklingError, XGBoostError, EOFError, AttributeError, TypeError, ValueError) as error:
        raise CustomerError(f"{where}: this pickle cannot be read: {plain(error)[:300]}") from error
    if not isinstance(booster, xgboost.Booster):
        raise CustomerError(f"{where}: the pickle holds a {type(booster).__name__}, not XGBoost's Booster")
    return booster
