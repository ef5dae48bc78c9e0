"""The control plane: one ASGI application behind the edge."""

from clary.gateway.control.app import create

__all__ = ["create"]
