"""Service models, read from botocore's files when first asked for."""

import gzip
import json
import re
from collections.abc import Mapping
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from clary.wire.shape import EMPTY, Shape, Shapes

_HEAD_BYTES = 4096
_METADATA = re.compile(rb'"metadata"\s*:\s*')


class Operation:
    """One operation of a service."""

    def __init__(self, name: str, model: Mapping[str, Any], owner: "Service") -> None:
        self.name = name
        self.service = owner
        self._model = model
        http = model.get("http", {})
        self.method: str = http.get("method", "POST")
        """HTTP method."""
        self.uri: str = http.get("requestUri", "/")
        """Path template: `/endpoints/{EndpointName}/invocations`."""
        self.status: int = http.get("responseCode", 200)
        """HTTP status of success."""

    def __repr__(self) -> str:
        return f"Operation({self.service.name}:{self.name})"

    @cached_property
    def input(self) -> Shape:
        """Structure of the request; without members when there is none."""
        return self.service.shapes.refer(self._model["input"]) if "input" in self._model else EMPTY

    @cached_property
    def output(self) -> Shape:
        """Structure of the answer; without members when there is none."""
        return self.service.shapes.refer(self._model["output"]) if "output" in self._model else EMPTY

    @cached_property
    def errors(self) -> tuple[Shape, ...]:
        """Errors that the model declares."""
        return tuple(self.service.shapes.refer(ref) for ref in self._model.get("errors", ()))

    @cached_property
    def error_codes(self) -> frozenset[str]:
        """Codes of the declared errors, both as shapes are called and as the query protocol spells them."""
        return frozenset(code for shape in self.errors for code in (shape.name, shape.error_code))

    @property
    def is_unsigned(self) -> bool:
        """Whether callers need no key: `AssumeRoleWithWebIdentity` and its like."""
        return self._model.get("authtype") == "none"

    @property
    def documentation(self) -> str:
        """HTML of what the operation does."""
        return str(self._model.get("documentation", ""))

    def describe(self) -> dict[str, Any]:
        """Return a plain summary: how it is reached, what goes in and out, which errors it declares."""
        return {
            "Name": self.name,
            "Service": self.service.name,
            "Method": self.method,
            "Uri": self.uri,
            "Required": list(self.input.required),
            "Input": {name: shape.type_name for name, shape in self.input.members.items()},
            "Output": {name: shape.type_name for name, shape in self.output.members.items()},
            "Errors": [shape.name for shape in self.errors],
        }


class Service:
    """One service."""

    def __init__(self, name: str, model: Mapping[str, Any]) -> None:
        self.name = name
        """As botocore spells it: `sagemaker-runtime`."""
        self.metadata: Mapping[str, Any] = model["metadata"]
        self.shapes = Shapes(model["shapes"])
        self._model = model

    def __repr__(self) -> str:
        return f"Service({self.name})"

    @property
    def protocols(self) -> tuple[str, ...]:
        """Protocols that the service speaks, as the model orders them."""
        return protocols_of(self.metadata)

    @property
    def target_prefix(self) -> str:
        """What `X-Amz-Target` begins with; empty where there is none."""
        return str(self.metadata.get("targetPrefix", ""))

    @property
    def signing_name(self) -> str:
        """Service of the credential scope."""
        return signing_name_of(self.metadata)

    @property
    def json_version(self) -> str:
        """`1.0` or `1.1`."""
        return str(self.metadata.get("jsonVersion", "1.1"))

    @property
    def xml_namespace(self) -> str:
        """Namespace of XML answers."""
        given = self.metadata.get("xmlNamespace")
        return str(
            given
            or f"https://{self.metadata['endpointPrefix']}.amazonaws.com/doc/{self.metadata['apiVersion']}/"
        )

    @property
    def is_query_compatible(self) -> bool:
        """Whether JSON errors carry the code of the query protocol in a header."""
        return "awsQueryCompatible" in self.metadata

    @cached_property
    def operations(self) -> Mapping[str, Operation]:
        """Every operation by name."""
        return {name: Operation(name, model, self) for name, model in self._model["operations"].items()}

    @cached_property
    def errors(self) -> Mapping[str, Shape]:
        """Every error by name, and by code where no error has it as its name."""
        found = [
            self.shapes.refer({"shape": name})
            for name in self.shapes
            if self._model["shapes"][name].get("exception")
        ]
        return {shape.error_code: shape for shape in found} | {shape.name: shape for shape in found}


@cache
def service(name: str) -> Service:
    """Return the service that botocore calls `name`.

    Raises
    ------
    LookupError
        botocore has no such service.
    """
    path = _path(name)
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return Service(name, json.loads(file.read()))


@cache
def metadata(name: str) -> Mapping[str, Any]:
    """Return a model's metadata from the head of its file; the file as a whole stays unread."""
    path = _path(name)
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    found = _METADATA.search(head)
    try:
        start = found.end() if found else 0
        read: dict[str, Any] = json.JSONDecoder().raw_decode(head[start:].decode(errors="replace"))[0]
    except ValueError:
        return service(name).metadata
    return read if found else service(name).metadata


def protocols_of(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the protocols that a model's metadata names."""
    return tuple(given.get("protocols") or [given["protocol"]])


def signing_name_of(given: Mapping[str, Any]) -> str:
    """Return the service of the credential scope that a model's metadata names."""
    return str(given.get("signingName") or given["endpointPrefix"])


@cache
def _data() -> Path:
    spec = find_spec("botocore")
    if spec is None or not spec.submodule_search_locations:
        raise LookupError("botocore is not installed: pip install botocore")
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def _path(name: str) -> Path:
    versions = sorted(_data().glob(f"{name}/*/service-2.json*")) if re.fullmatch(r"[a-z0-9-]+", name) else []
    if not versions:
        raise LookupError(f"botocore has no service {name!r}")
    return versions[-1]
