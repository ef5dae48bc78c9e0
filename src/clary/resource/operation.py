"""`@operation`: a function that answers one operation, and beats the family's."""

from collections.abc import Callable

from clary.resource.call import Handler

MARK = "__clary_operation__"


def operation(name: str) -> Callable[[Handler], Handler]:
    """Mark a function as the handler of operation `name` of the service whose folder it lies in."""

    def mark(function: Handler) -> Handler:
        setattr(function, MARK, name)
        return function

    return mark
