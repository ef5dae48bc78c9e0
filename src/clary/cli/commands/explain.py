"""`clary explain`: a noun of the API, from its declaration and the service model."""

from typing import Annotated

import typer

from clary.kernel.errors import SetupError

EXAMPLE = "clary explain TrainingJob"


def explain(
    noun: Annotated[str, typer.Argument(metavar="NOUN", help="As on the wire: TrainingJob, Endpoint, …")],
) -> None:
    """Say what a noun of the API is: its operations, members, states."""
    from clary.resource import explain as explaining  # noqa: PLC0415 - loads the service models

    try:
        print(explaining.explain(noun))
    except LookupError as error:
        raise SetupError(str(error.args[0] if error.args else error)) from None
