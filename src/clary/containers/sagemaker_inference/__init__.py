"""Stand-in for `sagemaker_inference`."""

from . import content_types, decoder, encoder, errors

__all__ = ["content_types", "decoder", "encoder", "errors"]
