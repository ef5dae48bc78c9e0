"""Errors that scripts raise or catch."""


class ClientError(Exception):
    """The customer's fault."""


class UnsupportedFormatError(Exception):
    """There is no codec for a content type."""

    def __init__(self, content_type: str, **kwargs: object) -> None:
        super().__init__(
            f"Content type {content_type} is not supported by this framework.\n\n"
            "Please implement input_fn to to deserialize the request data or an output_fn to\n"
            "serialize the response. For more information, see the SageMaker Python SDK README.",
            *kwargs.values(),
        )
