"""What each framework's container does where the customer's script has no function of its own.

Source: handler_service.py of sagemaker-scikit-learn-container and sagemaker-xgboost-container, and
default_pytorch_inference_handler.py of sagemaker-pytorch-inference-toolkit.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from clary.kernel.errors import CustomerError
from clary.toolkit.formats import arrays, csv, libsvm, recordio_protobuf
from clary.toolkit.formats.base import MediaType


class Defaults:
    """Functions of a framework without any of its own."""

    title = "this framework"

    def model_fn(self, model_dir: str) -> Any:
        """Refuse: only the customer knows how the model was saved."""
        raise CustomerError(
            f"Please provide a model_fn implementation: {self.title} has no default for loading {model_dir}. "
            "See documentation for model_fn at https://sagemaker.readthedocs.io/en/stable/"
        )

    def input_fn(self, data: Any, content_type: str) -> Any:
        """Decode npy, csv, JSON or npz to an array."""
        return arrays.decode(data, content_type)

    def predict_fn(self, data: Any, model: Any) -> Any:
        """Call the model's `predict`."""
        if not hasattr(model, "predict"):
            raise NotImplementedError(
                f"Please provide a predict_fn implementation: {type(model).__name__} has no predict()."
            )
        return model.predict(data)

    def predicts_rows_apart(self, model: Any) -> bool:
        """Tell whether rows of several requests may be predicted in one call, and say the same of each."""
        return False

    def read(self, data: Any, content_type: str) -> Any:
        """Decode as `input_fn` does, to rows that are stacked with others before they are predicted."""
        return self.input_fn(data, content_type)

    def stacked(self, parts: Sequence[Any]) -> Any:
        """Join the rows of several requests."""
        return np.concatenate(parts)

    def parted(self, prediction: Any) -> Any:
        """Return a prediction for many rows as it is cut and encoded row by row."""
        return prediction

    def output_fn(self, prediction: Any, accept: str) -> tuple[bytes, str]:
        """Encode as the first of npy, csv and JSON that `accept` names."""
        for member in accept.replace(" ", "").split(","):
            name = member.partition(";")[0]
            if name == "*/*":
                return arrays.encode(prediction, arrays.JSON), arrays.JSON
            if name in arrays.ENCODED:
                return arrays.encode(prediction, name), name
        raise arrays.UnsupportedFormat(accept)


class ScikitLearn(Defaults):
    """Of scikit-learn."""

    title = "scikit-learn"

    def input_fn(self, data: Any, content_type: str) -> Any:
        """Decode to rows; text becomes float32."""
        found = arrays.decode(data, content_type)
        if found.ndim == 1:
            found = found.reshape(1, -1)
        return found.astype(np.float32) if MediaType.parse(content_type).name in arrays.TEXT else found

    def predicts_rows_apart(self, model: Any) -> bool:
        """Tell whether the model classifies: labels are the same in any company, sums may differ in a bit."""
        from sklearn.base import is_classifier  # noqa: PLC0415 - the framework is there where a model of it is

        try:
            return bool(is_classifier(model)) and type(model).__module__.startswith("sklearn.")
        except (AttributeError, TypeError):
            return False


class Xgboost(Defaults):
    """Of XGBoost in script mode."""

    title = "XGBoost"

    def model_fn(self, model_dir: str) -> Any:
        """Load `xgboost-model`, if the script saved its model under the name that built-in training uses."""
        from clary.algorithms.xgboost import _artifact  # noqa: PLC0415 - imports the library

        path = Path(model_dir) / _artifact.MODEL_FILE
        if not path.is_file():
            return super().model_fn(model_dir)
        return _artifact.from_bytes(path.read_bytes(), path.name)

    def input_fn(self, data: Any, content_type: str) -> Any:
        """Decode csv, libsvm or recordio-protobuf to a DMatrix."""
        import xgboost  # noqa: PLC0415 - only this framework has it

        name = MediaType.parse(content_type).name
        body = data.encode() if isinstance(data, str) else data
        if name == "text/csv":
            return xgboost.DMatrix(csv.decode(body))
        if name in libsvm.CONTENT_TYPES:
            return xgboost.DMatrix(libsvm.decode(body))
        if name in recordio_protobuf.CONTENT_TYPES:
            return xgboost.DMatrix(recordio_protobuf.decode(body).features)
        raise arrays.UnsupportedFormat(content_type)

    def predict_fn(self, data: Any, model: Any) -> Any:
        """Predict, whatever the columns are called."""
        return model.predict(data, validate_features=False)


class Pytorch(Defaults):
    """Of PyTorch: TorchScript, on the GPU if there is one."""

    title = "PyTorch"

    def __init__(self) -> None:
        self._placed: Any = None
        """The model that is on its device, to evaluate: to see to that again costs more than a small net."""

    def model_fn(self, model_dir: str) -> Any:
        """Load `model.pt`, or the one `.pt` or `.pth` file there is, as TorchScript."""
        import torch  # noqa: PLC0415 - an extra

        path = Path(model_dir) / "model.pt"
        if not path.exists():
            found = sorted(each for each in Path(model_dir).iterdir() if each.suffix in {".pt", ".pth"})
            if len(found) != 1:
                names = [each.name for each in found]
                raise CustomerError(f"Exactly one .pth or .pt file is required for PyTorch models: {names}")
            path = found[0]
        try:
            return torch.jit.load(str(path), map_location=_device())
        except RuntimeError as error:
            raise CustomerError(
                f"Failed to load {path.name}. Please ensure model is saved using torchscript, "
                f"or provide a model_fn. {error}"
            ) from error

    def input_fn(self, data: Any, content_type: str) -> Any:
        """Decode to a tensor; text becomes float32."""
        import torch  # noqa: PLC0415 - an extra

        return torch.from_numpy(self.read(data, content_type)).to(_device())

    def read(self, data: Any, content_type: str) -> Any:
        """Decode to an array: one tensor for many rows costs less than one each."""
        found = arrays.decode(data, content_type)
        return found.astype(np.float32) if MediaType.parse(content_type).name in arrays.TEXT else found

    def predict_fn(self, data: Any, model: Any) -> Any:
        """Run the model without gradients."""
        import torch  # noqa: PLC0415 - an extra

        device = _device()
        with torch.no_grad():  # not inference_mode: a customer's output_fn may change the answer in place
            if model is not self._placed:
                model = self._placed = model.to(device)
                model.eval()
            return model(data.to(device))

    def stacked(self, parts: Sequence[Any]) -> Any:
        """Join the rows of several requests."""
        import torch  # noqa: PLC0415 - an extra

        return torch.from_numpy(np.concatenate(parts)).to(_device())

    def parted(self, prediction: Any) -> Any:
        """Leave the device, and torch, once for all rows."""
        return prediction.detach().cpu().numpy() if hasattr(prediction, "detach") else prediction

    def output_fn(self, prediction: Any, accept: str) -> tuple[bytes, str]:
        """Encode a tensor as an array."""
        if hasattr(prediction, "detach"):
            prediction = prediction.detach().cpu().numpy()
        return super().output_fn(prediction, accept)


@cache
def _device() -> Any:
    import torch  # noqa: PLC0415 - an extra

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


_BY_FRAMEWORK = {"scikit-learn": ScikitLearn, "sklearn": ScikitLearn, "xgboost": Xgboost, "pytorch": Pytorch}


def of(framework: str) -> Defaults:
    """Return the defaults of a framework."""
    return _BY_FRAMEWORK.get(framework, Defaults)()
