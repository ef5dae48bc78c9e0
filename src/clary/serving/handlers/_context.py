"""The context that a customer's functions may ask for, in the shape of the service's model servers."""

from collections.abc import Mapping
from typing import Any

from clary.algorithms.base import Question


class Context:
    """One request, and what its answer shall carry besides its body.

    Source: multi-model-server, `mms/context.py`: names and arguments.
    """

    def __init__(self, model_dir: str) -> None:
        self.system_properties: dict[str, Any] = {"model_dir": model_dir, "gpu_id": None, "batch_size": 1}
        self.manifest: dict[str, Any] = {}
        self.model_name = "model"
        self.request_headers: dict[str, str] = {}
        self.response_headers: dict[str, str] = {}
        self.response_content_type = ""
        self.response_status = 0

    def ask(self, question: Question) -> None:
        """Stand for one request."""
        self.request_headers = {"Content-Type": question.content_type, "Accept": question.accept}
        if question.attributes:
            self.request_headers["X-Amzn-SageMaker-Custom-Attributes"] = question.attributes
        self.request_headers |= dict(question.headers)
        self.response_headers = {}
        self.response_content_type = ""
        self.response_status = 0

    @property
    def request_processor(self) -> list["Context"]:
        """The request, as multi-model-server wraps it."""
        return [self]

    def get_request_properties(self) -> Mapping[str, str]:
        """Return all headers of the request."""
        return self.request_headers

    def get_all_request_header(self, idx: int = 0) -> Mapping[str, str]:
        """Return all headers of the request."""
        return self.request_headers

    def get_request_header(self, idx: int, key: str) -> str | None:
        """Return one header of the request, whatever the case of its name."""
        wanted = key.lower()
        return next((value for name, value in self.request_headers.items() if name.lower() == wanted), None)

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Set the answer's content type."""
        self.response_content_type = value

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        """Set a header of the answer."""
        self.response_headers[key] = value

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """Set the answer's status."""
        self.response_status = code
