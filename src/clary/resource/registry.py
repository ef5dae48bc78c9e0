"""What is served: the folders of `services` read once."""

from collections.abc import Mapping
from dataclasses import dataclass

from clary.engine.machine import Machine
from clary.kernel.registry import members, stems
from clary.resource.call import Handler
from clary.resource.declare import Resource
from clary.resource.families import handlers_of
from clary.resource.operation import MARK
from clary.wire.service import Service, service


@dataclass(frozen=True)
class Served:
    """One service that Clary answers for."""

    name: str
    """As botocore spells it: `sagemaker`, `sts` …"""
    model: Service
    handlers: Mapping[str, Handler]
    """By operation."""
    resources: Mapping[str, Resource]
    """By noun."""
    machines: Mapping[str, Machine]
    """By noun."""


def served(package: str) -> dict[str, Served]:
    """Read the services below `package`: a folder a service (`sagemaker_runtime` for `sagemaker-runtime`)."""
    return {
        name: _read(f"{package}.{stem}", name) for stem in stems(package) for name in [stem.replace("_", "-")]
    }


def _read(package: str, name: str) -> Served:
    model = service(name)
    handlers: dict[str, Handler] = {}
    own: dict[str, Handler] = {}
    resources: dict[str, Resource] = {}
    machines: dict[str, Machine] = {}
    for _stem, module in members(package):
        for value in vars(module).values():
            if isinstance(value, Resource):
                resources[value.noun] = value
                handlers |= handlers_of(value, model)
                if value.machine is not None:
                    machines[value.noun] = value.machine
            elif callable(value) and hasattr(value, MARK):
                own[getattr(value, MARK)] = value
    unknown = sorted(set(own) - set(model.operations))
    if unknown:
        raise LookupError(f"{package} answers operations that {name} does not have: {', '.join(unknown)}")
    return Served(name=name, model=model, handlers=handlers | own, resources=resources, machines=machines)
